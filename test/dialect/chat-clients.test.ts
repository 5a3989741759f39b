import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { EventReader } from "../../src/dialect/event-reader.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { answersFrom, anyServer, answersTo } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"
import { hubChats } from "../kit/hub-chats.ts"

const client = openai.operations[0].client!
const server = openai.operations[0].server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const context: AnswerContext = { model: "asked-for", id: "1", now: 1_700_000_000_500, callIds: new Set() }

const hello = { model: "asked-for", messages: [{ role: "user", content: "hello" }] }

const decoded = (json: object) => client.decode(encoder.encode(JSON.stringify(json)), undefined)

const chatOf = (json: object) => Result.getOrThrow(decoded({ ...hello, ...json }))

const refusal = (json: object): string | null | undefined => {
  const result = decoded({ ...hello, ...json })
  return Result.isFailure(result) ? result.failure.param : undefined
}

const textOf = (pieces: ReadonlyArray<Uint8Array>): string => decoder.decode(Buffer.concat([...pieces]))

const streamed = (events: ReadonlyArray<ChatEvent>, request: object = {}, given: AnswerContext = context) => {
  const pieces = transduce(answersTo(client, { ...hello, ...request }).stream(given), events)
  const reader = new EventReader()
  return [...reader.push(encoder.encode(textOf(pieces))), ...reader.end()].map(({ data }) =>
    data === "[DONE]" ? data : JSON.parse(data)
  )
}

const wholeOf = (events: ReadonlyArray<ChatEvent>, request: object = {}) =>
  JSON.parse(decoder.decode(Result.getOrThrow(answersTo(client, { ...hello, ...request }).whole(events, context))))

type Chunks = ReturnType<typeof streamed>

const deltas = (chunks: Chunks) =>
  chunks.flatMap(({ choices = [] }) => choices.map((choice: Chunks[number]) => choice.delta))

const weather: ReadonlyArray<ChatEvent> = [
  { type: "start" },
  { type: "reasoning", text: "Hm." },
  { type: "signature", signature: "c2ln" },
  { type: "text", text: "Wait." },
  { type: "call", call: 0, id: "w1", name: "weather" },
  { type: "call", call: 1, id: undefined, name: "time", signature: "Z29v" },
  { type: "arguments", call: 0, text: '{"city":' },
  { type: "arguments", call: 0, text: '"Oslo"}' },
  { type: "usage", usage: { prompt: 20, cachedRead: 8, cachedWrite: 2, completion: 9, reasoning: 3 } },
  { type: "stop", stop: { reason: "end" } },
  { type: "done" }
]

