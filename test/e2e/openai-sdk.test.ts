import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chatEvents, chunk, delta, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"

let upstream: FakeUpstream
let gateway: Gateway
let client: OpenAI

beforeAll(async () => {
  upstream = await startUpstream({ models: ["mistral:7b", "Qwen/Qwen3-8B", "embed"] })
  gateway = await startGateway({ backends: [backendFor("one", upstream)], routing: { max_retries: 0 } })
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "not-needed", maxRetries: 0 })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const messages = [{ role: "user" as const, content: "What is Rust?" }]

const scripted = async <A>(script: Script, run: () => Promise<A>): Promise<A> => {
  upstream.script(script)
  try {
    return await run()
  } finally {
    upstream.script(good())
  }
}

const thrown = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

describe("the openai package", () => {
  test("gets a whole answer", async () => {
    const answer = await client.chat.completions.create({ model: "mistral:7b", messages })
    expect(answer.choices[0]?.message.content).toBe("Hello there")
    expect(answer.usage?.total_tokens).toBe(7)
  })

  test("gets a stream, piece by piece", async () => {
    const pieces: Array<string> = []
    for await (const part of await client.chat.completions.create({ model: "mistral:7b", messages, stream: true })) {
      const text = part.choices[0]?.delta.content ?? ""
      if (text !== "") pieces.push(text)
    }
    expect(pieces).toEqual(["Hello", " ", "there"])
  })

  test("makes a tools round trip", async () => {
    const call = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } }
    const tools = [{ type: "function" as const, function: { name: "weather", parameters: { type: "object" } } }]
    const asks = { role: "assistant", content: null, tool_calls: [call] }
    const first = await scripted(
      () => [
        json({
          id: "x",
          object: "chat.completion",
          choices: [{ index: 0, message: asks, finish_reason: "tool_calls" }]
        })
      ],
      () => client.chat.completions.create({ model: "mistral:7b", messages, tools })
    )
    const [choice] = first.choices
    if (choice === undefined) throw new Error("no choice")
    const said = choice.message
    expect(said.tool_calls?.[0]).toMatchObject(call)
    const result = { role: "tool" as const, tool_call_id: "call_1", content: "rain" }
    await client.chat.completions.create({ model: "mistral:7b", messages: [...messages, said, result], tools })
    expect(JSON.parse(upstream.lastCall().text).messages).toEqual([...messages, asks, result])
  })

  test("puts streamed tool calls together", async () => {
    const parts = [
      delta("m", {
        role: "assistant",
        content: null,
        tool_calls: [{ index: 0, id: "c", type: "function", function: { name: "f", arguments: "" } }]
      }),
      delta("m", { tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] }),
      delta("m", { tool_calls: [{ index: 0, function: { arguments: "1}" } }] }),
      delta("m", {}, "tool_calls")
    ]
    const final = await scripted(
      () => [streamHead(), ...parts.map((part) => chunk(event(part))), chunk("data: [DONE]\n\n"), lastChunk],
      () => client.chat.completions.stream({ model: "mistral:7b", messages }).finalChatCompletion()
    )
    const [made] = final.choices[0]?.message.tool_calls ?? []
    expect(made).toMatchObject({ id: "c", function: { name: "f", arguments: '{"a":1}' } })
  })

  test("aborts a stream, and the backend is told", async () => {
    const [first = ""] = chatEvents("m", ["a"])
    await scripted(
      () => [streamHead(), chunk(first), "hang"],
      async () => {
        const stream = await client.chat.completions.create({ model: "mistral:7b", messages, stream: true })
        for await (const _ of stream) stream.controller.abort()
        await upstream.lastCall().gone
        await gateway.quiet()
      }
    )
  })

  test("aborts a request that has not been answered", async () => {
    await scripted(
      () => ["hang"],
      async () => {
        const abort = new AbortController()
        const nth = upstream.calls().length
        const failure = thrown(
          client.chat.completions.create({ model: "mistral:7b", messages }, { signal: abort.signal })
        )
        const seen = await upstream.call(nth)
        abort.abort()
        expect(await failure).toBeInstanceOf(OpenAI.APIUserAbortError)
        await seen.gone
      }
    )
  })

  test("lists models, and retrieves them by ids with slashes and colons", async () => {
    const ids: Array<string> = []
    for await (const model of client.models.list()) ids.push(model.id)
    expect(ids).toEqual(["Qwen/Qwen3-8B", "embed", "mistral:7b"])
    for (const id of ids) expect((await client.models.retrieve(id)).id).toBe(id)
  })

  test("gets embeddings and a legacy completion", async () => {
    const vectors = await client.embeddings.create({ model: "embed", input: "x", encoding_format: "float" })
    expect(vectors.data[0]?.embedding).toEqual([0.5, -0.25])
    await client.completions.create({ model: "mistral:7b", prompt: "x" })
    expect(upstream.lastCall().target).toBe("/v1/completions")
  })

  test("raises the class that fits each failure", async () => {
    const say = (status: number) => json({ error: { message: "no", type: "x_error", param: null, code: null } }, status)
    const ask = (model = "mistral:7b") => client.chat.completions.create({ model, messages })
    const cases: ReadonlyArray<readonly [new (...args: never) => Error, () => Promise<unknown>]> = [
      [OpenAI.NotFoundError, () => thrown(ask("nope"))],
      [OpenAI.BadRequestError, () => thrown(client.post("/chat/completions", { body: { model: "mistral:7b" } }))],
      [
        OpenAI.BadRequestError,
        () =>
          scripted(
            () => [say(400)],
            () => thrown(ask())
          )
      ],
      [
        OpenAI.UnprocessableEntityError,
        () =>
          scripted(
            () => [say(422)],
            () => thrown(ask())
          )
      ],
      [
        OpenAI.InternalServerError,
        () =>
          scripted(
            () => [say(500)],
            () => thrown(ask())
          )
      ],
      [
        OpenAI.InternalServerError,
        () =>
          scripted(
            () => ["reset"],
            () => thrown(ask())
          )
      ],
      [OpenAI.NotFoundError, () => thrown(client.models.retrieve("nope"))],
      [
        OpenAI.RateLimitError,
        () =>
          scripted(
            () => [say(429)],
            () => thrown(ask())
          )
      ]
    ]
    for (const [kind, run] of cases) expect(await run()).toBeInstanceOf(kind)
  })

  test("raises in the middle of a stream that breaks, and does not take half an answer for a whole one", async () => {
    const [first = "", second = ""] = chatEvents("m", ["half"])
    await using breaking = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(first), chunk(second), { pause: 20 }, "reset"]
    })
    await using other = await startGateway({ backends: [backendFor("one", breaking)] })
    const sdk = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: "x", maxRetries: 0 })
    let text = ""
    const read = async () => {
      for await (const part of await sdk.chat.completions.create({ model: "m", messages, stream: true })) {
        text += part.choices[0]?.delta.content ?? ""
      }
    }
    const failure = await thrown(read())
    expect(failure).toBeInstanceOf(OpenAI.APIError)
    expect(String(failure)).toMatch(/stream|connection/i)
    expect(text).toBe("half")
  })
})
