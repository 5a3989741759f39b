import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { EventWatch } from "../../src/dialect/openai/event-watch.ts"
import { usageWish } from "../../src/dialect/openai/usage-wish.ts"
import { chatEvents, chunk, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream, streamed } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const usage = { prompt_tokens: 100, completion_tokens: 20 }

const meterEvent = event({ object: "chat.completion.chunk", choices: [], usage })

const answer = chatEvents("m", ["a", "\n\n", "b"])

const chat = (more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], stream: true, ...more })

const totalsAt = async (port: number) => {
  const { text } = await ask(port, "GET", "/admin/v1/usage")
  return JSON.parse(text).total
}

const world = async (name: string, script: Parameters<typeof startUpstream>[0]["script"], isOn = true) => {
  const upstream = await startUpstream({ models: ["m", "n"], ...(script === undefined ? {} : { script }) })
  const gateway = await startGateway({
    usage: { enabled: isOn, path: join(folder, `${name}.sqlite`) },
    routing: { aliases: { other: "m" } },
    backends: [backendFor("one", upstream)]
  })
  return {
    upstream,
    gateway,
    post: (body: string) => ask(gateway.port, "POST", "/v1/chat/completions", body),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const bodyOf = (text: string): string => text.slice(0, text.indexOf(done) + done.length)

describe("a stream whose client has not asked for its tokens", () => {
  test("is asked for them, and goes on without the event that tells them; its tokens are what the backend said", async () => {
    await using at = await world("asked", () => [...streamed([...answer.slice(0, -1), meterEvent, done])])
    const got = await at.post(chat())
    expect(bodyOf(got.text)).toBe(answer.join(""))
    expect(JSON.parse(at.upstream.lastCall().text)).toEqual({
      ...JSON.parse(chat()),
      stream_options: { include_usage: true }
    })
    await at.post(chat({ model: "other", stream_options: { include_obfuscation: false } }))
    expect(JSON.parse(at.upstream.lastCall().text)).toEqual({
      ...JSON.parse(chat()),
      stream_options: { include_obfuscation: false, include_usage: true }
    })
    expect(await totalsAt(at.gateway.port)).toMatchObject({ requests: 2, fresh: 200, output: 40, estimated: 0 })
  })

  test("has them in its own events where the backend tells them there", async () => {
    const last = event({
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: {}, finish_reason: "stop" }],
      usage
    })
    await using at = await world("inside", () => [...streamed([...answer.slice(0, 3), last, done])])
    expect(bodyOf((await at.post(chat())).text)).toBe([...answer.slice(0, 3), last, done].join(""))
  })

  test("is asked anew without them where the backend refuses to be asked, once", async () => {
    await using at = await world("refused", ({ text }) =>
      text.includes("stream_options")
        ? [json({ error: { message: "Unrecognized request argument supplied: stream_options" } }, 400)]
        : [...streamed(answer)]
    )
    for (let n = 0; n < 2; n += 1) expect(bodyOf((await at.post(chat())).text)).toBe(answer.join(""))
    expect(at.upstream.calls().map(({ text }) => text.includes("stream_options"))).toEqual([true, false, false])
    expect(await totalsAt(at.gateway.port)).toMatchObject({ requests: 2, completed: 2, estimated: 2 })
  })

  test("loses none of its end when its backend goes away in the middle of an event", async () => {
    const [first = "", second = ""] = answer
    await using at = await world("broken", () => [streamHead(), chunk(first), chunk(second.slice(0, 20)), lastChunk])
    const { text } = await at.post(chat())
    expect(text.startsWith(first + second.slice(0, 20))).toBe(true)
    expect(text).toContain('"error"')
  })
})

describe("a stream whose client has asked", () => {
  test("passes as it is, there and back, and so does every one where nothing is written down", async () => {
    const all = [...answer.slice(0, -1), meterEvent, done]
    await using on = await world("own", () => [...streamed(all)])
    const own = chat({ stream_options: { include_usage: true } })
    expect(bodyOf((await on.post(own)).text)).toBe(all.join(""))
    expect(on.upstream.lastCall().text).toBe(own)
    await using off = await world("off", () => [...streamed(all)], false)
    expect(bodyOf((await off.post(chat())).text)).toBe(all.join(""))
    expect(off.upstream.lastCall().text).toBe(chat())
  })
})

describe("the event of the tokens", () => {
  const part = fc.constantFrom(
    ...answer.slice(0, -1),
    meterEvent,
    meterEvent.replaceAll("\n", "\r\n"),
    ": keep-alive\n\n",
    event({ choices: [], prompt_filter_results: [] }),
    event({ choices: [{ index: 0, delta: { content: '"usage":{' } }], usage: null }),
    event({ choices: [{ index: 0, delta: { content: "grüße" } }], usage })
  )

  test("is left out under any cutting, and no other byte is", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.nat(400)), fc.boolean(), (parts, cuts, torn) => {
        const whole = [...parts, ...(torn ? [answer[0]?.slice(0, 12) ?? ""] : [done])]
        const bytes = new TextEncoder().encode(whole.join(""))
        const watch = new EventWatch()
        const filter = usageWish.hold(watch)
        const places = [...new Set([0, ...cuts.filter((cut) => cut < bytes.length), bytes.length])].toSorted(
          (a, b) => a - b
        )
        const passed: Array<Uint8Array> = []
        for (const [at, from] of places.slice(0, -1).entries()) {
          const piece = bytes.slice(from, places[at + 1])
          watch.push(piece)
          if (filter !== undefined) passed.push(filter.push(piece).slice())
        }
        if (filter !== undefined) passed.push(filter.rest())
        const isMeter = (each: string) => each.replaceAll("\r", "") === meterEvent
        expect(Buffer.concat(passed).toString()).toBe(whole.filter((each) => !isMeter(each)).join(""))
      })
    )
  })

  test("is wished for in the body alone: every other byte of it stays", () => {
    const body = fc.record(
      {
        model: fc.constant("m"),
        messages: fc.array(fc.string({ unit: "binary" })),
        note: fc.constantFrom("stream_options", '"stream_options":{}'),
        stream_options: fc.constantFrom(null, {}, { include_usage: false }, { include_usage: true, more: 1 })
      },
      { requiredKeys: ["model"] }
    )
    fc.assert(
      fc.property(body, (fields) => {
        const bytes = new TextEncoder().encode(JSON.stringify(fields))
        const asked = usageWish.ask(bytes, [bytes])
        if (fields.stream_options?.include_usage === true) return expect(asked).toBeUndefined()
        const { stream_options: own, ...others } = fields
        const made = JSON.parse(Buffer.concat(asked ?? []).toString())
        expect(made).toEqual({ ...JSON.parse(JSON.stringify(others)), stream_options: { ...own, include_usage: true } })
      })
    )
  })
})
