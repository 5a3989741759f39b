import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: [{ id: "m", tools: true }] })
  gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const schema = { type: "object", properties: {} }

const requests: ReadonlyArray<readonly [path: string, body: object]> = [
  [
    "/v1/responses",
    {
      model: "m",
      input: [
        { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
        { type: "reasoning", summary: [{ type: "summary_text", text: "r" }] },
        { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "c", output: "done" }
      ],
      tools: [
        { type: "function", name: "f", parameters: schema },
        { type: "custom", name: "g", format: { type: "grammar", syntax: "lark", definition: "x" } }
      ],
      tool_choice: { type: "function", name: "f" },
      text: { format: { type: "json_schema", name: "n", schema } },
      reasoning: { effort: "low" }
    }
  ],
  [
    "/v1/messages",
    {
      model: "m",
      max_tokens: 9,
      messages: [
        { role: "user", content: [{ type: "text", text: "hi" }] },
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: {} }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "x" }] }] }
      ],
      tools: [{ type: "custom", name: "f", input_schema: schema }],
      tool_choice: { type: "auto" },
      thinking: { type: "enabled", budget_tokens: 1024 }
    }
  ],
  [
    "/v1beta/models/m:generateContent",
    {
      contents: [{ role: "user", parts: [{ text: "hi" }] }],
      tools: [{ functionDeclarations: [{ name: "f", parameters: { type: "OBJECT" } }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["f"] } },
      generationConfig: { maxOutputTokens: 5, stopSequences: ["x"], thinkingConfig: { thinkingBudget: 1 } }
    }
  ],
  [
    "/api/chat",
    {
      model: "m",
      stream: false,
      messages: [{ role: "user", content: "hi" }],
      tools: [{ type: "function", function: { name: "f", parameters: schema } }],
      tool_choice: { type: "function", function: { name: "f" } },
      format: "json",
      think: "low",
      options: { num_predict: 5, seed: 1, stop: ["x"] }
    }
  ],
  ["/api/embed", { model: "m", input: ["a"], dimensions: 3 }]
]

// What makes a word or a number of an object is no function of it.
const odd = { toString: 1, valueOf: 2, constructor: 3 }

/** All values that have the odd one in one place. */
const spoilt = function* (value: unknown, at = ""): Generator<readonly [place: string, value: unknown]> {
  yield [at, odd]
  if (typeof value !== "object" || value === null) return
  for (const [name, each] of Object.entries(value)) {
    for (const [place, other] of spoilt(each, `${at}.${name}`)) {
      yield [
        place,
        Array.isArray(value)
          ? value.map((old: unknown, index) => (String(index) === name ? other : old))
          : { ...value, [name]: other }
      ]
    }
  }
}

describe("an object that names no text of itself, in any place of a request, is no failure of the gateway:", () => {
  for (const [path, body] of requests) {
    test(path, async () => {
      const inside: Array<string> = []
      for (const [place, value] of spoilt(body)) {
        const { status } = await ask(gateway.port, "POST", path, JSON.stringify(value))
        if (![200, 400, 404].includes(status)) inside.push(`${place}: ${status}`)
      }
      expect(inside).toEqual([])
    })
  }
})

test("an error under a good status whose code is such an object is an error of the backend", async () => {
  for (const error of [
    { code: odd, message: "it broke" },
    { status: odd, message: odd, type: odd }
  ]) {
    upstream.script(() => [json({ error })])
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
    expect((await ask(gateway.port, "POST", "/v1/chat/completions", body)).status).toBe(502)
  }
})
