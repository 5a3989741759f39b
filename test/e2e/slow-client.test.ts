import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, event, head, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"

const body = JSON.stringify({ model: "m", messages: [], stream: true })

const [first = "", ...others] = chatEvents("m", ["a"])

const megabyte = 1_048_576

/** Counts what the backend could hand over: a write counts once the kernel has taken it. */
const counted = (total: number, count: (bytes: number) => void) =>
  function* (): Generator<string | Uint8Array> {
    const filler = chunk(`: ${"x".repeat(65_000)}\n\n`)
    yield streamHead()
    yield chunk(first)
    for (let sent = 0; sent < total; sent += filler.byteLength) {
      yield filler
      count(filler.byteLength)
    }
    for (const each of others) yield chunk(each)
    yield lastChunk
  }

/** Waits until a number has stood still for a while. */
const settled = async (read: () => number): Promise<number> => {
  let last = -1
  while (last !== read()) {
    last = read()
    await Bun.sleep(250)
  }
  return last
}

const residentMb = async (pid: number): Promise<number> => {
  const status = await Bun.file(`/proc/${pid}/status`).text()
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

// What is more than is held back at once, in one piece and in many; most of it must stay with the backend.
const large: ReadonlyArray<readonly [name: string, begin: ReadonlyArray<string | Uint8Array>]> = [
  [
    "a whole answer above max_answer_mb, in chunks",
    [head(200, ["Content-Type: application/json", "Transfer-Encoding: chunked"])]
  ],
  ["a stream whose first event is of megabytes", [streamHead(), chunk(event({ text: "x".repeat(2 * megabyte) }))]],
  ["a compressed stream", [streamHead(["Content-Encoding: gzip"]), chunk("x".repeat(megabyte))]]
]

describe("a client that reads slowly", () => {
  for (const [name, begin] of large) {
    test(`slows the backend in ${name}`, async () => {
      let taken = 0
      const total = 200 * megabyte
      const filler = chunk(" ".repeat(megabyte))
      await using upstream = await startUpstream({
        models: ["m"],
        script: function* () {
          yield* begin
          for (let sent = 0; sent < total; sent += megabyte) {
            yield filler
            taken += megabyte
          }
          yield lastChunk
        }
      })
      await using gateway = await startGateway({
        // The buffers of the system, which are large on a busy machine, must have room below the bound too.
        server: { max_answer_mb: 3 },
        backends: [backendFor("one", upstream)]
      })
      using client = await dial(gateway.port)
      client.pause()
      const stream = begin.length > 1 || name.includes("stream")
      await client.send(
        requestBytes("POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [], stream }))
      )
      await upstream.call(0)
      expect(await settled(() => taken)).toBeLessThan(40 * megabyte)
      client.resume()
      const answer = await client.answer()
      expect(answer.body.byteLength).toBeGreaterThanOrEqual(total)
      await gateway.quiet()
    }, 120_000)
  }

  test("slows the backend, and gets everything once it reads again", async () => {
    let taken = 0
    const total = 100 * megabyte
    await using upstream = await startUpstream({
      models: ["m"],
      script: counted(total, (bytes) => {
        taken += bytes
      })
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body))
    await client.until(({ text }) => text.startsWith(first))
    client.pause()
    const held = await settled(() => taken)
    expect(held).toBeLessThan(40 * megabyte)
    client.resume()
    const answer = await client.answer()
    expect(answer.end).toBe("complete")
    expect(answer.body.byteLength).toBeGreaterThan(0.99 * total)
    expect(new TextDecoder().decode(answer.body.slice(-14))).toBe("data: [DONE]\n\n")
    await gateway.quiet()
  }, 120_000)

  test("costs bounded memory, ten of them too", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: counted(100 * megabyte, () => undefined) })
    await using gateway = await startProcess({ backends: [backendFor("one", upstream)] })
    const ask = async () => {
      const client = await dial(gateway.port)
      await client.send(requestBytes("POST", "/v1/chat/completions", body))
      await client.until(({ text }) => text.startsWith(first))
      return client
    }
    const warm = await ask()
    warm.hangUp()
    const before = await residentMb(gateway.pid)
    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const client = await ask()
        client.pause()
        return client
      })
    )
    await Bun.sleep(1500)
    expect((await residentMb(gateway.pid)) - before).toBeLessThan(100)
    for (const client of clients) client.hangUp()
    await until(() => upstream.busy() === 0, "every stream is closed at the backend")
  }, 120_000)

  test("is dropped once it has taken nothing for stall_timeout_seconds, the log says so, and the backend is not blamed", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"], script: counted(100 * megabyte, () => undefined) })
    await using gateway = await startGateway({
      server: { stall_timeout_seconds: 0.2 },
      logging: { level: "debug", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body))
    await client.until(({ text }) => text.startsWith(first))
    client.pause()
    await upstream.lastCall().gone
    await gateway.quiet()
    expect(gateway.backend("one").circuits).toEqual([])
    const told = log.lines().filter(({ message }) => message === "request ended")
    const reason = "The client took nothing for longer than stall_timeout_seconds (0.2 s)"
    expect(told).toMatchObject([{ outcome: "client_closed", failures: [{ reason }] }])
  })
})

describe("answers that are held back to be checked", () => {
  const half = 8 * megabyte

  test("are bounded in all: beyond 16 MB they are passed on as they come", async () => {
    const gate = Promise.withResolvers<void>()
    // Counted for each call by itself: one that was given up may still be writing when the next begins.
    const given: Array<number> = []
    await using upstream = await startUpstream({
      models: ["m"],
      script: function* () {
        const call = given.push(0) - 1
        yield head(200, ["Content-Type: application/json", "Transfer-Encoding: chunked"])
        for (let sent = 0; sent < half; sent += megabyte) {
          yield chunk(" ".repeat(megabyte))
          given[call] = sent + megabyte
        }
        yield { until: gate.promise }
        yield chunk('{"choices":[]}')
        yield lastChunk
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const ask = async () => {
      const client = await dial(gateway.port)
      await client.send(requestBytes("POST", "/v1/chat/completions", '{"model":"m","messages":[]}'))
      return client
    }
    const many = await Promise.all(Array.from({ length: 8 }, ask))
    await until(() => many.some((client) => client.now() !== undefined), "what is too much is passed on")
    for (const client of many) client.hangUp()
    await gateway.quiet()
    // What was held is free again: one alone is held back whole.
    using one = await ask()
    await until(() => given.length === many.length + 1 && given.at(-1) === half, "all but its end has been taken")
    expect(one.now()).toBeUndefined()
    gate.resolve()
    const answer = await one.answer()
    expect([answer.status, answer.end, answer.body.byteLength]).toEqual([200, "complete", half + 14])
    expect(answer.header("content-length")).toBe(String(half + 14))
    await gateway.quiet()
  }, 120_000)
})
