import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import Anthropic from "@anthropic-ai/sdk"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import OpenAI from "openai"
import { Dialects } from "../../src/dialect/all.ts"
import type { Listening } from "../../src/http/BunServer.ts"
import { FaultChooser, readFault } from "../../src/mock/fault-rules.ts"
import { makeMock } from "../../src/mock/mock-server.ts"
import type { MockScript } from "../../src/mock/mock-script.ts"
import { effect } from "../kit/effect.ts"
import { makeShell } from "../kit/shell.ts"

// Commands are processes, and a busy machine starts them slowly.
setDefaultTimeout(60_000)

const { close, cwd, nexus, startUntil } = makeShell()
afterAll(close)

const mocking = async (...args: ReadonlyArray<string>) =>
  (await startUntil(/listens on (http:\S+\d)/, "mock", "-p", "0", ...args)).found

const post = (url: string, path: string, body: object) =>
  fetch(url + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })

const hello = [{ role: "user", content: "Hello" }]

const made = (script: Partial<MockScript>) =>
  makeMock({
    name: "test",
    owner: "test",
    dialects: Dialects.defaultValue(),
    script: { models: [{ name: "m" }], answers: [], faults: [], ...script },
    onAnswer: () => Effect.void
  })

const chatPath = "/v1/chat/completions"

describe("nexus mock", () => {
  test("answers in every API that Nexus speaks, whole and streamed, and lists its models in each", async () => {
    const url = await mocking("--model", "small", "--answer", "A canned answer.")
    const parts = [{ parts: [{ text: "Hello" }] }]
    const asked: ReadonlyArray<readonly [path: string, body: object]> = [
      [chatPath, { model: "small", messages: hello }],
      [chatPath, { model: "small", messages: hello, stream: true }],
      ["/v1/completions", { model: "small", prompt: "Hello" }],
      ["/v1/responses", { model: "small", input: "Hello" }],
      ["/v1/responses", { model: "small", input: "Hello", stream: true }],
      ["/v1/messages", { model: "small", max_tokens: 100, messages: hello }],
      ["/v1/messages", { model: "small", max_tokens: 100, messages: hello, stream: true }],
      ["/api/chat", { model: "small", messages: hello, stream: false }],
      ["/api/generate", { model: "small", prompt: "Hello" }],
      ["/v1beta/models/small:generateContent", { contents: parts }],
      ["/v1beta/models/small:streamGenerateContent?alt=sse", { contents: parts }]
    ]
    for (const [path, body] of asked) {
      const answer = await post(url, path, body)
      const text = await answer.text()
      expect([path, answer.status]).toEqual([path, 200])
      // A stream says it in pieces of four letters.
      expect([path, text.includes("A canned answer.") || (text.includes('"A ca') && text.includes('"nned'))]).toEqual([
        path,
        true
      ])
    }
    for (const path of ["/v1/models", "/api/tags", "/v1beta/models"]) {
      expect(await (await fetch(url + path)).text()).toContain("small")
    }
    const unknown = await post(url, "/v1/messages", { model: "big", max_tokens: 1, messages: hello })
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { type: "not_found_error" } }])
  })

  test("plays a script turn by turn: a tool is called, and its result answered", async () => {
    writeFileSync(
      join(cwd, "agent.toml"),
      `[[models]]\nname = "agent"\n\n[[answers]]\nturn = 1\ncalls = [{ name = "weather", arguments = { city = "Paris" } }]\n\n` +
        `[[answers]]\ncontains = "sunny"\nreasoning = "So it is."\ntext = "The sun shines."\n`
    )
    const url = await mocking("--script", "agent.toml")
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 })
    const first = await client.chat.completions.create({ model: "agent", messages: [{ role: "user", content: "?" }] })
    const [call] = first.choices[0]?.message.tool_calls ?? []
    expect(first.choices[0]?.finish_reason).toBe("tool_calls")
    expect(call).toMatchObject({ function: { name: "weather", arguments: '{"city":"Paris"}' } })
    const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 })
    const stream = anthropic.messages.stream({
      model: "agent",
      max_tokens: 100,
      messages: [
        { role: "user", content: "?" },
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: {} }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "sunny" }] }
      ]
    })
    expect(await stream.finalText()).toBe("The sun shines.")
    const short = await client.chat.completions.create({
      model: "agent",
      max_tokens: 2,
      messages: [
        { role: "user", content: "?" },
        { role: "assistant", content: "." },
        { role: "user", content: "sunny" }
      ]
    })
    expect([short.choices[0]?.finish_reason, short.usage?.completion_tokens]).toEqual(["length", 2])
  })

  test("fails as its rules say, in the shape of the API that was asked", async () => {
    const url = await mocking(
      ...["limited", "cut", "bad", "gone", "wrong"].flatMap((name) => ["--model", name]),
      "--fault",
      "status=429 retry-after=3s every=2 model=limited",
      "--fault",
      "cut=3 model=cut",
      "--fault",
      "garbage model=bad",
      "--fault",
      "reset model=gone",
      "--fault",
      "error=2 model=wrong"
    )
    const ask = (model: string, stream = false) =>
      post(url, "/v1/messages", { model, max_tokens: 100, messages: hello, stream })
    expect((await ask("limited")).status).toBe(200)
    const limited = await ask("limited")
    expect([limited.status, limited.headers.get("retry-after"), await limited.json()]).toMatchObject([
      429,
      "3",
      { type: "error", error: { type: "rate_limit_error" } }
    ])
    expect((await ask("limited")).status).toBe(200)
    const pieces: Array<string> = []
    const reader = (await ask("cut", true)).body?.getReader()
    const torn = await (async () => {
      for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read())
        pieces.push(new TextDecoder().decode(read.value))
      return "whole"
    })().catch(() => "torn")
    expect([torn, pieces.join("").match(/text_delta/g)?.length]).toEqual(["torn", 3])
    const bad = await ask("bad")
    expect(bad.status).toBe(200)
    expect(await bad.json().catch(() => "no JSON")).toBe("no JSON")
    expect(
      await ask("gone").then(
        () => "answered",
        () => "reset"
      )
    ).toBe("reset")
    const wrong = await (await ask("wrong", true)).text()
    expect([wrong.match(/text_delta/g)?.length, wrong.includes('"type":"error"')]).toEqual([2, true])
  })

  test("says at its start which requests its rules are for", async () => {
    const rule = "status=429 every=5 model=small*"
    const { found } = await startUntil(/ {2}fault: (.*)\n/, "mock", "-p", "0", "--fault", rule, "--fault", "reset")
    expect(found).toBe("status 429 (of small*, every 5)")
  })

  test("says what is wrong with a rule or a file, and where", async () => {
    writeFileSync(
      join(cwd, "wrong.toml"),
      '[[models]]\nname = "a"\nspeed = 3\n[[faults]]\nstatus = 900\n[[faults]]\nprobabilty = 1\n[[answers]]\nturn = 1\n'
    )
    const [file, rule, idle] = await Promise.all([
      nexus("mock", "--script", "wrong.toml"),
      nexus("mock", "--fault", "statu=429"),
      nexus("mock", "--fault", "every=2")
    ])
    expect(file.code).toBe(1)
    expect(file.stderr).toContain("wrong.toml:3: unknown key models[0].speed")
    expect(file.stderr).toContain("wrong.toml:5: faults[0].status = 900: expected a value between 400 and 599")
    expect(file.stderr).toContain("wrong.toml:7: unknown key faults[1].probabilty; did you mean probability?")
    expect([rule.code, rule.stderr]).toEqual([2, expect.stringContaining("did you mean status?")])
    expect([idle.code, idle.stderr]).toEqual([2, expect.stringContaining("--fault 'every=2': it does nothing")])
  })
})