describe("a stream for a client of chat completions", () => {
  test("tells thoughts, text and calls in chunks of one id, and its reason before its end", () => {
    const chunks = streamed(weather)
    expect(
      new Set(chunks.slice(0, -1).map(({ id, model, object, created }) => [id, model, object, created].join()))
    ).toEqual(new Set(["chatcmpl-1,asked-for,chat.completion.chunk,1700000000"]))
    const made = "call_1_2"
    expect(deltas(chunks)).toEqual([
      { role: "assistant", content: "" },
      { reasoning_content: "Hm." },
      { content: "Wait." },
      { tool_calls: [{ index: 0, id: "w1", type: "function", function: { name: "weather", arguments: "" } }] },
      {
        tool_calls: [
          {
            index: 1,
            id: made,
            type: "function",
            function: { name: "time", arguments: "" },
            extra_content: { google: { thought_signature: "Z29v" } }
          }
        ]
      },
      { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] },
      { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
      {}
    ])
    expect(chunks.at(-2).choices[0].finish_reason).toBe("tool_calls")
    expect(chunks.at(-1)).toBe("[DONE]")
  })

  test("tells what it took only to those who ask for it", () => {
    expect(streamed(weather).some((chunk) => chunk.usage !== undefined)).toBe(false)
    const asked = streamed(weather, { stream_options: { include_usage: true } })
    expect(asked.at(-2)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 20,
        completion_tokens: 9,
        total_tokens: 29,
        prompt_tokens_details: { cached_tokens: 8, cache_write_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 3 }
      }
    })
  })

  test("has the role in its first chunk where its server did not say that it begins", () => {
    expect(deltas(streamed(weather.slice(1)))[0]).toEqual({ role: "assistant", reasoning_content: "Hm." })
  })

  test.each<[ChatEvent & { readonly type: "stop" }, string]>([
    [{ type: "stop", stop: { reason: "length" } }, "length"],
    [{ type: "stop", stop: { reason: "filter" } }, "content_filter"],
    [{ type: "stop", stop: { reason: "string", text: "END" } }, "stop"],
    [{ type: "stop", stop: { reason: "end" } }, "stop"]
  ])("ends for %j as %s", (stop, reason) => {
    const events: ReadonlyArray<ChatEvent> = [{ type: "text", text: "So" }, stop, { type: "done" }]
    expect(streamed(events).at(-2).choices[0].finish_reason).toBe(reason)
    expect(wholeOf(events).choices[0].finish_reason).toBe(reason)
  })

  test("ends with an error and no end where its server fails", () => {
    const events: ReadonlyArray<ChatEvent> = [
      { type: "text", text: "Half" },
      { type: "error", message: "Overloaded", code: "overloaded_error" }
    ]
    expect(streamed(events).at(-1)).toEqual({
      error: { message: "Overloaded", type: "server_error", param: null, code: "overloaded_error" }
    })
    expect(streamed([{ type: "error", message: "Gone" }])).toEqual([
      { error: { message: "Gone", type: "server_error", param: null, code: "bad_gateway" } }
    ])
  })

  test("gives no call an id that another has, in this answer or before it", () => {
    const events: ReadonlyArray<ChatEvent> = [
      { type: "call", call: 0, id: "call_0", name: "a" },
      { type: "call", call: 1, id: "call_1", name: "b" },
      { type: "call", call: 2, id: "call_1", name: "b" },
      { type: "stop", stop: { reason: "calls" } },
      { type: "done" }
    ]
    const chunks = streamed(events, {}, { ...context, callIds: new Set(["call_0"]) })
    const ids = deltas(chunks).flatMap(({ tool_calls: calls }) => (calls?.[0].id === undefined ? [] : [calls[0].id]))
    expect(ids).toHaveLength(3)
    expect(new Set(ids).size).toBe(3)
    expect(ids).not.toContain("call_0")
  })

  test("does not repair arguments that a limit cut off", () => {
    const events: ReadonlyArray<ChatEvent> = [
      { type: "call", call: 0, id: "a", name: "a" },
      { type: "arguments", call: 0, text: '{"ci' },
      { type: "stop", stop: { reason: "length" } },
      { type: "done" }
    ]
    expect(wholeOf(events).choices[0]).toMatchObject({
      message: { tool_calls: [{ function: { arguments: '{"ci' } }] },
      finish_reason: "length"
    })
  })

  test("tells each thought with what it is signed with to those who ask for reasoning, and takes it back", () => {
    const request = { reasoning: { effort: "low" } }
    const twice: ReadonlyArray<ChatEvent> = [
      ...weather.slice(0, 4),
      { type: "reasoning", text: "And " },
      { type: "reasoning", text: "so." },
      { type: "signature", signature: "c28=" },
      ...weather.slice(-2)
    ]
    const thoughts = [
      { type: "reasoning", text: "Hm.", signature: "c2ln" },
      { type: "reasoning", text: "And so.", signature: "c28=" }
    ] as const
    // Whole, and as a client keeps them that only puts the pieces side by side.
    const { reasoning_details: whole } = wholeOf(twice, request).choices[0].message
    const pieces = deltas(streamed(twice, request)).flatMap(({ reasoning_details: each }) => each ?? [])
    expect(pieces).toHaveLength(5)
    for (const reasoning_details of [whole, pieces]) {
      const said = { role: "assistant", content: "Wait.", reasoning_details }
      const { chat } = chatOf({ messages: [...hello.messages, said, ...hello.messages] })
      expect(chat.messages[1]).toEqual({ role: "assistant", items: [...thoughts, { type: "text", text: "Wait." }] })
    }
    expect(JSON.stringify(wholeOf(twice))).not.toContain("c2ln")
  })

  test("gives what stands for functions to those who know no tools, and refuses them two at once", () => {
    const functions = [{ name: "weather", parameters: { type: "object", properties: {} } }]
    const one = weather.filter((event) => !("call" in event) || event.call === 0)
    expect(wholeOf(one, { functions }).choices[0]).toMatchObject({
      message: { function_call: { name: "weather", arguments: '{"city":"Oslo"}' } },
      finish_reason: "function_call"
    })
    expect(deltas(streamed(one, { functions }))).toContainEqual({ function_call: { name: "weather", arguments: "" } })
    expect(streamed(weather, { functions }).at(-1)).toHaveProperty("error")
  })

  test("gives a tool of free input its bare text", () => {
    const tools = [{ type: "custom", custom: { name: "patch", description: "Edits" } }]
    const events: ReadonlyArray<ChatEvent> = [
      { type: "call", call: 0, id: "p", name: "patch" },
      { type: "arguments", call: 0, text: '{"input":"*** Begin"}' },
      { type: "stop", stop: { reason: "calls" } },
      { type: "done" }
    ]
    const custom = { id: "p", type: "custom", custom: { name: "patch", input: "*** Begin" } }
    expect(wholeOf(events, { tools }).choices[0].message.tool_calls).toEqual([custom])
    expect(deltas(streamed(events, { tools }))).toContainEqual({
      role: "assistant",
      tool_calls: [{ index: 0, ...custom }]
    })
  })
})

