import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { messagesErrorBody } from "../../src/dialect/anthropic/messages-error.ts"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { EventReader } from "../../src/dialect/event-reader.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo, anyServer } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"

const client = anthropic.operations[0].client!
const server = openai.operations[0].server!
const answers = answersTo(client, { messages: [{ role: "user", content: "hello" }] })
const reads = answersFrom(server)

const context: AnswerContext = { model: "asked-for", id: "1", now: 0, callIds: new Set() }

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** From a server's bytes to a client's. */
const through: Transducer<Uint8Array, Uint8Array> = {
  start: () => {
    const decode = reads.stream.start()
    const encode = answers.stream(context).start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (piece) => take(decode.push(piece)), end: () => [...take(decode.end()), ...encode.end()] }
  }
}

const textOf = (pieces: ReadonlyArray<Uint8Array>): string => decoder.decode(Buffer.concat([...pieces]))

const delta = (says: object, finish: string | null = null, more: object = {}): object => ({
  id: "c",
  object: "chat.completion.chunk",
  model: "served",
  choices: [{ index: 0, delta: says, finish_reason: finish, ...more }]
})

const used = (prompt: number, completion: number, cached = 0): object => ({
  choices: [],
  usage: {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached }
  }
})

const call = (index: number, args: string, begins: { readonly id: string; readonly name: string } | undefined) =>
  begins === undefined
    ? { index, function: { arguments: args } }
    : { index, id: begins.id, type: "function", function: { name: begins.name, arguments: args } }

const calls = (...all: ReadonlyArray<object>): object => delta({ tool_calls: all })

const streamOf = (chunks: ReadonlyArray<object>, end: "done" | "cut" = "done"): Uint8Array =>
  encoder.encode(
    `${chunks.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}${end === "cut" ? "" : "data: [DONE]\n\n"}`
  )

interface Told {
  readonly type: string
  readonly index: number
  readonly content_block: Readonly<Record<string, unknown>>
  readonly delta: Readonly<Record<string, unknown>>
  readonly usage: Readonly<Record<string, unknown>>
  readonly error: Readonly<Record<string, unknown>>
  readonly message: Readonly<Record<string, unknown>>
}

/** An event in a line, as one would tell of it. */
const line = ({ content_block: block, delta, error, index, message, type, usage }: Told): string => {
  if (type === "message_start") return `start ${message["role"]} of ${message["model"]}`
  if (type === "content_block_start") return `${index}: ${[block["type"], block["id"], block["name"]].join(" ").trim()}`
  if (type === "content_block_stop") return `${index}: end`
  if (type === "message_delta") {
    const ends = [delta["stop_reason"], delta["stop_sequence"]].filter((each) => each !== null)
    return `stop ${ends.join(" ")}; in ${usage["input_tokens"]}+${usage["cache_read_input_tokens"]}, out ${usage["output_tokens"]}`
  }
  if (type === "error") return `error ${error["type"]}`
  if (type !== "content_block_delta") return type
  return `${index}: ${delta["type"]} ${delta["text"] ?? delta["thinking"] ?? delta["partial_json"] ?? ""}`.trim()
}

const linesOf = (bytes: Uint8Array): ReadonlyArray<string> => {
  const reader = new EventReader()
  const events = [...reader.push(encoder.encode(textOf(transduce(through, [bytes])))), ...reader.end()]
  return events.map(({ data, name }) => {
    const told = JSON.parse(data) as Told // reason: what is not so fails below
    expect(told.type).toBe(name)
    return line(told)
  })
}

const first = "start assistant of asked-for"

