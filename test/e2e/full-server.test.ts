import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { phases, post, untilQueued } from "../kit/waiting-line.ts"

const path = "/v1/chat/completions"
const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })

const errorOf = (text: string): string => JSON.parse(text).error.message

const full = (more: ReadonlyArray<string> = ["Retry-After: 1"], status = 429, text = "busy") =>
  json({ error: { message: text } }, status, more)

/** A server that refuses what it has no slot for, and holds the rest until it is let. */
const startFull = async (slots: number, refusal = full()) => {
  const gates: Array<PromiseWithResolvers<void>> = []
  let working = 0
  let most = 0
  let refused = 0
  const upstream = await startUpstream({
    models: ["m"],
    script: async function* (request) {
      if (working >= slots) {
        refused += 1
        yield refusal
        return
      }
      working += 1
      most = Math.max(most, working)
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      yield { until: gate.promise }
      working -= 1
      yield* good()(request)
    }
  })
  return {
    upstream,
    most: () => most,
    refused: () => refused,
    /** Lets it answer all that it has, and all that comes. */
    opens: () => {
      const timer = setInterval(() => {
        for (const gate of gates) gate.resolve()
      }, 5)
      return { [Symbol.dispose]: () => clearInterval(timer) }
    },
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]()
  }
}

const before = (upstream: FakeUpstream, settings: SettingsTree = {}) =>
  startGateway({ ...settings, backends: [backendFor("one", upstream)] })

describe("a server that refuses what it has no slot for", () => {
  for (const [how, refusal] of [
    ["429", full()],
    ["429 without a word on when", full([])],
    ["503 with the time to wait", full(["Retry-After: 1"], 503, "Service Unavailable")]
  ] as const) {
    test(`by ${how} is waited for, and all are answered`, async () => {
      await using server = await startFull(2, refusal)
      await using gateway = await before(server.upstream)
      const first = [await post(gateway.port, "a"), await post(gateway.port, "b")]
      await server.upstream.call(1)
      const rest = []
      for (const id of ["c", "d", "e"]) rest.push(await post(gateway.port, id))
      await untilQueued(gateway.port, 3)
      using _ = server.opens()
      for (const client of [...first, ...rest]) expect((await client.answer()).status).toBe(200)
      expect([server.most(), server.refused() > 0]).toEqual([2, true])
      await gateway.quiet()
      expect(await phases(gateway.port)).toEqual([])
    })
  }

  test("is passed over for one that has a slot", async () => {
    await using busy = await startFull(0)
    await using free = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("busy", busy.upstream, { priority: 1 }), backendFor("free", free, { priority: 2 })]
    })
    const answer = await ask(gateway.port, "POST", path, body)
    expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "free"])
  })

  test("since others fill it is asked again when it has had its pause", async () => {
    let calls = 0
    await using upstream = await startUpstream({
      models: ["m"],
      script: (request) => {
        calls += 1
        return calls === 1 ? [full()] : good()(request)
      }
    })
    await using gateway = await before(upstream)
    const answer = await ask(gateway.port, "POST", path, body)
    expect([answer.status, answer.header("x-nexus-attempts"), calls]).toEqual([200, "2", 2])
  })

  test("is waited for no longer than requests may wait", async () => {
    await using server = await startFull(0)
    await using gateway = await before(server.upstream, { queue: { queue_timeout_seconds: 0.3 } })
    const answer = await ask(gateway.port, "POST", path, body)
    expect([answer.status, errorOf(answer.text)]).toEqual([429, expect.stringContaining("queue_timeout_seconds")])
    await gateway.quiet()
  })

  test("has its refusal passed on at once where requests do not wait", async () => {
    await using server = await startFull(0)
    await using gateway = await before(server.upstream, { queue: { enabled: false } })
    const answer = await ask(gateway.port, "POST", path, body)
    expect([answer.status, errorOf(answer.text), server.refused()]).toEqual([429, "busy", 1])
  })

  test("has its refusal passed on at once where it has counted what was asked in a minute", async () => {
    await using server = await startFull(0, full(["Retry-After: 1", "x-ratelimit-remaining-tokens: 0"]))
    await using gateway = await before(server.upstream)
    const answer = await ask(gateway.port, "POST", path, body)
    expect([answer.status, errorOf(answer.text), server.refused()]).toEqual([429, "busy", 1])
  })
})