describe("a request of chat completions in the hub", () => {
  test("puts results behind their calls, and all that the system says first in one text", () => {
    const { chat, dropped } = chatOf({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "developer", content: [{ type: "text", text: "Be kind." }] },
        { role: "user", content: "Oslo?", name: "ada" },
        {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [
            { id: "a", type: "function", function: { name: "sky", arguments: '{"city":"Oslo"}' } },
            { id: "b", type: "function", function: { name: "sky", arguments: "" } }
          ]
        },
        { role: "tool", tool_call_id: "b", content: [{ type: "text", text: "sun" }] },
        { role: "tool", tool_call_id: "a", content: "rain" },
        { role: "system", content: "It is late." },
        { role: "user", content: "So?" }
      ]
    })
    expect(chat.messages).toEqual([
      { role: "system", text: "Be brief.\n\nBe kind." },
      { role: "user", parts: [{ type: "text", text: "Oslo?" }] },
      {
        role: "assistant",
        items: [
          { type: "call", id: "a", name: "sky", args: '{"city":"Oslo"}' },
          { type: "call", id: "b", name: "sky", args: "" }
        ]
      },
      { role: "tool", callId: "a", text: "rain", failed: false },
      { role: "tool", callId: "b", text: "sun", texts: ["sun"], failed: false },
      {
        role: "user",
        parts: [
          { type: "text", text: "<system-reminder>\nIt is late.\n</system-reminder>" },
          { type: "text", text: "So?" }
        ]
      }
    ])
    expect(dropped).toEqual(["messages.name"])
  })

  test.each<[what: string, request: object, param: string]>([
    ["a result without its call", { messages: [{ role: "tool", tool_call_id: "x", content: "1" }] }, "messages[0]"],
    [
      "a call without its result",
      {
        messages: [
          { role: "assistant", tool_calls: [{ id: "x", type: "function", function: { name: "a", arguments: "{}" } }] },
          { role: "user", content: "So?" }
        ]
      },
      "messages[0]"
    ],
    ["a role of none", { messages: [{ role: "critic", content: "1" }] }, "messages[0].role"],
    [
      "a file that is elsewhere",
      { messages: [{ role: "user", content: [{ type: "file", file: { file_id: "f" } }] }] },
      "messages[0].content[0].file"
    ],
    [
      "a film that would have to be fetched",
      { messages: [{ role: "user", content: [{ type: "video_url", video_url: { url: "https://a.invalid" } }] }] },
      "messages[0].content[0].video_url.url"
    ],
    [
      "a drawing in vectors",
      {
        messages: [
          { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/svg+xml;base64,AA" } }] }
        ]
      },
      "messages[0].content[0].image_url"
    ],
    ["an answer that is spoken", { modalities: ["text", "audio"], audio: { voice: "a" } }, "modalities"],
    [
      "a tool that is not there",
      {
        tools: [{ type: "function", function: { name: "a" } }],
        tool_choice: { type: "function", function: { name: "b" } }
      },
      "tool_choice"
    ],
    ["no tool but what OpenAI runs", { tools: [{ type: "web_search_preview" }] }, "tools"],
    ["a form of none", { response_format: { type: "xml" } }, "response_format.type"]
  ])("refuses %s by its place", (_, request, param) => {
    expect(refusal(request)).toBe(param)
  })

  test("may say how much to think in the words of other makers", () => {
    const ways: ReadonlyArray<readonly [request: object, effort: string | undefined, dropped: ReadonlyArray<string>]> =
      [
        [{ reasoning: { max_tokens: 6000 } }, "medium", []],
        [{ reasoning: { effort: "low", max_tokens: 6000 } }, "low", []],
        [{ reasoning: { enabled: true } }, undefined, []],
        [{ thinking: { type: "enabled", budget_tokens: 16_000 } }, "high", []],
        [{ thinking: { type: "disabled" } }, "none", []],
        [{ thinking: { type: "enabled" } }, undefined, ["thinking"]],
        [{ enable_thinking: false }, "none", []],
        [{ enable_thinking: true, thinking_budget: 1024 }, "minimal", []],
        [{ enable_thinking: true }, undefined, ["enable_thinking"]],
        [{ chat_template_kwargs: { enable_thinking: false } }, "none", []],
        [{ chat_template_kwargs: { thinking: false } }, "none", []],
        [{ chat_template_kwargs: { thinking: false, more: 1 } }, undefined, ["chat_template_kwargs"]],
        [{ reasoning_effort: null, thinking: { type: "disabled" } }, "none", []],
        [{ reasoning_effort: "high", thinking: { type: "disabled" } }, "high", ["thinking"]]
      ]
    for (const [request, effort, dropped] of ways) {
      const told = chatOf({ messages: [{ role: "user", content: "hi" }], ...request })
      expect([request, told.chat.effort, told.dropped]).toEqual([request, effort, dropped])
    }
  })

  test("names what nobody else can be told", () => {
    const { chat, dropped } = chatOf({
      store: true,
      metadata: { a: "b" },
      logit_bias: { "1": 2 },
      prompt_cache_key: "k",
      prediction: { type: "content", content: "a" },
      stream_options: { include_usage: true, include_obfuscation: false },
      verbosity: "low",
      safety_identifier: "s",
      n: 1,
      made_up: 1,
      messages: [
        { role: "user", content: [{ type: "text", text: "hi", cache_control: { type: "ephemeral" } }] },
        { role: "assistant", content: "hm", annotations: [] },
        { role: "user", content: "So?" }
      ]
    })
    expect([...dropped].sort()).toEqual([
      "logit_bias",
      "made_up",
      "metadata",
      "prediction",
      "store",
      "stream_options.include_obfuscation"
    ])
    // A server that keeps nothing by marks names it.
    expect(chat).toMatchObject({ safetyId: "s", verbosity: "low", cacheKey: "k", choices: 1, cache: {} })
  })

  test("takes the tools that are allowed for all there are", () => {
    const named = (name: string) => ({ type: "function", function: { name } })
    const { chat } = chatOf({
      tools: [named("a"), named("b")],
      tool_choice: { type: "allowed_tools", allowed_tools: { mode: "required", tools: [named("b")] } }
    })
    expect(chat.tools.map(({ name }) => name)).toEqual(["b"])
    expect(chat.toolChoice).toBe("required")
  })

  test("keeps what functions and their results were before there were tools", () => {
    const { chat } = chatOf({
      functions: [{ name: "sky", parameters: { type: "object", properties: {} } }],
      function_call: { name: "sky" },
      messages: [
        { role: "user", content: "Oslo?" },
        { role: "assistant", content: null, function_call: { name: "sky", arguments: "{}" } },
        { role: "function", name: "sky", content: "rain" }
      ]
    })
    expect(chat).toMatchObject({ tools: [{ name: "sky" }], toolChoice: { name: "sky" }, parallelCalls: false })
    expect(chat.messages.slice(1)).toMatchObject([
      { role: "assistant", items: [{ type: "call", id: "call_function_1", name: "sky" }] },
      { role: "tool", callId: "call_function_1", text: "rain" }
    ])
  })

  test("law: what the hub says in chat completions, it reads again as it was", () => {
    fc.assert(
      fc.property(hubChats, (chat) => {
        const { body, dropped } = Result.getOrThrow(
          server.encode(chat, "m", { ...anyServer, files: true, original: true })
        )
        const again = Result.getOrThrow(client.decode(body, undefined))
        expect(again.chat).toEqual(chat)
        expect([...dropped, ...again.dropped]).toEqual([])
      }),
      { numRuns: 200 }
    )
  })
})

/** From a server's bytes to a client's. */
const through = (request: object): Transducer<Uint8Array, Uint8Array> => ({
  start: () => {
    const decode = answersFrom(server).stream.start()
    const encode = answersTo(client, { ...hello, ...request })
      .stream(context)
      .start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (piece) => take(decode.push(piece)), end: () => [...take(decode.end()), ...encode.end()] }
  }
})

const chatBytes = (request: object) => transduce(answersTo(client, { ...hello, ...request }).stream(context), weather)

test("law: a stream of chunks is read and written as the same under any cutting", () => {
  const request = { stream_options: { include_usage: true } }
  const bytes = new Uint8Array(Buffer.concat([...chatBytes(request)]))
  expect(textOf(transduce(through(request), [bytes]))).toBe(textOf([bytes]))
  return holdsUnderAnyCutting(through(request), fc.constant(bytes), textOf, 40)
})