const streams: ReadonlyArray<readonly [what: string, bytes: Uint8Array, told: ReadonlyArray<string>]> = [
  [
    "a text in pieces",
    streamOf([
      delta({ role: "assistant", content: "Rain, " }),
      delta({ content: "then sun." }),
      delta({}, "stop"),
      used(11, 4)
    ]),
    [
      first,
      "0: text",
      "0: text_delta Rain,",
      "0: text_delta then sun.",
      "0: end",
      "stop end_turn; in 11+0, out 4",
      "message_stop"
    ]
  ],
  [
    "a text that a limit ends, with a part of the prompt from a cache",
    streamOf([delta({ content: "So" }), delta({}, "length"), used(30, 1, 12)]),
    [first, "0: text", "0: text_delta So", "0: end", "stop max_tokens; in 18+12, out 1", "message_stop"]
  ],
  [
    "a text that a stop sequence ends",
    streamOf([delta({ content: "a b" }), delta({}, "stop", { stop_reason: "c" }), used(5, 2)]),
    [first, "0: text", "0: text_delta a b", "0: end", "stop stop_sequence c; in 5+0, out 2", "message_stop"]
  ],
  [
    "nothing at all",
    streamOf([delta({ role: "assistant", content: "" }), delta({}, "stop"), used(3, 0)]),
    [first, "0: text", "0: end", "stop end_turn; in 3+0, out 0", "message_stop"]
  ],
  [
    "one call with its arguments at once, and one without any",
    streamOf([
      calls(call(0, '{"city":"Oslo"}', { id: "w1", name: "weather" })),
      calls(call(1, "{}", { id: "t1", name: "time" })),
      delta({}, "tool_calls"),
      used(20, 9)
    ]),
    [
      first,
      "0: tool_use w1 weather",
      '0: input_json_delta {"city":"Oslo"}',
      "0: end",
      "1: tool_use t1 time",
      "1: input_json_delta {}",
      "1: end",
      "stop tool_use; in 20+0, out 9",
      "message_stop"
    ]
  ],
  [
    "two calls whose pieces come mixed: one block after the other",
    streamOf([
      calls(call(0, "", { id: "w1", name: "weather" })),
      calls(call(1, "", { id: "t1", name: "time" })),
      calls(call(0, '{"city":', undefined)),
      calls(call(1, '{"zone":"', undefined)),
      calls(call(0, '"Oslo"}', undefined), call(1, 'CET"}', undefined)),
      delta({}, "tool_calls"),
      used(20, 9)
    ]),
    [
      first,
      "0: tool_use w1 weather",
      '0: input_json_delta {"city":',
      '0: input_json_delta "Oslo"}',
      "0: end",
      "1: tool_use t1 time",
      '1: input_json_delta {"zone":"',
      '1: input_json_delta CET"}',
      "1: end",
      "stop tool_use; in 20+0, out 9",
      "message_stop"
    ]
  ],
  [
    "half a text, then nothing more: an error, and no end",
    streamOf([delta({ role: "assistant", content: "Half" })], "cut"),
    [first, "0: text", "0: text_delta Half", "error api_error"]
  ]
]

describe("a streamed chat answer as Messages", () => {
  test.each(streams)("tells of %s", (_, bytes, told) => {
    expect(linesOf(bytes)).toEqual([...told])
  })

  test("tells what was thought before what is said, and what is said behind a call", () => {
    const thought = linesOf(
      streamOf([
        delta({ reasoning_content: "Hm. " }),
        delta({ reasoning_content: "Yes." }),
        delta({ content: "Yes!" }),
        delta({}, "stop")
      ])
    )
    expect(thought.filter((each) => /^\d+: (?:thinking|text)(?:_delta)? ?/.test(each))).toEqual([
      "0: thinking",
      "0: thinking_delta Hm.",
      "0: thinking_delta Yes.",
      "1: text",
      "1: text_delta Yes!"
    ])
    const behind = linesOf(
      streamOf([
        calls(call(0, "{}", { id: "t1", name: "time" })),
        delta({ content: "Asked." }),
        delta({}, "tool_calls")
      ])
    )
    expect(behind).toContain("1: text_delta Asked.")
    expect(behind.filter((each) => each.endsWith(": end"))).toEqual(["0: end", "1: end"])
  })

  test("is the same under any cutting of the bytes of its server, run plainly and as a stream", () =>
    holdsUnderAnyCutting(through, fc.constantFrom(...streams.map(([, bytes]) => bytes)), textOf, 60))
})

describe("a whole chat answer as Messages", () => {
  test("has its text, its calls, its reason and its counts", () => {
    const message = {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [{ id: "w1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo","days":2}' } }]
    }
    const answer = {
      id: "c",
      object: "chat.completion",
      model: "served",
      choices: [{ index: 0, message, finish_reason: "tool_calls" }],
      usage: { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 }
    }
    const events = Result.getOrThrow(reads.whole(encoder.encode(JSON.stringify(answer))))
    expect(JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(events, context))))).toMatchObject({
      type: "message",
      role: "assistant",
      model: "asked-for",
      content: [
        { type: "text", text: "Let me look." },
        { type: "tool_use", id: "w1", name: "weather", input: { city: "Oslo", days: 2 } }
      ],
      stop_reason: "tool_use",
      stop_sequence: null,
      usage: { input_tokens: 12, output_tokens: 8 }
    })
  })
})

