import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { createServer } from "node:tls"
import { type AddressInfo, connect } from "node:net"
import OpenAI from "openai"
import { OpenAIRealtimeWS } from "openai/realtime/ws"
import { type Gateway, startGateway, type SettingsTree, until } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"
import { good } from "../kit/tls.ts"

const clientKey = "sk-of-the-client"
const backendKey = "sk-of-the-backend"

type Said = string | Buffer

const refusal = (message: string, status: number, headers: Readonly<Record<string, string>> = {}) =>
  Response.json(
    { error: { message, type: "invalid_request_error", param: "model", code: "beta_only" } },
    { status, headers }
  )

/** A backend that opens sockets: what it was asked, and what it was told. */
const startBackend = (status = 101, words: (times: number) => Response = () => refusal("no", status)) => {
  const asked: Array<{ readonly url: string; readonly headers: Headers }> = []
  const said: Array<Said> = []
  const closes: Array<readonly [code: number, reason: string]> = []
  let ends: Array<Bun.ServerWebSocket<undefined>> = []
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, self) => {
      const url = new URL(request.url)
      if (url.pathname === "/v1/models") return Response.json({ data: [{ id: "gpt-realtime" }] })
      asked.push({ url: `${url.pathname}${url.search}`, headers: request.headers })
      if (status !== 101 && asked.length > 0) return words(asked.length)
      const offered = request.headers.get("sec-websocket-protocol")
      const headers = offered === null ? {} : { "sec-websocket-protocol": offered.split(",")[0]?.trim() ?? "" }
      return self.upgrade(request, { headers }) ? undefined : new Response("", { status: 400 })
    },
    websocket: {
      maxPayloadLength: 64 * 1024 * 1024,
      backpressureLimit: 128 * 1024 * 1024,
      open: (socket) => {
        ends.push(socket)
        socket.send('{"type":"session.created"}')
      },
      message: (socket, message) => {
        said.push(message)
        if (message === "echo") socket.send(Buffer.from([1, 2, 3]))
        if (message === "leave") socket.close(4321, "because")
        if (message === "die") socket.terminate()
      },
      close: (socket, code, reason) => {
        ends = ends.filter((each) => each !== socket)
        closes.push([code, reason])
      }
    }
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    asked,
    said,
    closes,
    open: () => ends,
    [Symbol.asyncDispose]: () => server.stop(true)
  }
}

let first: ReturnType<typeof startBackend>
let second: ReturnType<typeof startBackend>
let gateway: Gateway

const start = (more: SettingsTree = {}) =>
  startGateway(
    {
      routing: { strategy: "priority_only", aliases: { voice: "gpt-realtime" } },
      backends: [
        { name: "first", url: first.url, type: "openai", priority: 1 },
        { name: "second", url: second.url, type: "openai", priority: 2 }
      ],
      ...more
    },
    {
      backendKeys: new Map([["first", backendKey]]),
      authKeys: [{ name: "one", digest: createHash("sha256").update(clientKey).digest() }]
    }
  )

interface Client {
  readonly socket: WebSocket
  readonly got: Array<unknown>
  readonly closed: () => readonly [code: number, reason: string] | undefined
}

const open = async (
  path = "/v1/realtime?model=voice",
  protocols: ReadonlyArray<string> = [],
  headers: Readonly<Record<string, string>> = { authorization: `Bearer ${clientKey}` },
  port = gateway.port
): Promise<Client> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers, protocols: [...protocols] })
  const got: Array<unknown> = []
  let closed: readonly [code: number, reason: string] | undefined
  socket.binaryType = "arraybuffer"
  socket.addEventListener("message", ({ data }) =>
    got.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data)
  )
  socket.addEventListener("close", ({ code, reason }) => {
    closed = [code, reason]
  })
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve())
    socket.addEventListener("close", () => reject(new Error("it was not opened")))
  })
  return { socket, got, closed: () => closed }
}

/** A handshake as bytes, for what a refusal says. */
const handshake = async (
  path: string,
  headers: ReadonlyArray<string> = [`Authorization: Bearer ${clientKey}`],
  port = gateway.port
) => {
  using client = await dial(port)
  await client.send(
    [
      `GET ${path} HTTP/1.1`,
      "Host: 127.0.0.1",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
      "",
      ""
    ].join("\r\n")
  )
  return await client.answer()
}

