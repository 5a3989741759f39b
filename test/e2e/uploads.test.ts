import { describe, expect, test } from "bun:test"
import { connect } from "node:net"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask, dial, type RawClient, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

const body = (text: string) => JSON.stringify({ model: "m", messages: [{ role: "user", content: text }] })

const small = body("hi")

/** All of a request but its last byte, and that byte. */
const slowly = async (port: number, text: string): Promise<{ client: RawClient; finish: () => Promise<void> }> => {
  const client = await dial(port)
  const whole = requestBytes("POST", path, text)
  await client.send(whole.subarray(0, -1))
  return { client, finish: () => client.send(whole.subarray(-1)) }
}

const messageOf = (answer: { readonly json: () => unknown }): string => {
  return String(Reflect.get(Object(Reflect.get(Object(answer.json()), "error")), "message"))
}

const start = async (server: Record<string, unknown>) => {
  const upstream = await startUpstream({ models: ["m"] })
  const gateway = await startGateway({ server, backends: [backendFor("a", upstream)] })
  return {
    gateway,
    upstream,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

describe("a request whose body is still on its way", () => {
  test("takes no place of the requests that are handled", async () => {
    await using world = await start({ max_concurrent_requests: 1, max_concurrent_uploads: 10 })
    const { port } = world.gateway
    const slow = await Promise.all([slowly(port, small), slowly(port, small), slowly(port, small)])
    await until(() => world.gateway.running.active() === 3, "three are on their way")
    expect((await ask(port, "POST", path, small)).status).toBe(200)
    for (const { client, finish } of slow) {
      await finish()
      expect((await client.answer()).status).toBe(200)
      client.hangUp()
    }
  })

  test("keeps out nobody whose request comes in one piece, however many are slow and from whatever address", async () => {
    await using world = await start({ max_concurrent_requests: 2 })
    const { port } = world.gateway
    const slow = await Promise.all(Array.from({ length: 8 }, () => slowly(port, small)))
    await until(() => world.gateway.running.active() > 0, "they are on their way")
    expect((await ask(port, "POST", path, small)).status).toBe(200)
    using client = await dial(port)
    await client.send(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`)
    await client.send(`${small.length.toString(16)}\r\n${small}\r\n0\r\n\r\n`)
    expect((await client.answer()).status).toBe(200)
    for (const { client } of slow) client.hangUp()
  })

  test("is refused with 429 above max_concurrent_uploads once it is slow, which the refusal names, until one of them has come", async () => {
    await using world = await start({ max_concurrent_uploads: 2, upload_share_percent: 100 })
    const { port } = world.gateway
    const slow = await Promise.all([slowly(port, small), slowly(port, small)])
    await until(() => world.gateway.running.active() === 2, "two are on their way")
    const third = await slowly(port, small)
    const refused = await third.client.answer()
    third.client.hangUp()
    expect(refused.status).toBe(429)
    expect(refused.header("retry-after")).toBeDefined()
    expect(messageOf(refused)).toContain("server.max_concurrent_uploads")
    for (const { client, finish } of slow) {
      await finish()
      expect((await client.answer()).status).toBe(200)
      client.hangUp()
    }
    expect((await ask(port, "POST", path, small)).status).toBe(200)
  })

  test("takes no more than the share of one client address, which the refusal names", async () => {
    await using world = await start({ max_concurrent_uploads: 4, upload_share_percent: 50 })
    const { port } = world.gateway
    const slow = await Promise.all([slowly(port, small), slowly(port, small)])
    await until(() => world.gateway.running.active() === 2, "two are on their way")
    const third = await slowly(port, small)
    const refused = await third.client.answer()
    third.client.hangUp()
    expect(refused.status).toBe(429)
    expect(messageOf(refused)).toContain("server.upload_share_percent")
    for (const { client } of slow) client.hangUp()
    await world.gateway.quiet()
    expect((await ask(port, "POST", path, small)).status).toBe(200)
  })
})

describe("large bodies", () => {
  const large = body("x".repeat(700_000))

  test("are held up to max_uploads_mb, which the refusal names, and leave room for small ones", async () => {
    await using world = await start({ max_body_mb: 1, max_uploads_mb: 1.5, upload_share_percent: 100 })
    const { port } = world.gateway
    const slow = await Promise.all([slowly(port, large), slowly(port, large)])
    await until(() => world.gateway.running.active() === 2, "two are on their way")
    const refused = await ask(port, "POST", path, large)
    expect(refused.status).toBe(429)
    expect(messageOf(refused)).toContain("server.max_uploads_mb")
    expect((await ask(port, "POST", path, small)).status).toBe(200)
    for (const { client, finish } of slow) {
      await finish()
      expect((await client.answer()).status).toBe(200)
      client.hangUp()
    }
    await world.gateway.quiet()
    expect((await ask(port, "POST", path, large)).status).toBe(200)
  })

  test("whose length nobody told are counted as they come", async () => {
    await using world = await start({ max_body_mb: 1, max_uploads_mb: 1, upload_share_percent: 100 })
    const { port } = world.gateway
    const slow = await slowly(port, large)
    await until(() => world.gateway.running.active() === 1, "one is on its way")
    using client = await dial(port)
    await client.send(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`)
    await client.send(`${large.length.toString(16)}\r\n${large}\r\n`)
    const refused = await client.until(({ end }) => end !== "open")
    expect(refused.status).toBe(429)
    expect(messageOf(refused)).toContain("server.max_uploads_mb")
    await slow.finish()
    expect((await slow.client.answer()).status).toBe(200)
    slow.client.hangUp()
  })

  test("of one client leave half of the room to the others", async () => {
    await using world = await start({ max_body_mb: 1, max_uploads_mb: 4 })
    const { port } = world.gateway
    const slow = await Promise.all([slowly(port, large), slowly(port, large)])
    await until(() => world.gateway.running.active() === 2, "two are on their way")
    const refused = await ask(port, "POST", path, large)
    expect(refused.status).toBe(429)
    expect(messageOf(refused)).toContain("server.upload_share_percent")
    for (const { client } of slow) client.hangUp()
  })

  test("arrive as they were sent, whole, in pieces, and under another name", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { aliases: { alias: "m" } },
      backends: [backendFor("a", upstream)]
    })
    const text = (model: string) =>
      JSON.stringify({ messages: [{ role: "user", content: "é".repeat(300_000) }], model })
    expect((await ask(gateway.port, "POST", path, text("m"))).status).toBe(200)
    expect(upstream.lastCall().text).toBe(text("m"))
    expect((await ask(gateway.port, "POST", path, text("alias"))).status).toBe(200)
    expect(upstream.lastCall().text).toBe(text("m"))
    using client = await dial(gateway.port)
    await client.send(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`)
    const bytes = new TextEncoder().encode(text("alias"))
    for (let at = 0; at < bytes.length; at += 7001) {
      const piece = bytes.subarray(at, at + 7001)
      await client.send(`${piece.length.toString(16)}\r\n`)
      await client.send(piece)
      await client.send("\r\n")
    }
    await client.send("0\r\n\r\n")
    expect((await client.answer()).status).toBe(200)
    expect(upstream.lastCall().text).toBe(text("m"))
  })

  test("with hundreds of thousands of fields leave everybody else their turn", async () => {
    await using world = await start({ max_body_mb: 20 })
    const { port } = world.gateway
    const fields = Array.from({ length: 300_000 }, (_, at) => `"k${at}":1`).join(",")
    let isOver = false
    const asking = ask(port, "POST", path, `{"model":"m","messages":[],"x":{${fields}}}`).finally(() => {
      isOver = true
    })
    const counted = async (): Promise<number> => {
      if (isOver) return 0
      expect((await ask(port, "GET", "/livez")).status).toBe(200)
      const turn = world.gateway.running.active() > 0 ? 1 : 0
      return turn + (await counted())
    }
    const count = counted()
    expect((await asking).status).toBe(200)
    const turns = await count
    // Read in one go, nobody would have had a turn between the end of the body and its answer.
    expect(turns).toBeGreaterThan(2)
    expect(world.gateway.backend("a").status).toBe("healthy")
  })
})

/** All that comes back to a client that reads nothing before it has sent all, or why it could not send it. */
const deafly = (port: number, pieces: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).pause()
    let text = ""
    socket.on("data", (piece: Buffer) => {
      text += piece.toString("latin1")
    })
    socket.on("end", () => {
      socket.destroy()
      resolve(text)
    })
    socket.on("error", (error) => resolve(String(error)))
    const send = (nth: number): void => {
      const piece = pieces[nth]
      if (piece === undefined) socket.resume()
      else socket.write(piece, () => send(nth + 1))
    }
    send(0)
  })

describe("a client that sends all of its request before it reads is told", () => {
  const megabyte = "x".repeat(1_048_576)
  const post = (more: string) =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}\r\n`
  const counted = [`Content-Length: ${String(32 * megabyte.length)}\r\n`, ...Array.from({ length: 32 }, () => megabyte)]
  const chunks = Array.from({ length: 32 }, () => `100000\r\n${megabyte}\r\n`)
  const last = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
  const [length = "", ...body] = counted
  const alive = '{"status":"alive"}'

  test("that it is too large, and is answered again on the same connection", async () => {
    await using world = await start({ max_body_mb: 2 })
    for (const request of [
      [post(length), ...body],
      [post("Transfer-Encoding: chunked\r\n"), ...chunks, "0\r\n\r\n"]
    ]) {
      const text = await deafly(world.gateway.port, [...request, last])
      expect(text).toStartWith("HTTP/1.1 413 ")
      expect(text).toEndWith(alive)
    }
  })

  test("that it must not be compressed", async () => {
    await using world = await start({})
    const text = await deafly(world.gateway.port, [post(`Content-Encoding: gzip\r\n${length}`), ...body, last])
    expect(text).toStartWith("HTTP/1.1 415 ")
    expect(text).toEndWith(alive)
  })

  test("that there is nothing there", async () => {
    await using world = await start({})
    const head = post(`Content-Length: ${String(7 * megabyte.length)}\r\n`).replace(path, "/nowhere")
    const text = await deafly(world.gateway.port, [head, ...body.slice(0, 7), last])
    expect(text).toStartWith("HTTP/1.1 404 ")
    expect(text).toEndWith(alive)
  })
})
