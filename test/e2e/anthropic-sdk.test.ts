import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import Anthropic from "@anthropic-ai/sdk"
import { chunk, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf } from "../kit/voices.ts"

const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("")

const tokensOf = ({ cache_read_input_tokens: cached, input_tokens: read, output_tokens: made }: Anthropic.Usage) =>
  read + (cached ?? 0) + made

const max_tokens = 500

const client = ({ apiKey, baseURL, model }: Setup): Client => {
  const sdk = new Anthropic({ baseURL: baseURL.replace(/\/v1$/, ""), apiKey, maxRetries: 0 })
  const asking = (prompt: string) => ({ model, max_tokens, messages: [{ role: "user" as const, content: prompt }] })
  const signalled = (signal?: AbortSignal) => (signal === undefined ? {} : { signal })
  const tools = [
    {
      name: weather.name,
      description: weather.description,
      input_schema: { ...weather.parameters, required: ["city"] }
    }
  ]
  return {
    chat: async (prompt, signal) => {
      const message = await sdk.messages.create(asking(prompt), signalled(signal))
      return { text: textOf(message), tokens: tokensOf(message.usage) }
    },
    stream: async function* (prompt, signal) {
      const stream = sdk.messages.stream(asking(prompt), signalled(signal))
      for await (const each of stream) {
        if (each.type === "content_block_delta" && each.delta.type === "text_delta") yield each.delta.text
      }
      signal?.throwIfAborted()
      return tokensOf((await stream.finalMessage()).usage)
    },
    useTool: async (prompt, run) => {
      const { messages } = asking(prompt)
      const first = await sdk.messages.create({ ...asking(prompt), tools })
      const call = first.content.find((block) => block.type === "tool_use")
      if (call === undefined) throw new Error("no call came")
      const { city } = call.input as { city: string } // reason: the schema of the tool
      const answered = [
        ...messages,
        { role: "assistant" as const, content: first.content },
        {
          role: "user" as const,
          content: [{ type: "tool_result" as const, tool_use_id: call.id, content: run(city) }]
        }
      ]
      return textOf(await sdk.messages.create({ model, max_tokens, messages: answered, tools }))
    },
    streamTool: async (prompt) => {
      const { content } = await sdk.messages.stream({ ...asking(prompt), tools }).finalMessage()
      const call = content.find((block) => block.type === "tool_use")
      if (call === undefined) throw new Error("no call came")
      return { name: call.name, input: call.input }
    },
    structured: async (prompt) => {
      const output_config = { format: { type: "json_schema" as const, schema: { ...reportSchema } } }
      return JSON.parse(textOf(await sdk.messages.create({ ...asking(prompt), output_config })))
    },
    embed: () => Promise.reject(new Error("there are none")),
    failure: (error) => ({
      status: error instanceof Anthropic.APIError ? error.status : undefined,
      message: error instanceof Error ? error.message : String(error),
      header: (name) => (error instanceof Anthropic.APIError ? error.headers?.get(name) : undefined)
    })
  }
}

clientCases("the @anthropic-ai/sdk package", client, false)