beforeEach(async () => {
  first = startBackend()
  second = startBackend()
  gateway = await start()
})
afterEach(async () => {
  for (const each of [gateway, first, second]) await each[Symbol.asyncDispose]()
})

describe("a realtime session", () => {
  test("is passed through to a backend of its model, with its key and the name it knows", async () => {
    const client = await open("/v1/realtime?model=voice&x=1")
    await until(() => client.got.length === 1, "the backend has spoken first")
    client.socket.send("echo")
    client.socket.send(new Uint8Array([9, 8]))
    await until(() => client.got.length === 2 && first.said.length === 2, "both have spoken")
    expect(client.got).toEqual(['{"type":"session.created"}', [1, 2, 3]])
    expect(first.said.map((each) => (typeof each === "string" ? each : [...each]))).toEqual(["echo", [9, 8]])
    const [asked] = first.asked
    expect(asked?.url).toBe("/v1/realtime?model=gpt-realtime&x=1")
    expect(asked?.headers.get("authorization")).toBe(`Bearer ${backendKey}`)
    expect(gateway.backend("first").in_flight).toBe(1)
    client.socket.close(1000)
    await gateway.quiet()
  })

  test("ends with the code of whoever ends it", async () => {
    const one = await open()
    one.socket.close(4007, "done")
    await until(() => first.closes.length === 1, "the backend knows")
    expect(first.closes[0]).toEqual([4007, "done"])
    const two = await open()
    two.socket.send("leave")
    await until(() => two.closed() !== undefined, "the client knows")
    expect(two.closed()).toEqual([4321, "because"])
    await gateway.quiet()
  })

  test("whose backend dies is closed as failed, and one whose client dies at the backend", async () => {
    const one = await open()
    one.socket.send("die")
    await until(() => one.closed() !== undefined, "the client knows")
    expect(one.closed()?.[0]).toBe(1011)
    const two = await open()
    two.socket.terminate()
    await until(() => first.closes.length === 2, "the backend knows")
    await gateway.quiet()
  })

  test("takes the key of a browser out of its subprotocols, and chooses one of the others", async () => {
    const protocols = ["realtime", `openai-insecure-api-key.${clientKey}`, "openai-beta.realtime-v1"]
    const client = await open("/v1/realtime?model=voice", protocols, {})
    expect(client.socket.protocol).toBe("realtime")
    expect(first.asked[0]?.headers.get("sec-websocket-protocol")).toBe("realtime, openai-beta.realtime-v1")
    client.socket.close()
    const wrong = await handshake("/v1/realtime?model=voice", [
      "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-no"
    ])
    expect(wrong.status).toBe(401)
    await gateway.quiet()
  })

  test("goes to another backend where the first opens none", async () => {
    for (const status of [404, 500, 503]) {
      await using bad = startBackend(status)
      await using other = await start({
        backends: [
          { name: "bad", url: bad.url, type: "openai", priority: 1 },
          { name: "second", url: second.url, type: "openai", priority: 2 }
        ]
      })
      const client = await open(
        "/v1/realtime?model=gpt-realtime",
        [],
        { authorization: `Bearer ${clientKey}` },
        other.port
      )
      await until(() => client.got.length === 1, "somebody speaks")
      expect([bad.asked.length, second.open().length]).toEqual([1, 1])
      client.socket.close()
      await other.quiet()
      await until(() => second.open().length === 0, "it is closed")
    }
  })

  test("is refused in OpenAI's shape before it is opened", async () => {
    await using bad = startBackend(401)
    await using none = await start({ backends: [{ name: "bad", url: bad.url, type: "openai" }] })
    const rows = [
      ["/v1/realtime?model=nobody", 404],
      ["/v1/realtime?model=", 400],
      [`/v1/realtime?model=${"x".repeat(600)}`, 400]
    ] as const
    for (const [path, status] of rows) {
      const got = await handshake(path)
      expect({
        path,
        status: got.status,
        shape: typeof (got.json() as { error: { message: unknown } }).error.message
      }).toEqual({
        path,
        status,
        shape: "string"
      })
    }
    const plain = await ask(gateway.port, "GET", "/v1/realtime?model=voice", "", [`Authorization: Bearer ${clientKey}`])
    expect(plain.status).toBe(400)
    expect((await handshake("/v1/realtime?model=voice", [])).status).toBe(401)
    const answer = await fetch(`${none.url}/v1/realtime?model=gpt-realtime`, {
      headers: {
        upgrade: "websocket",
        connection: "upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
        authorization: `Bearer ${clientKey}`
      }
    })
    expect(answer.status).toBe(502)
    await gateway.quiet()
  })

  describe("that its backend refuses", () => {
    const refused = async (backend: ReturnType<typeof startBackend>) => {
      await using none = await start({
        backends: [{ name: "bad", url: backend.url, type: "openai" }],
        routing: { max_retries: 0 }
      })
      return await handshake("/v1/realtime?model=gpt-realtime&x=1", undefined, none.port)
    }
    const words = `This session needs a beta for ${backendKey}`

    test("is refused in the backend's own words, without its key", async () => {
      await using bad = startBackend(400, () => refusal(words, 400, { "openai-processing-ms": "7" }))
      const answer = await refused(bad)
      expect([answer.status, answer.header("openai-processing-ms")]).toEqual([400, "7"])
      expect(answer.json()).toMatchObject({ error: { param: "model", code: "beta_only" } })
      expect(answer.text).toContain("This session needs a beta for ")
      expect(answer.text).not.toContain(backendKey)
      expect(bad.asked.map(({ url }) => url)).toEqual(Array(2).fill("/v1/realtime?model=gpt-realtime&x=1"))
      const [first, second] = bad.asked.map(({ headers }) =>
        ["authorization", "upgrade", "connection", "sec-websocket-version"].map((name) =>
          headers.get(name)?.toLowerCase()
        )
      )
      expect(second).toEqual(first)
    })

    test("is asked for once where the refusal may have passed by then, or is about a key", async () => {
      for (const [status, told] of [
        [429, 429],
        [401, 502],
        [503, 503]
      ] as const) {
        await using bad = startBackend(status)
        expect([(await refused(bad)).status, bad.asked.length]).toEqual([told, 1])
      }
    })

    test("is refused as before where the backend says something else then, or nothing", async () => {
      const others = [
        () => refusal("another", 404),
        () => new Response(null, { status: 204 }),
        () => new Response(null, { status: 400, headers: { "content-type": "application/json" } })
      ]
      for (const other of others) {
        await using bad = startBackend(400, (times) => (times === 1 ? refusal("first", 400) : other()))
        const answer = await refused(bad)
        expect([answer.status, bad.asked.length]).toEqual([400, 2])
        expect(answer.text).not.toContain("another")
      }
    })

    test("leaves no socket open where the backend takes it the second time", async () => {
      let upgrades = 0
      const server = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: (request, self) => {
          if (new URL(request.url).pathname === "/v1/models") return Response.json({ data: [{ id: "gpt-realtime" }] })
          upgrades += 1
          if (upgrades === 1) return refusal("not yet", 400)
          return self.upgrade(request) ? undefined : new Response("", { status: 400 })
        },
        websocket: { message: () => undefined, close: () => closed.resolve() }
      })
      const closed = Promise.withResolvers<void>()
      const backend = { ...startBackend(), url: `http://127.0.0.1:${server.port}` }
      const answer = await refused(backend)
      expect([answer.status, upgrades]).toEqual([400, 2])
      await closed.promise
      await server.stop(true)
      await backend[Symbol.asyncDispose]()
    })
  })

  test("is one of so many, is listed, counted and cancelled", async () => {
    await using small = await start({ server: { max_realtime_sessions: 1 } })
    const headers = { authorization: `Bearer ${clientKey}`, "x-request-id": "talk" }
    const client = await open("/v1/realtime?model=voice", [], headers, small.port)
    expect(open("/v1/realtime?model=voice", [], headers, small.port)).rejects.toThrow()
    const auth = [`Authorization: Bearer ${clientKey}`]
    const list = (await ask(small.port, "GET", "/admin/v1/requests", "", auth)).json()
    expect(list).toMatchObject({ requests: [{ id: "talk", endpoint: "realtime", phase: "committed" }] })
    expect((await ask(small.port, "DELETE", "/admin/v1/requests/talk", "", auth)).status).toBe(200)
    await until(() => client.closed() !== undefined, "the client knows")
    expect(client.closed()?.[0]).toBe(1008)
    await until(() => first.closes.length === 1, "the backend knows")
    await small.quiet()
    expect((await ask(small.port, "GET", "/metrics", "", auth)).text).toContain('endpoint="realtime"')
  })

  test("that nobody says anything in is closed in time", async () => {
    await using quick = await start({ server: { realtime_idle_timeout_seconds: 0.2 } })
    const client = await open(undefined, [], undefined, quick.port)
    await until(() => client.closed() !== undefined, "it is closed")
    expect(client.closed()?.[0]).toBe(1001)
    await quick.quiet()
  })

  test("is held back on the one side while the other takes nothing, and loses no message", async () => {
    const client = await open()
    await until(() => first.open().length === 1, "it is open")
    const [end] = first.open()
    end?.pause()
    const piece = "x".repeat(1_000_000)
    for (let sent = 0; sent < 60; sent += 1) client.socket.send(`${sent} ${piece}`)
    // Were it not held back, it would be gone in a fraction of that.
    await Bun.sleep(500)
    expect(client.socket.bufferedAmount).toBeGreaterThan(0)
    end?.resume()
    await until(() => first.said.length === 60, "all of it has come")
    expect(first.said.map((each) => Number.parseInt(String(each), 10))).toEqual(
      Array.from({ length: 60 }, (_, at) => at)
    )

    client.socket.pause()
    for (let sent = 0; sent < 60; sent += 1) end?.send(`${sent} ${piece}`)
    await Bun.sleep(500)
    expect(end?.getBufferedAmount()).toBeGreaterThan(0)
    client.socket.resume()
    await until(() => client.got.length === 61, "all of it has come back")
    expect(client.got.slice(1).map((each) => Number.parseInt(String(each), 10))).toEqual(
      Array.from({ length: 60 }, (_, at) => at)
    )
    client.socket.close()
    await gateway.quiet()
  })

  test("is to be had at Azure's paths", async () => {
    for (const path of [
      "/openai/v1/realtime?model=voice",
      "/openai/realtime?api-version=2024-10-01-preview&deployment=voice"
    ]) {
      const client = await open(path, [], { "api-key": clientKey })
      await until(() => client.got.length === 1, "the backend speaks")
      expect(first.asked.at(-1)?.url).toBe("/v1/realtime?model=gpt-realtime")
      client.socket.close()
      await until(() => client.closed() !== undefined, "it is closed")
    }
    await gateway.quiet()
  })

  test("is opened by the openai package", async () => {
    // It takes addresses with TLS alone.
    const tls = createServer({ cert: good.cert, key: good.key }, (socket) => {
      const plain = connect(gateway.port, "127.0.0.1")
      for (const [from, to] of [
        [socket, plain],
        [plain, socket]
      ] as const) {
        from.pipe(to)
        from.on("error", () => to.destroy())
      }
    })
    await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve))
    const { port } = tls.address() as AddressInfo // reason: a TCP server that listens has an address
    const openai = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: clientKey })
    const realtime = new OpenAIRealtimeWS({ model: "voice", options: { rejectUnauthorized: false } }, openai)
    const events: Array<string> = []
    realtime.on("event", ({ type }) => events.push(type))
    await until(() => events.length === 1, "the session is there")
    expect(events).toEqual(["session.created"])
    realtime.send({ type: "response.create" })
    await until(() => first.said.length === 1, "the backend has heard")
    expect(JSON.parse(String(first.said[0]))).toMatchObject({ type: "response.create" })
    realtime.close({ code: 1000, reason: "done" })
    await until(() => first.closes.length === 1, "it is closed")
    await gateway.quiet()
    tls.close()
  })

  test("ends with the gateway", async () => {
    const client = await open()
    await gateway[Symbol.asyncDispose]()
    await until(() => client.closed() !== undefined, "the client knows")
    await until(() => first.closes.length === 1, "the backend knows")
  })
})