const asking = (stream: boolean) =>
  new Request(`http://mock${chatPath}`, {
    method: "POST",
    body: JSON.stringify({ model: "m", messages: hello, stream })
  })

// reason: nothing else of a server is looked at
const server = { timeout: () => undefined } as unknown as Listening

effect("never writes faster than its model, and works on no more at a time than it has slots", () =>
  Effect.gen(function* () {
    const models = [
      { name: "m", prefill_tokens_per_second: 2, tokens_per_second: 10, answer_tokens: 20, slots: 1 }
    ] as const
    const answer = yield* made({ models })
    let now = 0
    const ended: Array<number> = []
    for (const stream of [true, false]) {
      void answer(asking(stream), server)
        .then((response) => response.text())
        .then(() => ended.push(now))
    }
    while (ended.length < 2) {
      now += 100
      yield* TestClock.adjust("100 millis")
      yield* Effect.promise(() => Bun.sleep(0))
    }
    // A token of its prompt takes half a second, its answer two.
    expect(ended[0]).toBeGreaterThanOrEqual(2500)
    expect(ended[1]).toBeGreaterThanOrEqual(5000)
  })
)

test("a mistake of its own is told as that, and not as one of the client", async () => {
  const script = { models: [{ name: "m" }], answers: [], faults: [] }
  const onAnswer = () => Effect.die(new Error("a mistake"))
  const dialects = Dialects.defaultValue()
  const handler = await Effect.runPromise(makeMock({ name: "test", owner: "test", dialects, script, onAnswer }))
  expect((await handler(asking(false), server)).status).toBe(500)
})

test("an answer that fails at piece n has exactly n pieces, or all that there are", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(24), async (n) => {
      const models = [{ name: "m", answer_tokens: 12 }] as const
      const handler = await Effect.runPromise(made({ models, faults: [{ error_at_piece: n }] }))
      const text = await (await handler(asking(true), server)).text()
      expect(text.match(/"delta":\{[^}]*"content":"[^"]/g)?.length ?? 0).toBe(Math.min(n, 12))
      expect(text).toContain("server_error")
    }),
    { numRuns: 25 }
  ))

describe("the rules of faults", () => {
  test("meet each nth request that they are for, and no more of them than they may", () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 9 }), fc.nat(60), (every, times, asked) => {
        const chooser = new FaultChooser([{ every, times, model: "a*", status: 500 }], () => 0)
        const met = Array.from({ length: asked }, () => {
          expect(chooser.next("other")).toBeUndefined()
          return chooser.next("able") === undefined ? 0 : 1
        })
        expect(met.reduce<number>((sum, each) => sum + each, 0)).toBe(Math.min(times, Math.floor(asked / every)))
        const [first] = met.flatMap((each, at) => (each === 1 ? [at] : []))
        if (first !== undefined) expect(first).toBe(every - 1)
      })
    ))

  test("never throw, whatever is written", () =>
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(["Success", "Failure"]).toContain(readFault(text)._tag)
      })
    ))
})
