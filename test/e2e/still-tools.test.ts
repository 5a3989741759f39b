import { describe, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const tools = ["write", "read", "grep"].map((name) => ({
  name,
  description: `to ${name}`,
  input_schema: { type: "object", properties: { b: { type: "string" }, a: { type: "number" } } }
}))

const system = [
  { type: "text", text: "x-anthropic-billing-header: n=1;" },
  { type: "text", text: "Be brief." }
]

/** What a backend of these settings is asked by two turns whose tools stand in another order. */
const askedBy = async (settings: SettingsTree) => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream, settings)] })
  for (const offered of [tools, tools.toReversed()]) {
    const body = { model: "m", max_tokens: 10, system, tools: offered, messages: [{ role: "user", content: "hi" }] }
    const answer = await ask(gateway.port, "POST", "/v1/messages", JSON.stringify(body))
    expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, "anthropic->openai"])
  }
  return upstream.calls().map(({ text }) => text)
}

const namesIn = (text: string): ReadonlyArray<string> =>
  JSON.parse(text).tools.map((tool: { readonly function: { readonly name: string } }) => tool.function.name)

describe("an agent that changes the order of its tools between two turns", () => {
  test.each(["llamacpp", "vllm", "generic"])("has the same prompt read by a local server (%s)", async (type) => {
    const [first = "", second] = await askedBy({ type, native: "never" })
    expect(second).toBe(first)
    expect(namesIn(first)).toEqual(["grep", "read", "write"])
    expect(JSON.parse(first).tools[1].function).toMatchObject({
      description: "to read",
      parameters: tools[1]?.input_schema
    })
  })

  const schema = { type: "object", properties: { b: { type: "string" }, a: { type: "number" } } }
  const functions = ["write", "read", "grep"].map((name) => ({ name, description: `to ${name}`, parameters: schema }))
  const hi = { role: "user", content: "hi" }
  const dialects: ReadonlyArray<readonly [string, string, (offered: typeof functions) => object]> = [
    [
      "responses",
      "/v1/responses",
      (offered) => ({
        model: "m",
        input: "hi",
        tools: offered.map((each) => Object.assign({ type: "function" }, each))
      })
    ],
    [
      "gemini",
      "/v1beta/models/m:generateContent",
      (offered) => ({
        contents: [{ role: "user", parts: [{ text: "hi" }] }],
        tools: [{ functionDeclarations: offered.slice(0, 1) }, { functionDeclarations: offered.slice(1) }]
      })
    ],
    [
      "ollama",
      "/api/chat",
      (offered) => ({
        model: "m",
        stream: false,
        messages: [hi],
        tools: offered.map((each) => ({ type: "function", function: each }))
      })
    ]
  ]

  test.each(dialects)(
    "has the same prompt read whichever API its client speaks (%s)",
    async (dialect, path, bodyOf) => {
      await using upstream = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
      for (const offered of [functions, functions.toReversed()]) {
        const answer = await ask(gateway.port, "POST", path, JSON.stringify(bodyOf(offered)))
        expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, `${dialect}->openai`])
      }
      const [first = "", second] = upstream.calls().map(({ text }) => text)
      expect(second).toBe(first)
      expect(namesIn(first)).toEqual(["grep", "read", "write"])
    }
  )

  test("has them told as it orders them where sort_tools is off", async () => {
    const asked = await askedBy({ sort_tools: false })
    expect(asked.map(namesIn)).toEqual([
      ["write", "read", "grep"],
      ["grep", "read", "write"]
    ])
  })

  test("has them told as it orders them by a cloud, but where sort_tools is on", async () => {
    expect((await askedBy({ type: "openai" })).map(namesIn)[0]).toEqual(["write", "read", "grep"])
    expect((await askedBy({ type: "openai", sort_tools: true })).map(namesIn)[0]).toEqual(["grep", "read", "write"])
  })

  test("is passed on byte for byte where nothing is translated", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream, { sort_tools: true })] })
    const own = tools.map(({ name }) => ({ type: "function", function: { name, parameters: { type: "object" } } }))
    const body = JSON.stringify({ model: "m", tools: own, messages: [{ role: "user", content: "hi" }] })
    expect((await ask(gateway.port, "POST", "/v1/chat/completions", body)).status).toBe(200)
    expect(upstream.lastCall().text).toBe(body)
  })
})
