import { afterAll, describe, expect, test } from "bun:test"
import { ask } from "../kit/rawClient.ts"
import { json } from "../kit/answers.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"

const path = "/v1/chat/completions"

const small = await startUpstream({ type: "vllm", models: [{ id: "m", context: 8192 }] })
const large = await startUpstream({ type: "vllm", models: [{ id: "m", context: 32_768 }] })
const alone = await startGateway({ backends: [backendFor("small", small, { type: "vllm" })] })
const both = await startGateway({
  backends: [
    backendFor("small", small, { type: "vllm", priority: 1 }),
    backendFor("large", large, { type: "vllm", priority: 9 })
  ],
  routing: { strategy: "priority_only" }
})

afterAll(async () => {
  await both[Symbol.asyncDispose]()
  await alone[Symbol.asyncDispose]()
  await large[Symbol.asyncDispose]()
  await small[Symbol.asyncDispose]()
})

const english =
  "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood. "
const filled = (text: string, units: number): string => text.repeat(Math.ceil(units / text.length)).slice(0, units)

const send = (port: number, content: string, more: object = {}, escaped = false) => {
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }], ...more })
  const text = escaped
    ? body.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : body
  return ask(port, "POST", path, text)
}

const tools = Array.from({ length: 120 }, (_, at) => ({
  type: "function",
  function: {
    name: `tool_${at}`,
    description: filled(english, 300),
    parameters: { type: "object", properties: { path: { type: "string", description: filled(english, 120) } } }
  }
}))

describe("a prompt that may fit is sent, however long it looks", () => {
  const cases: ReadonlyArray<readonly [name: string, content: string]> = [
    ["33,500 letters of English for 8192 tokens", filled(english, 33_500)],
    ["rows of dashes", `${"-".repeat(79)}\n`.repeat(1000)],
    ["a page of blanks", " ".repeat(200_000)],
    ["deep indentation", `${" ".repeat(60)}}\n`.repeat(2000)],
    ["long words", filled("internationalization responsibilities ", 60_000)],
    ["escapes of a few characters", filled("é", 20_000)]
  ]
  test.each(cases)("%s", async (_name, content) => {
    for (const escaped of [false, true]) expect((await send(alone.port, content, {}, escaped)).status).toBe(200)
  })
})

describe("a prompt that no tokenizer makes fit is refused at once, in the words that make agents shorten it", () => {
  const cases: ReadonlyArray<readonly [name: string, content: string, more: object]> = [
    ["English of 60,000 letters", filled(english, 60_000), {}],
    ["English of 400,000 letters", filled(english, 400_000), {}],
    ["Chinese of 60,000 ideographs", filled("人人生而自由，在尊严和权利上一律平等。", 60_000), {}],
    ["a hundred and twenty tools", "hi", { tools }],
    [
      "calls of tools",
      "hi",
      {
        messages: [
          {
            role: "assistant",
            content: null,
            tool_calls: [
              {
                id: "1",
                type: "function",
                function: { name: "f", arguments: JSON.stringify({ a: filled(english, 60_000) }) }
              }
            ]
          }
        ]
      }
    ]
  ]
  test.each(cases)("%s", async (_name, content, more) => {
    const before = small.calls().length
    for (const escaped of [false, true]) {
      const answer = await send(alone.port, content, more, escaped)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({
        error: {
          type: "invalid_request_error",
          code: "context_length_exceeded",
          param: "messages",
          message: expect.stringMatching(/maximum context length .* 8192 tokens.* at least \d+ tokens/)
        }
      })
    }
    expect(small.calls()).toHaveLength(before)
  })

  test("and not for tools that may not be called, or a form of the answer: they may be left out of the prompt", async () => {
    expect((await send(alone.port, "hi", { tools, tool_choice: "none" })).status).toBe(200)
    const schema = { type: "object", description: filled(english, 60_000) }
    const format = { type: "json_schema", json_schema: { name: "n", schema } }
    expect((await send(alone.port, "hi", { response_format: format })).status).toBe(200)
  })
})

