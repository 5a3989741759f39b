import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

/** The promise is 100 ms; a machine that runs other tests beside this one gets some more, and as long as it takes for 200 answers. */
const promptly = 400

const isPrompt = async (happens: Promise<unknown>, port: number): Promise<boolean> => {
  const began = performance.now()
  const happened = happens.then(() => true)
  for (let trip = 0; trip < 200 || performance.now() - began < promptly; trip += 1) {
    const answered = fetch(`http://127.0.0.1:${port}/livez`).then(() => false)
    if (await Promise.race([happened, answered])) return true
  }
  return false
}

const [first = ""] = chatEvents("m", ["a"])

const flood = function* (): Generator<string | Uint8Array> {
  yield streamHead()
  yield chunk(first)
  const filler = chunk(`: ${"x".repeat(65_000)}\n\n`)
  for (;;) yield filler
}

const withUpstream = async (script: Script, run: (upstream: FakeUpstream, port: number) => Promise<void>) => {
  await using upstream = await startUpstream({ models: ["m"], script })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  await run(upstream, gateway.port)
  await gateway.quiet()
  const backend = gateway.backend("one")
  expect([backend.status, backend.in_flight, backend.circuits, backend.cooling_ms]).toEqual(["healthy", 0, [], 0])
}

describe("a client that hangs up closes the connection to the backend", () => {
  for (const stream of [false, true]) {
    test(`while the backend has not begun to answer, ${stream ? "stream" : "whole"}`, () =>
      withUpstream(
        () => ["hang"],
        async (upstream, port) => {
          const client = await dial(port)
          await client.send(requestBytes("POST", "/v1/chat/completions", body(stream)))
          const seen = await upstream.call(0)
          client.hangUp()
          expect(await isPrompt(seen.gone, port)).toBe(true)
        }
      ))
  }

  test("in the middle of a stream that has fallen quiet", () =>
    withUpstream(
      () => [streamHead(), chunk(first), "hang"],
      async (upstream, port) => {
        const client = await dial(port)
        await client.send(requestBytes("POST", "/v1/chat/completions", body(true)))
        await client.until(({ text }) => text === first)
        client.hangUp()
        expect(await isPrompt(upstream.lastCall().gone, port)).toBe(true)
      }
    ))

  test("in the middle of a stream that flows", () =>
    withUpstream(flood, async (upstream, port) => {
      const client = await dial(port)
      await client.send(requestBytes("POST", "/v1/chat/completions", body(true)))
      await client.until(() => client.received() > 1_000_000)
      client.hangUp()
      expect(await isPrompt(upstream.lastCall().gone, port)).toBe(true)
    }))

  test("while the client reads nothing and the stream is held back", () =>
    withUpstream(flood, async (upstream, port) => {
      const client = await dial(port)
      await client.send(requestBytes("POST", "/v1/chat/completions", body(true)))
      await client.until(({ text }) => text.startsWith(first))
      client.pause()
      await Bun.sleep(100)
      client.hangUp()
      expect(await isPrompt(upstream.lastCall().gone, port)).toBe(true)
    }))

  test("and asks no backend when it leaves in the middle of its upload", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const client = await dial(gateway.port)
    const whole = requestBytes("POST", "/v1/chat/completions", body(false) + " ".repeat(100_000))
    await client.send(whole.subarray(0, whole.byteLength - 1))
    await until(() => gateway.running.active() === 1, "the upload has begun")
    client.hangUp()
    await gateway.quiet()
    expect(upstream.calls()).toHaveLength(0)
  })

  test("and does not try another backend after a failure it never saw", async () => {
    const gate = Promise.withResolvers<void>()
    await using failing = await startUpstream({ models: ["m"], script: () => [{ until: gate.promise }, "reset"] })
    await using other = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("first", failing, { priority: 1 }), backendFor("second", other, { priority: 2 })],
      routing: { strategy: "priority_only" }
    })
    const client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body(true)))
    await failing.call(0)
    client.hangUp()
    await gateway.quiet()
    gate.resolve()
    await failing.lastCall().gone
    expect(other.calls()).toHaveLength(0)
  })
})
