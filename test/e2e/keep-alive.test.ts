import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, done, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

const body = (stream = true) => JSON.stringify({ model: "m", messages: [], stream })

const events = chatEvents("m", ["a", "b"])

const answer: ReadonlyArray<Step> = [streamHead(), ...events.map((each) => chunk(each)), lastChunk]

const world = async (first: Script, second?: Script, server: Readonly<Record<string, number>> = {}) => {
  const upstreams = [await startUpstream({ models: ["m"], script: first })]
  if (second !== undefined) upstreams.push(await startUpstream({ models: ["m"], script: second }))
  const gateway = await startGateway({
    server: { keepalive_after_seconds: 0.1, ...server },
    routing: { strategy: "priority_only", max_retries: upstreams.length - 1 },
    backends: upstreams.map((upstream: FakeUpstream, at) => backendFor(`b${at}`, upstream, { priority: at }))
  })
  return {
    gateway,
    upstreams,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of upstreams) await each[Symbol.asyncDispose]()
    }
  }
}

const asking = async (port: number) => {
  const client = await dial(port)
  await client.send(requestBytes("POST", "/v1/chat/completions", body(), ["X-Request-Id: early-one"]))
  return client
}

const keepAlive = ": keep-alive\n\n"

/** What came, without the comments that Nexus sends. */
const told = (text: string): string => text.replaceAll(keepAlive, "")

const errorOf = (text: string): unknown => JSON.parse(told(text).replace(/^data: /, "")).error

describe("a client that waits longer than keepalive_after_seconds", () => {
  test("gets the 200 and comments, again and again, and then the answer as it came", async () => {
    const gate = Promise.withResolvers<void>()
    await using here = await world(() => [{ until: gate.promise }, ...answer])
    using client = await asking(here.gateway.port)
    const early = await client.until(({ text }) => text.includes(keepAlive.repeat(3)))
    expect([early.status, early.header("content-type"), early.header("x-request-id"), early.end]).toEqual([
      200,
      "text/event-stream",
      "early-one",
      "open"
    ])
    gate.resolve()
    const all = await client.answer()
    expect([told(all.text), all.end]).toEqual([events.join(""), "complete"])
    await here.gateway.quiet()
  })

  test("hears the comments of the backend as they come", async () => {
    const gate = Promise.withResolvers<void>()
    const ping = ": prefill 3/10\n\n"
    await using here = await world(() => [
      streamHead(),
      ...Array.from({ length: 12 }, (): ReadonlyArray<Step> => [chunk(ping), { pause: 30 }]).flat(),
      { until: gate.promise },
      ...answer.slice(1)
    ])
    using client = await asking(here.gateway.port)
    await client.until(({ text }) => text.includes(ping))
    gate.resolve()
    expect(told((await client.answer()).text)).toBe(ping.repeat(12) + events.join(""))
  })

  test("is answered by another backend when the first one fails meanwhile", async () => {
    const gate = Promise.withResolvers<void>()
    await using here = await world(
      () => [{ until: gate.promise }, json({ error: { message: "no" } }, 500)],
      () => answer
    )
    using client = await asking(here.gateway.port)
    await client.until(({ text }) => text.includes(keepAlive))
    gate.resolve()
    const all = await client.answer()
    expect([told(all.text), all.end]).toEqual([events.join(""), "complete"])
    expect(here.upstreams.map((each) => each.calls().length)).toEqual([1, 1])
  })

  test("is told in the stream when all have failed, without [DONE], and the stream is cut", async () => {
    const gate = Promise.withResolvers<void>()
    await using here = await world(() => [{ until: gate.promise }, json({ error: { message: "no\nmemory" } }, 500)])
    using client = await asking(here.gateway.port)
    await client.until(({ text }) => text.includes(keepAlive))
    gate.resolve()
    const all = await client.answer()
    expect(errorOf(all.text)).toMatchObject({ code: "bad_gateway", message: expect.stringContaining("no memory") })
    expect([all.status, all.text.includes(done), all.end === "complete"]).toEqual([200, false, false])
    await here.gateway.quiet()
  })

  test("is told in the stream of a time limit, and of what the backend refuses", async () => {
    await using slow = await world(() => ["hang"], undefined, { first_byte_timeout_seconds: 0.3 })
    const late = await ask(slow.gateway.port, "POST", "/v1/chat/completions", body())
    expect(errorOf(late.text)).toMatchObject({ code: "gateway_timeout" })
    await using picky = await world(() => [{ pause: 300 }, json({ error: { message: "too long", type: "x" } }, 400)])
    const refused = await ask(picky.gateway.port, "POST", "/v1/chat/completions", body())
    expect(errorOf(refused.text)).toMatchObject({ message: "too long" })
  })

  test("is told when what comes then is no stream", async () => {
    await using here = await world(() => [{ pause: 300 }, json(completion("m", "a"))])
    const all = await ask(here.gateway.port, "POST", "/v1/chat/completions", body())
    expect(errorOf(all.text)).toMatchObject({ code: "bad_gateway", message: expect.stringContaining("stream") })
    expect(all.end).not.toBe("complete")
  })

  test("and leaves ends the call to the backend", async () => {
    await using here = await world(() => ["hang"])
    const client = await asking(here.gateway.port)
    await client.until(({ text }) => text.includes(keepAlive))
    client.hangUp()
    const { gone } = here.upstreams[0]?.lastCall() ?? { gone: Promise.reject(new Error("no call")) }
    await gone
    await here.gateway.quiet()
  })

  test("gets an error event in a stream that breaks after its answer has begun", async () => {
    await using here = await world(() => [{ pause: 300 }, streamHead(), chunk(events[0] ?? ""), { pause: 15 }, "reset"])
    const all = await ask(here.gateway.port, "POST", "/v1/chat/completions", body())
    expect(told(all.text)).toStartWith(`${events[0] ?? ""}data: {"error":`)
    expect(all.end).not.toBe("complete")
    await here.gateway.quiet()
  })
})

describe("nothing is sent before the answer", () => {
  test("by default", async () => {
    await using here = await world(() => [{ pause: 300 }, json({ error: { message: "no" } }, 500)], undefined, {
      keepalive_after_seconds: 0
    })
    expect((await ask(here.gateway.port, "POST", "/v1/chat/completions", body())).status).toBe(502)
  })

  test("to a client that asked for no stream", async () => {
    await using here = await world(() => [{ pause: 300 }, json({ error: { message: "no" } }, 500)])
    expect((await ask(here.gateway.port, "POST", "/v1/chat/completions", body(false))).status).toBe(502)
  })

  test("when the answer begins in time", async () => {
    await using here = await world(() => answer, undefined, { keepalive_after_seconds: 5 })
    const all = await ask(here.gateway.port, "POST", "/v1/chat/completions", body())
    expect([all.text, all.header("x-nexus-backend")]).toEqual([events.join(""), "b0"])
    await here.gateway.quiet()
  })
})