describe("the @anthropic-ai/sdk package besides", () => {
  let upstream: FakeUpstream
  let gateway: Gateway
  let sdk: Anthropic

  beforeAll(async () => {
    upstream = await startUpstream({ models: [{ id: "m", tools: true }, "Qwen/Qwen3-8B", "z"] })
    gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
    sdk = new Anthropic({ baseURL: gateway.url, apiKey: "not-needed", maxRetries: 0 })
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  const ask = (model = "m") =>
    sdk.messages.create({ model, max_tokens, messages: [{ role: "user", content: "What is Rust?" }] })

  const scripted = async <A>(script: Script, run: () => Promise<A>): Promise<A> => {
    upstream.script(script)
    try {
      return await run()
    } finally {
      upstream.script(good())
    }
  }

  test("gets thoughts and parallel calls whose pieces came mixed, and gives all of it back in the next turn", async () => {
    const call = (index: number, made: Readonly<Record<string, unknown>>, id?: string) =>
      delta("m", { tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: made }] })
    const pieces = [
      delta("m", { role: "assistant", reasoning_content: "Two calls." }),
      delta("m", { content: "Reading." }),
      call(0, { name: "read", arguments: "" }, "call_a"),
      call(1, { name: "open", arguments: "" }, "call_b"),
      call(0, { arguments: '{"at":' }),
      call(1, { arguments: '{"valve":' }),
      call(1, { arguments: "7}" }),
      call(0, { arguments: '"north"}' }),
      delta("m", {}, "tool_calls")
    ]
    const flow = [streamHead(), ...pieces.map((each) => chunk(event(each))), chunk(done), lastChunk]
    const tools = ["read", "open"].map((name) => ({ name, input_schema: { type: "object" as const } }))
    const user = { role: "user" as const, content: "go" }
    const first = await scripted(
      () => flow,
      () => sdk.messages.stream({ model: "m", max_tokens, tools, messages: [user] }).finalMessage()
    )
    expect(first.stop_reason).toBe("tool_use")
    expect(first.content).toMatchObject([
      { type: "thinking", thinking: "Two calls.", signature: "nexus.unsigned" },
      { type: "text", text: "Reading." },
      { type: "tool_use", id: "call_a", name: "read", input: { at: "north" } },
      { type: "tool_use", id: "call_b", name: "open", input: { valve: 7 } }
    ])
    const results = ["call_b", "call_a"].map((tool_use_id) => ({
      type: "tool_result" as const,
      tool_use_id,
      content: tool_use_id,
      is_error: tool_use_id === "call_b"
    }))
    await sdk.messages.create({
      model: "m",
      max_tokens,
      tools,
      messages: [user, { role: "assistant", content: first.content }, { role: "user", content: results }]
    })
    expect(fieldsOf(upstream.lastCall())["messages"]).toMatchObject([
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "Reading.",
        reasoning_content: "Two calls.",
        tool_calls: [
          { id: "call_a", function: { name: "read", arguments: '{"at":"north"}' } },
          { id: "call_b", function: { name: "open", arguments: '{"valve":7}' } }
        ]
      },
      { role: "tool", tool_call_id: "call_a", content: "call_a" },
      { role: "tool", tool_call_id: "call_b", content: "Error: call_b" }
    ])
  })

  test("lists models page by page, retrieves one, and counts tokens", async () => {
    const ids: Array<string> = []
    for await (const model of sdk.models.list({ limit: 1 })) ids.push(model.id)
    expect(ids).toEqual(["Qwen/Qwen3-8B", "m", "z"])
    expect((await sdk.models.retrieve("Qwen/Qwen3-8B")).display_name).toBe("Qwen/Qwen3-8B")
    const counted = await sdk.messages.countTokens({
      model: "m",
      messages: [{ role: "user", content: "a word or two" }]
    })
    expect(counted.input_tokens).toBeGreaterThan(0)
  })

  test("sends its key either way, and is let in by it", async () => {
    const digest = createHash("sha256").update("nx-right").digest()
    await using guarded = await startGateway(
      { backends: [backendFor("one", upstream)] },
      { backendKeys: new Map(), authKeys: [{ name: "laptop", digest }] }
    )
    const asking = { model: "m", max_tokens, messages: [{ role: "user" as const, content: "x" }] }
    for (const keys of [{ apiKey: "nx-right" }, { apiKey: null, authToken: "nx-right" }]) {
      const message = await new Anthropic({ baseURL: guarded.url, maxRetries: 0, ...keys }).messages.create(asking)
      expect(message.model).toBe("m")
    }
    const raw = await fetch(`${guarded.url}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": "nx-right" },
      body: JSON.stringify(asking)
    })
    expect(raw.status).toBe(200)
    const wrong = new Anthropic({ baseURL: guarded.url, maxRetries: 0, apiKey: "nx-wrong" })
    expect(await thrown(wrong.models.list())).toBeInstanceOf(Anthropic.AuthenticationError)
  })

  test("raises the class that fits each failure", async () => {
    const say = (status: number) => json({ error: { message: "no", type: "x_error", param: null, code: null } }, status)
    const refused = (status: number) => () =>
      scripted(
        () => [say(status)],
        () => thrown(ask())
      )
    const cases: ReadonlyArray<readonly [new (...args: never) => Error, () => Promise<unknown>]> = [
      [Anthropic.NotFoundError, () => thrown(ask("nope"))],
      [Anthropic.NotFoundError, () => thrown(sdk.models.retrieve("nope"))],
      [Anthropic.BadRequestError, () => thrown(sdk.post("/v1/messages", { body: { model: "m" } }))],
      [Anthropic.BadRequestError, refused(400)],
      [Anthropic.UnprocessableEntityError, refused(422)],
      [Anthropic.InternalServerError, refused(500)],
      [
        Anthropic.InternalServerError,
        () =>
          scripted(
            () => ["reset"],
            () => thrown(ask())
          )
      ],
      // Left alone from here on.
      [Anthropic.RateLimitError, refused(429)]
    ]
    for (const [kind, run] of cases) {
      const error = await run()
      expect(error).toBeInstanceOf(kind)
      expect(error instanceof Anthropic.APIError ? error.requestID : undefined).toBeString()
    }
  })
})
