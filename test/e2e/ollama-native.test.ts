import { describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chatEvents, json } from "../kit/answers.ts"
import { startUpstream, streamed } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ending, lines, ollamaSays, saying } from "../kit/ollama.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script, Seen } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

const world = async (settings: SettingsTree = {}, script: Script = ollamaSays(["hi"])) => {
  const upstream = await startUpstream({
    type: "ollama",
    models: [
      { id: "tide:8b", tools: true },
      { id: "nomic:1", embeddings: true }
    ],
    script: (request) =>
      request.target.startsWith("/v1") ? streamed(chatEvents("tide:8b", ["from v1"])) : script(request)
  })
  const gateway = await startGateway({
    backends: [backendFor("one", upstream, { type: "ollama", ...settings })],
    routing: { max_retries: 0 }
  })
  return {
    upstream,
    gateway,
    port: gateway.port,
    sdk: new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 }),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const chat = (more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ model: "tide:8b", messages: [{ role: "user", content: "hello" }], stream: true, ...more })

const post = (port: number, path: string, body: string) => ask(port, "POST", path, body)

const optionsOf = (seen: Seen) => fieldsOf(seen)["options"]

describe("an Ollama behind a client of OpenAI's", () => {
  test("is asked at /v1, byte for byte, as long as that says all", async () => {
    await using here = await world()
    const body = chat({
      max_tokens: 5,
      tool_choice: "auto",
      tools: [{ type: "function", function: { name: "f", parameters: { properties: { options: {}, think: {} } } } }],
      messages: [{ role: "user", content: 'say "think" and {"keep_alive": 1}' }]
    })
    const answer = await post(here.port, "/v1/chat/completions", body)
    expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, undefined])
    expect([here.upstream.lastCall().target, here.upstream.lastCall().text]).toEqual(["/v1/chat/completions", body])
  })

  test("is asked in its own words for what /v1 passes over: a limit, memory, thinking, options, no tools", async () => {
    await using here = await world()
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }]
    const cases: ReadonlyArray<readonly [Readonly<Record<string, unknown>>, object, ReadonlyArray<string>]> = [
      [{ max_completion_tokens: 7 }, { options: { num_predict: 7 } }, []],
      [{ keep_alive: "30m" }, { keep_alive: "30m" }, []],
      [{ think: "high" }, { think: "high" }, []],
      [{ options: { num_ctx: 8192 }, seed: 3 }, { options: { num_ctx: 8192, seed: 3 } }, ["keep_alive"]],
      [{ tools, tool_choice: "none" }, {}, ["tools"]]
    ]
    for (const [asked, told, lacking] of cases) {
      const answer = await post(here.port, "/v1/chat/completions", chat(asked))
      expect([answer.status, answer.header("x-nexus-dialect")]).toEqual([200, "openai->ollama"])
      expect(answer.header("x-nexus-dropped")).toBeUndefined()
      expect(answer.text).toContain('"content":"hi"')
      expect(answer.text).toEndWith("data: [DONE]\n\n")
      const seen = here.upstream.lastCall()
      expect([seen.target, fieldsOf(seen)]).toMatchObject(["/api/chat", { stream: true, ...told }])
      for (const field of lacking) expect(fieldsOf(seen)).not.toHaveProperty(field)
    }
  })

  test("answers the official package in its own words: whole, streamed, with calls and an error", async () => {
    const calls = [
      { function: { index: 0, name: "read", arguments: { at: "north", id: 1 } } },
      { function: { index: 0, name: "open", arguments: {} } }
    ]
    let script: Script = ollamaSays(["Rain."])
    await using here = await world({ keep_alive: "5m" }, (request) => script(request))
    const asking = { model: "tide:8b", messages: [{ role: "user" as const, content: "go" }] }
    const whole = await here.sdk.chat.completions.create(asking)
    expect(whole.choices[0]).toMatchObject({ message: { content: "Rain." }, finish_reason: "stop" })
    expect(whole.usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 5 })
    expect(fieldsOf(here.upstream.lastCall())).toMatchObject({ keep_alive: "5m", stream: false })
    script = (request) => [
      ...lines([
        saying("tide:8b", { thinking: "Two." }),
        ...calls.map((call) => saying("tide:8b", { tool_calls: [call] })),
        ending(String(fieldsOf(request)["model"]))
      ])
    ]
    const final = await here.sdk.chat.completions.stream(asking).finalChatCompletion()
    expect(final.choices[0]?.finish_reason).toBe("tool_calls")
    expect(
      final.choices[0]?.message.tool_calls?.map((call) => (call.type === "function" ? call.function : undefined))
    ).toMatchObject([
      { name: "read", arguments: '{"at":"north","id":1}' },
      { name: "open", arguments: "{}" }
    ])
    script = () => lines([saying("tide:8b", { content: "half" })])
    const failure = await here.sdk.chat.completions.stream(asking).finalChatCompletion().then(String, String)
    expect(failure).toContain("ended before its answer was complete")
    script = () => [json({ error: "model requires more system memory" }, 500)]
    expect(await here.sdk.chat.completions.create(asking).then(String, String)).toContain("502")
  })

  test("is told the options of its config, those of the model first, and those of the client before them", async () => {
    await using here = await world({
      options: { top_k: 20, num_ctx: 4096 },
      keep_alive: -1,
      models: [{ id: "TIDE:8B", options: { top_k: 30 } }]
    })
    await post(here.port, "/v1/chat/completions", chat())
    expect(fieldsOf(here.upstream.lastCall())).toMatchObject({
      keep_alive: -1,
      options: { num_ctx: 4096, top_k: 30 }
    })
    // One in Ollama's dialect is told them as well, so that no two clients ask for two contexts.
    await post(here.port, "/api/chat", chat({ options: { top_k: 1, mirostat: 2 } }))
    expect(fieldsOf(here.upstream.lastCall())).toEqual({
      ...JSON.parse(chat()),
      keep_alive: -1,
      options: { num_ctx: 4096, top_k: 1, mirostat: 2 }
    })
    await post(here.port, "/v1/messages", chat({ max_tokens: 9 }))
    expect(optionsOf(here.upstream.lastCall())).toEqual({ num_ctx: 4096, top_k: 30, num_predict: 9 })
  })

  test("gives texts as vectors by its own call where its config says more", async () => {
    await using here = await world({ keep_alive: "1h", options: { num_ctx: 2048 } }, () => [
      json({ model: "nomic:1", embeddings: [[0.5, 1]], prompt_eval_count: 3 })
    ])
    const made = await here.sdk.embeddings.create({ model: "nomic:1", input: "a", encoding_format: "base64" })
    expect(Buffer.from(String(made.data[0]?.embedding), "base64").readFloatLE(0)).toBe(0.5)
    expect(made.usage.prompt_tokens).toBe(3)
    expect([here.upstream.lastCall().target, fieldsOf(here.upstream.lastCall())]).toEqual([
      "/api/embed",
      { model: "nomic:1", input: ["a"], keep_alive: "1h", options: { num_ctx: 2048 } }
    ])
  })

  test("has its context sized to the prompt in steps, and keeps it for shorter ones", async () => {
    await using here = await world({ options: { num_ctx: 33_000 }, max_num_ctx: 200_000 })
    const sized = async (words: number, path = "/v1/chat/completions"): Promise<unknown> => {
      const content = "word ".repeat(words)
      await post(here.port, path, chat({ messages: [{ role: "user", content }], max_tokens: 100 }))
      return optionsOf(here.upstream.lastCall())
    }
    expect(await sized(10)).toMatchObject({ num_ctx: 33_000 })
    expect(await sized(30_000)).toMatchObject({ num_ctx: 66_000 })
    expect(await sized(10)).toMatchObject({ num_ctx: 66_000 })
    expect(await sized(10, "/api/chat")).toMatchObject({ num_ctx: 66_000 })
    expect(await sized(200_000, "/api/chat")).toMatchObject({ num_ctx: 200_000 })
  })
})