describe("a request of Messages as one of chat", () => {
  const request = {
    model: "asked-for",
    max_tokens: 300,
    temperature: 0.5,
    stop_sequences: ["END"],
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    context_management: { edits: [] },
    tools: [
      {
        name: "weather",
        description: "Asks the sky",
        input_schema: { type: "object", properties: { city: { type: "string" } } }
      }
    ],
    tool_choice: { type: "any" },
    messages: [
      { role: "user", content: "Oslo?" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "Wait." },
          { type: "tool_use", id: "w1", name: "weather", input: { city: "Oslo" } }
        ]
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "w1", content: [{ type: "text", text: "rain" }] },
          { type: "text", text: "So?" }
        ]
      }
    ]
  }

  const asked = (json: object) => {
    const decoded = Result.getOrThrow(client.decode(encoder.encode(JSON.stringify(json)), undefined))
    const { body, dropped } = Result.getOrThrow(server.encode(decoded.chat, "served", anyServer))
    const left = dropped.map((field) => client.words[field] ?? field)
    return { body: JSON.parse(decoder.decode(body)), dropped: [...decoded.dropped, ...left].sort() }
  }

  test("says all that chat can say, and names the rest", () => {
    const { body, dropped } = asked(request)
    expect(body).toMatchObject({
      model: "served",
      temperature: 0.5,
      stop: ["END"],
      tool_choice: "required",
      tools: [{ type: "function", function: { name: "weather", description: "Asks the sky" } }]
    })
    expect(body.max_tokens ?? body.max_completion_tokens).toBe(300)
    expect(body.messages.map(({ role }: { readonly role: string }) => role)).toEqual([
      "system",
      "user",
      "assistant",
      "tool",
      "user"
    ])
    expect(body.messages[2]).toMatchObject({
      content: "Wait.",
      tool_calls: [{ id: "w1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } }]
    })
    expect(body.messages[3]).toMatchObject({ tool_call_id: "w1", content: "rain" })
    expect(dropped).toEqual(["cache_control", "context_management"])
  })

  test("gives results in the order of their calls, with errors in words and images behind all of them", () => {
    const png = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }
    const { body, dropped } = asked({
      model: "asked-for",
      max_tokens: 10,
      system: [
        { type: "text", text: "x-anthropic-billing-header: n=2;" },
        { type: "text", text: "Be kind." }
      ],
      tools: [{ name: "look", input_schema: { type: "object" } }],
      messages: [
        { role: "user", content: "Look twice." },
        { role: "system", content: "It is night." },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "a", name: "look", input: {} },
            { type: "tool_use", id: "b", name: "look", input: {} }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "b", content: "too dark", is_error: true },
            { type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "a star" }, png] }
          ]
        }
      ]
    })
    const [system, user, , one, two, image] = body.messages
    expect(system).toEqual({ role: "system", content: "Be kind." })
    expect(JSON.stringify(user)).toContain("It is night.")
    expect([one.tool_call_id, one.content.split("\n")[0]]).toEqual(["a", "a star"])
    expect([two.tool_call_id, two.content]).toEqual(["b", "Error: too dark"])
    expect(image.role).toBe("user")
    expect(JSON.stringify(image.content)).toContain("data:image/png;base64,AAAA")
    expect(dropped).toEqual(["system[0]"])
  })

  test("has no tools when the list of them is empty", () => {
    const { body } = asked({ ...request, tools: [], tool_choice: undefined, messages: request.messages.slice(0, 1) })
    expect(body.tools).toBeUndefined()
  })
})

describe("failures as Messages", () => {
  test.each([
    [400, "invalid_request_error"],
    [401, "authentication_error"],
    [403, "permission_error"],
    [404, "not_found_error"],
    [413, "request_too_large"],
    [429, "rate_limit_error"],
    [500, "api_error"],
    [503, "overloaded_error"]
  ])("%d is an error of the type %s", (status, type) => {
    const failure = { status, fault: "server", code: "c", param: null, message: "Why." } as const
    expect(JSON.parse(messagesErrorBody(failure, "r1"))).toMatchObject({
      type: "error",
      error: { type, message: "Why." },
      request_id: "r1"
    })
  })

  test("a prompt that is too long is told in the words that clients look for", () => {
    const context = { needs: 70, has: 60 }
    const failure = {
      status: 400,
      fault: "request",
      code: "context_length_exceeded",
      param: null,
      message: "No.",
      context
    } as const
    expect(JSON.parse(messagesErrorBody(failure, "r1")).error.message).toBe(
      "prompt is too long: 70 tokens > 60 maximum"
    )
  })
})
