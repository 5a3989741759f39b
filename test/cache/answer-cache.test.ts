import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import fc from "fast-check"
import { AnswerCache } from "../../src/cache/AnswerCache.ts"
import { canonicalRequest } from "../../src/dialect/canonical-request.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { chatEvents, completion, json, whole } from "../kit/answers.ts"
import { modelOf, startUpstream, streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Seen } from "../kit/rawServer.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-cache-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const path = "/v1/chat/completions"

const chat = (content: string, more: object = {}) => ({ model: "m", messages: [{ role: "user", content }], ...more })

const numbered = () => {
  let answers = 0
  return (seen: Seen) => {
    answers += 1
    return wantsStream(seen)
      ? streamed(chatEvents(modelOf(seen), ["answer ", String(answers)]))
      : [json(completion(modelOf(seen), `answer ${answers}`))]
  }
}

const world = async (policy: SettingsTree, settings: SettingsTree = {}) => {
  const upstream = await startUpstream({ models: ["m", "n"], script: numbered() })
  const gateway = await startGateway({
    backends: [backendFor("b", upstream)],
    models: [{ name: "m", cache_seconds: 60, ...policy }],
    ...settings
  })
  const post = (body: object, headers: ReadonlyArray<string> = [], to = path) =>
    ask(gateway.port, "POST", to, JSON.stringify(body), headers)
  return {
    upstream,
    gateway,
    post,
    /** `hit` or `miss` of a request. */
    found: async (body: object, headers: ReadonlyArray<string> = [], to = path) =>
      (await post(body, headers, to)).header("x-nexus-cache"),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const memory = (most: number) =>
  Effect.runSync(
    Effect.scoped(Effect.map(Layer.build(AnswerCache.layer(() => most)), (built) => Context.get(built, AnswerCache)))
  )

describe("answers that are kept", () => {
  const step = fc.record({ key: fc.constantFrom("a", "b", "c", "d"), size: fc.nat(3000), find: fc.boolean() })

  test("never take more room than there is, and are found until they are too old or make room", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 8000 }), (steps, most) => {
        const cache = memory(most)
        for (const [now, { find, key, size }] of steps.entries()) {
          if (find) {
            const found = Effect.runSync(cache.find(key, now))
            expect(found === undefined || found.until > now).toBe(true)
          } else cache.keep(key, { body: new Uint8Array(size), type: "", keptAt: now, until: now + 5 })
          expect(Effect.runSync(cache.standing).bytes).toBeLessThanOrEqual(most)
        }
        Effect.runSync(cache.clear)
        expect(Effect.runSync(cache.standing)).toEqual({ entries: 0, bytes: 0 })
      })
    )
  })

  test("belong to requests that are the same whatever the order of their fields, and to no others", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (fields) => {
        const other = Object.fromEntries(Object.entries(fields).toReversed())
        expect(canonicalRequest(other)).toBe(canonicalRequest(fields))
        expect(JSON.parse(canonicalRequest(fields) ?? "")).toEqual(JSON.parse(JSON.stringify(fields)))
      })
    )
  })
})