describe("who has more room goes first", () => {
  const cases: ReadonlyArray<readonly [name: string, content: string, more: object]> = [
    ["for Chinese of 20,000 ideographs", filled("人人生而自由，在尊严和权利上一律平等。", 20_000), {}],
    ["for many tools", "hi", { tools: tools.slice(0, 90) }],
    ["for English of 33,500 letters", filled(english, 33_500), {}],
    ["for an answer of many tokens", "hi", { max_tokens: 8193 }]
  ]
  test.each(cases)("%s", async (_name, content, more) => {
    for (const escaped of [false, true]) {
      const answer = await send(both.port, content, more, escaped)
      expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "large"])
    }
  })

  test("and the preferred one takes what fits in any case", async () => {
    expect((await send(both.port, filled(english, 20_000))).header("x-nexus-backend")).toBe("small")
  })
})

test("a prompt that one backend finds too long goes to one with a longer context, and not to another like it", async () => {
  const full = () => [json({ error: { message: "prompt is too long: 9000 tokens > 8192 maximum", type: "x" } }, 400)]
  const start = (context: number, script?: typeof full) =>
    startUpstream({ type: "vllm", models: [{ id: "m", context }], ...(script === undefined ? {} : { script }) })
  await using one = await start(8192, full)
  await using twin = await start(8192, full)
  await using roomy = await start(16_384)
  const backends = [
    backendFor("one", one, { type: "vllm", priority: 1 }),
    backendFor("twin", twin, { type: "vllm", priority: 2 })
  ]
  const routing = { strategy: "priority_only" } as const
  await using gateway = await startGateway({
    backends: [...backends, backendFor("roomy", roomy, { type: "vllm", priority: 3 })],
    routing
  })
  const answer = await send(gateway.port, "hi")
  expect([answer.status, answer.header("x-nexus-backend"), twin.calls().length]).toEqual([200, "roomy", 0])
  await using both = await startGateway({ backends, routing })
  const refused = await send(both.port, "hi")
  expect(refused.json()).toMatchObject({ error: { code: "context_length_exceeded" } })
  expect([refused.status, one.calls().length + twin.calls().length]).toEqual([400, 2])
})

describe("a context that is only in force now", () => {
  test("refuses nothing, and who has more of it goes first", async () => {
    await using little = await startUpstream({ type: "ollama", models: [{ id: "m", context: 2048 }] })
    await using more = await startUpstream({ type: "ollama", models: [{ id: "m", context: 16_384 }] })
    const one = backendFor("little", little, { type: "ollama", priority: 1 })
    await using only = await startGateway({ backends: [one] })
    expect((await send(only.port, filled(english, 200_000))).status).toBe(200)
    await using two = await startGateway({
      backends: [one, backendFor("more", more, { type: "ollama", priority: 9 })],
      routing: { strategy: "priority_only" }
    })
    expect((await send(two.port, filled(english, 20_000))).header("x-nexus-backend")).toBe("more")
    expect((await send(two.port, "hi")).header("x-nexus-backend")).toBe("little")
  })
})

describe("a prompt that Ollama has cut", () => {
  const whole = (read: number) => [
    json({
      id: "c",
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
      usage: { prompt_tokens: read, completion_tokens: 1, total_tokens: read + 1 }
    })
  ]

  test("is told of in a header, where the tokens it has read show that, and in the log once", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({
      type: "ollama",
      models: [{ id: "m", context: 2048 }],
      script: () => whole(1900)
    })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream, { type: "ollama" })],
      logging: { level: "warn", format: "json" }
    })
    const long = filled(english, 20_000)
    for (let time = 0; time < 3; time += 1) {
      const answer = await send(gateway.port, long)
      expect(answer.header("x-nexus-warning")).toMatch(/cut: the backend read 1900 of at least \d+ tokens/)
    }
    expect((await send(gateway.port, filled(english, 9000))).header("x-nexus-warning")).toBeUndefined()
    await gateway.quiet()
    await until(() => log.text().includes("a prompt was cut"), "it is logged")
    expect(log.text().split("a prompt was cut")).toHaveLength(2)
  })

  test("shows at once where its context was not known, which is asked for after the first answer", async () => {
    let loaded = false
    await using upstream = await startUpstream({
      type: "ollama",
      models: [{ id: "m", context: 4096 }],
      probe: ({ target }) => (target === "/api/ps" && !loaded ? [json({ models: [] })] : undefined),
      script: () => {
        loaded = true
        return whole(3000)
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type: "ollama" })] })
    const inForce = () => gateway.backend("one").models[0]?.context_in_force
    expect(inForce()).toBeUndefined()
    expect((await send(gateway.port, filled(english, 40_000))).header("x-nexus-warning")).toContain("read 3000")
    await until(() => inForce() === 4096, "its context is known")
  })
})
