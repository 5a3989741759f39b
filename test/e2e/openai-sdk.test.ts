import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chatEvents, chunk, json, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"

const client = ({ baseURL, apiKey, model, embedder }: Setup): Client => {
  const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0 })
  const tools = [{ type: "function" as const, function: weather }]
  const asking = (prompt: string) => ({ model, messages: [{ role: "user" as const, content: prompt }] })
  const signalled = (signal?: AbortSignal) => (signal === undefined ? {} : { signal })
  return {
    chat: async (prompt, signal) => {
      const { choices, usage } = await openai.chat.completions.create(asking(prompt), signalled(signal))
      return { text: choices[0]?.message.content ?? "", tokens: usage?.total_tokens ?? 0 }
    },
    stream: async function* (prompt, signal) {
      const request = { ...asking(prompt), stream: true as const, stream_options: { include_usage: true } }
      let tokens = 0
      for await (const { choices, usage } of await openai.chat.completions.create(request, signalled(signal))) {
        tokens += usage?.total_tokens ?? 0
        yield choices[0]?.delta.content ?? ""
      }
      // The package ends an aborted loop in silence.
      signal?.throwIfAborted()
      return tokens
    },
    useTool: async (prompt, run) => {
      const { messages } = asking(prompt)
      const [choice] = (await openai.chat.completions.create({ model, messages, tools })).choices
      const [call] = choice?.message.tool_calls ?? []
      if (choice === undefined || call?.type !== "function") throw new Error("no call came")
      const { city } = JSON.parse(call.function.arguments)
      const result = { role: "tool" as const, tool_call_id: call.id, content: run(city) }
      const after = { model, messages: [...messages, choice.message, result], tools }
      return (await openai.chat.completions.create(after)).choices[0]?.message.content ?? ""
    },
    streamTool: async (prompt) => {
      const whole = await openai.chat.completions.stream({ ...asking(prompt), tools }).finalChatCompletion()
      const [call] = whole.choices[0]?.message.tool_calls ?? []
      if (call?.type !== "function") throw new Error("no call came")
      return { name: call.function.name, input: JSON.parse(call.function.arguments) }
    },
    structured: async (prompt) => {
      const json_schema = { name: "report", strict: true, schema: reportSchema }
      const request = { ...asking(prompt), response_format: { type: "json_schema" as const, json_schema } }
      const answer = await openai.chat.completions.create(request)
      return JSON.parse(answer.choices[0]?.message.content ?? "")
    },
    embed: async (texts) =>
      (await openai.embeddings.create({ model: embedder, input: [...texts] })).data.map(({ embedding }) => embedding),
    failure: (error) => ({
      status: error instanceof OpenAI.APIError ? error.status : undefined,
      message: error instanceof Error ? error.message : String(error),
      header: (name) => (error instanceof OpenAI.APIError ? error.headers?.get(name) : undefined)
    })
  }
}

clientCases("the openai package", client)

describe("the openai package besides", () => {
  let upstream: FakeUpstream
  let gateway: Gateway
  let openai: OpenAI

  beforeAll(async () => {
    upstream = await startUpstream({ models: ["mistral:7b", "Qwen/Qwen3-8B", "embed"] })
    gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
    openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "not-needed", maxRetries: 0 })
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  const ask = (model = "mistral:7b") =>
    openai.chat.completions.create({ model, messages: [{ role: "user", content: "What is Rust?" }] })

  const answered = async (script: Script): Promise<unknown> => {
    upstream.script(script)
    try {
      return await thrown(ask())
    } finally {
      upstream.script(good())
    }
  }

  test("lists models, and retrieves them by ids with slashes and colons", async () => {
    const ids: Array<string> = []
    for await (const model of openai.models.list()) ids.push(model.id)
    expect(ids).toEqual(["Qwen/Qwen3-8B", "embed", "mistral:7b"])
    for (const id of ids) expect((await openai.models.retrieve(id)).id).toBe(id)
  })

  test("gets a legacy completion, and embeddings as numbers when it asks for them", async () => {
    const vectors = await openai.embeddings.create({ model: "embed", input: "x", encoding_format: "float" })
    expect(vectors.data[0]?.embedding).toEqual([0.5, -0.25])
    await openai.completions.create({ model: "mistral:7b", prompt: "x" })
    expect(upstream.lastCall().target).toBe("/v1/completions")
  })

  test("hangs up when the loop over a stream is left, and the backend sees it", async () => {
    upstream.script(() => [streamHead(), ...chatEvents("m", ["a"]).slice(0, 1).map(chunk), "hang"])
    const request = {
      model: "mistral:7b",
      messages: [{ role: "user" as const, content: "talk" }],
      stream: true as const
    }
    for await (const { choices } of await openai.chat.completions.create(request)) {
      if (choices[0]?.delta.content === "a") break
    }
    await upstream.lastCall().gone
    await gateway.quiet()
    upstream.script(good())
  })

  test("raises the class that fits each failure", async () => {
    const say = (status: number) => json({ error: { message: "no", type: "x_error", param: null, code: null } }, status)
    const refused = (status: number) => () => answered(() => [say(status)])
    const cases: ReadonlyArray<readonly [new (...args: never) => Error, () => Promise<unknown>]> = [
      [OpenAI.NotFoundError, () => thrown(ask("nope"))],
      [OpenAI.BadRequestError, () => thrown(openai.post("/chat/completions", { body: { model: "mistral:7b" } }))],
      [OpenAI.BadRequestError, refused(400)],
      [OpenAI.UnprocessableEntityError, refused(422)],
      [OpenAI.InternalServerError, refused(500)],
      [OpenAI.InternalServerError, () => answered(() => ["reset"])],
      [OpenAI.NotFoundError, () => thrown(openai.models.retrieve("nope"))],
      [OpenAI.RateLimitError, refused(429)]
    ]
    for (const [kind, run] of cases) expect(await run()).toBeInstanceOf(kind)
  })
})