describe("a model with cache_seconds", () => {
  test("gives the same answer to the very same request, says so, and asks nobody", async () => {
    await using all = await world({})
    const first = await all.post(chat("hi"))
    const again = await ask(
      all.gateway.port,
      "POST",
      path,
      '{ "messages":[{"content":"hi","role":"user"}], "model":"m" }'
    )
    expect([first.header("x-nexus-cache"), again.header("x-nexus-cache")]).toEqual(["miss", "hit"])
    expect(again.text).toBe(first.text)
    expect([again.header("age"), again.header("content-type"), again.header("x-nexus-backend")]).toEqual([
      "0",
      "application/json",
      undefined
    ])
    expect(all.upstream.calls()).toHaveLength(1)
    for (const other of [
      chat("ho"),
      chat("hi", { temperature: 0.5 }),
      chat("hi", { user: "u" }),
      chat("hi", { seed: 1 })
    ]) {
      expect(await all.found(other)).toBe("miss")
    }
    expect((await all.post(chat("hi", { model: "n" }))).header("x-nexus-cache")).toBeUndefined()
  })

  test("gives a stream again as a stream, whole, and keeps it apart from the answer that is none", async () => {
    await using all = await world({})
    for (const [to, body] of [
      [path, chat("hi", { stream: true })],
      ["/v1/messages", { ...chat("hi", { stream: true }), max_tokens: 9 }],
      ["/v1/responses", { model: "m", input: "hi", stream: true }],
      ["/api/chat", chat("hi")]
    ] as const) {
      const first = await all.post(body, [], to)
      const again = await all.post(body, [], to)
      expect([first.header("x-nexus-cache"), again.header("x-nexus-cache")]).toEqual(["miss", "hit"])
      expect(again.text).toBe(first.text)
      expect(again.header("content-type")).toBe(first.header("content-type"))
    }
    expect(await all.found(chat("hi"))).toBe("miss")
  })

  test("keeps no failure, no refusal and no answer that broke", async () => {
    await using all = await world({}, { routing: { max_retries: 0 } })
    all.upstream.script(() => [json({ error: { message: "no" } }, 400)])
    await all.post(chat("a"))
    expect(await all.found(chat("a"))).not.toBe("hit")
    const [head = "", first = ""] = streamed(chatEvents("m", ["half", "rest"]))
    all.upstream.script(() => [head, first, "reset"])
    expect((await all.post(chat("b", { stream: true }))).text).toContain("error")
    all.upstream.script(numbered())
    expect(await all.found(chat("b", { stream: true }))).toBe("miss")
  })

  test("heeds what the client says of it: no-cache is asked anew, no-store leaves nothing, max-age bounds the age", async () => {
    await using all = await world({})
    await all.post(chat("hi"))
    const anew = await all.post(chat("hi"), ["Cache-Control: no-cache"])
    expect([anew.header("x-nexus-cache"), JSON.parse(anew.text).choices[0].message.content]).toEqual([
      "miss",
      "answer 2"
    ])
    expect(JSON.parse((await all.post(chat("hi"))).text).choices[0].message.content).toBe("answer 2")
    expect(await all.found(chat("hi"), ["Cache-Control: max-age=0"])).toBe("miss")
    expect(await all.found(chat("x"), ["Cache-Control: no-store"])).toBe("miss")
    expect(await all.found(chat("x"))).toBe("miss")
  })

  test("keeps what is likeliest alone where that is said, and vectors", async () => {
    await using all = await world({ cache_requests: "deterministic" })
    expect(await all.found(chat("hi"))).toBeUndefined()
    expect([await all.found(chat("hi", { temperature: 0 })), await all.found(chat("hi", { temperature: 0 }))]).toEqual([
      "miss",
      "hit"
    ])
    all.upstream.script(() => [
      json({ object: "list", data: [{ object: "embedding", index: 0, embedding: [0.5] }], model: "m" })
    ])
    const vectors = { model: "m", input: "hi" }
    expect([await all.found(vectors, [], "/v1/embeddings"), await all.found(vectors, [], "/v1/embeddings")]).toEqual([
      "miss",
      "hit"
    ])
  })

  test("gives an answer of one key to another one where that is said, and never otherwise", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: numbered() })
    for (const shared of [false, true]) {
      await using gateway = await startKeyed(
        { a: {}, b: {} },
        { backends: [backendFor("b", upstream)], models: [{ name: "*", cache_seconds: 60, cache_shared: shared }] }
      )
      const found = async (key: string) => (await askAs(gateway, key, path, chat("hi"))).headers.get("x-nexus-cache")
      expect([await found("a"), await found("a"), await found("b")]).toEqual(["miss", "hit", shared ? "hit" : "miss"])
    }
  })

  test("is told by requests, metrics and usage, and can be cleared", async () => {
    await using all = await world({}, { usage: { enabled: true, path: join(folder, "usage.sqlite") } })
    await all.post(chat("hi"))
    await all.post(chat("hi"))
    const { port } = all.gateway
    const [last] = JSON.parse((await ask(port, "GET", "/admin/v1/decisions")).text).requests
    expect([last.cache, last.backend, last.attempts]).toEqual(["hit", "", 0])
    expect((await ask(port, "GET", "/metrics")).text).toContain('nexus_cache_lookups_total{name="m",cache="hit"} 1')
    const { rows } = JSON.parse((await ask(port, "GET", "/admin/v1/usage?by=backend")).text)
    const kept = rows.find(({ of }: { of: ReadonlyArray<string> }) => of[0] === "(cache)")
    expect(kept).toMatchObject({ requests: 1, fresh: 0, output: 0, cost_nanos: 0, estimated: 0 })
    expect(JSON.parse((await ask(port, "GET", "/admin/v1/cache")).text).entries).toBe(1)
    expect(JSON.parse((await ask(port, "DELETE", "/admin/v1/cache")).text)).toMatchObject({
      entries: 1,
      complete: true
    })
    expect(await all.found(chat("hi"))).toBe("miss")
    // By the name of the settings that was meant, however it was written.
    await all.post({ ...chat("hi"), model: "openai/m" })
    expect((await ask(port, "GET", "/metrics")).text).toContain('nexus_cache_lookups_total{name="m",cache="miss"} 3')
  })

  test("keeps no more than it may", async () => {
    await using all = await world({}, { cache: { max_answer_mb: 0.001 } })
    all.upstream.script(() => [whole(200, JSON.stringify(completion("m", "x".repeat(5000))))])
    expect([await all.found(chat("hi")), await all.found(chat("hi"))]).toEqual(["miss", "miss"])
  })
})
