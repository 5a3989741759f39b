import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { AnswerContext, AnswerDecoder, AnswerEncoder, ChatEvent } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"
import { asking, call, eventOf, geminiEvents, piece, text } from "../kit/gemini.ts"

const [whole, stream] = gemini.operations
const client = whole.client!
const server = stream!.server!
const chatServer = openai.operations[0].server!

const context: AnswerContext = { model: "asked-for", id: "1", now: 0, callIds: new Set() }

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytesOf = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))
const textOf = (pieces: ReadonlyArray<Uint8Array>): string => decoder.decode(Buffer.concat([...pieces]))

const through = (from: AnswerDecoder, to: AnswerEncoder): Transducer<Uint8Array, Uint8Array> => ({
  start: () => {
    const decode = from.stream.start()
    const encode = to.stream(context).start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (bytes) => take(decode.push(bytes)), end: () => [...take(decode.end()), ...encode.end()] }
  }
})

const toClient = (request: object = {}) => answersTo(client, JSON.parse(asking({ ...request })), "asked-for")

const chatToGemini = through(answersFrom(chatServer), toClient())

const delta = (says: object, finish: string | null = null) => ({
  choices: [{ index: 0, delta: says, finish_reason: finish }]
})

const made = (index: number, args: string, begins?: { readonly id: string; readonly name: string }) =>
  begins === undefined
    ? { index, function: { arguments: args } }
    : { index, id: begins.id, type: "function", function: { name: begins.name, arguments: args } }

const calls = (...all: ReadonlyArray<object>) => delta({ tool_calls: all })

const used = (prompt: number, completion: number, cached: number, reasoning: number) => ({
  choices: [],
  usage: {
    prompt_tokens: prompt,
    completion_tokens: completion,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning }
  }
})

const chatStream = (chunks: ReadonlyArray<object>, end: "done" | "cut" = "done"): Uint8Array =>
  encoder.encode(chunks.map(eventOf).join("") + (end === "done" ? "data: [DONE]\n\n" : ""))

type Lines = ReadonlyArray<readonly [parts: ReadonlyArray<object>, finish?: string, usage?: object]>

const chatStreams: ReadonlyArray<readonly [what: string, bytes: Uint8Array, told: Lines]> = [
  [
    "a text in pieces, with its reason and its counts in one last piece",
    chatStream([
      delta({ role: "assistant", content: "Rain, " }),
      delta({ content: "sun." }),
      delta({}, "stop"),
      used(11, 4, 0, 0)
    ]),
    [
      [[{ text: "Rain, " }]],
      [[{ text: "sun." }]],
      [[{ text: "" }], "STOP", { promptTokenCount: 11, candidatesTokenCount: 4, totalTokenCount: 15 }]
    ]
  ],
  [
    "thoughts beside what is said, counted apart",
    chatStream([
      delta({ reasoning_content: "Hm." }),
      delta({ content: "Yes." }),
      delta({}, "length"),
      used(20, 9, 8, 5)
    ]),
    [
      [[{ text: "Hm.", thought: true }]],
      [[{ text: "Yes." }]],
      [
        [{ text: "" }],
        "MAX_TOKENS",
        {
          promptTokenCount: 20,
          candidatesTokenCount: 4,
          thoughtsTokenCount: 5,
          cachedContentTokenCount: 8,
          totalTokenCount: 29
        }
      ]
    ]
  ],
  [
    "calls whose pieces come mixed, each whole, and a text behind them in its place",
    chatStream([
      calls(made(0, "", { id: "w1", name: "weather" })),
      calls(made(1, "", { id: "t1", name: "time" })),
      calls(made(0, '{"city":')),
      delta({ content: "Two " }),
      calls(made(0, '"Oslo"}')),
      delta({ content: "calls." }),
      delta({}, "stop")
    ]),
    [
      [
        [
          { functionCall: { id: "w1", name: "weather", args: { city: "Oslo" } } },
          { functionCall: { id: "t1", name: "time", args: {} } },
          { text: "Two calls." }
        ],
        "STOP"
      ]
    ]
  ],
  [
    "what a filter has stopped",
    chatStream([delta({ content: "So" }), delta({}, "content_filter")]),
    [[[{ text: "So" }]], [[{ text: "" }], "SAFETY"]]
  ],
  [
    "a refusal in its own words",
    chatStream([delta({ refusal: "No." }), delta({}, "stop")]),
    [[[{ text: "No." }]], [[{ text: "" }], "SAFETY"]]
  ],
  ["nothing at all", chatStream([delta({ content: "" }), delta({}, "stop")]), [[[{ text: "" }], "STOP"]]],
  [
    "a call that the limit has cut: it is not made",
    chatStream([calls(made(0, '{"a":', { id: "c", name: "t" })), delta({}, "length")]),
    [[[{ text: "" }], "MAX_TOKENS"]]
  ]
]

const toldOf = (bytes: Uint8Array): Lines =>
  geminiEvents(textOf(transduce(chatToGemini, [bytes]))).map(({ candidates, usageMetadata }) => {
    const parts = candidates?.[0]?.content?.parts ?? []
    const finish = candidates?.[0]?.finishReason
    return finish === undefined
      ? [parts]
      : usageMetadata === undefined
        ? [parts, finish]
        : [parts, finish, usageMetadata]
  })

describe("a streamed chat answer in Google's dialect", () => {
  test.each(chatStreams)("tells of %s", (_, bytes, told) => {
    expect(toldOf(bytes)).toEqual(told)
  })

  test("names the model that was asked for in every piece, and one id", () => {
    for (const event of geminiEvents(textOf(transduce(chatToGemini, [chatStreams[0]![1]])))) {
      expect(event).toMatchObject({ modelVersion: "asked-for", responseId: "1" })
    }
  })

  test.each([
    ["half a text, then nothing more", chatStream([delta({ content: "Half" })], "cut")],
    ["half a text, then only the mark of the end", chatStream([delta({ content: "Half" })])],
    ["half a text, then an error", chatStream([delta({ content: "Half" }), { error: { message: "gone" } }])],
    ["arguments that are no JSON", chatStream([calls(made(0, "{", { id: "c", name: "t" })), delta({}, "tool_calls")])],
    ["arguments that are no object", chatStream([calls(made(0, "7", { id: "c", name: "t" })), delta({}, "stop")])]
  ])("ends with an error that clients raise by for %s", (_, bytes) => {
    const last = geminiEvents(textOf(transduce(chatToGemini, [bytes]))).at(-1)
    expect(last).toMatchObject({ error: { code: 502, status: "UNAVAILABLE" } })
  })

  test("hides what the model thinks from who does not want to see it", () => {
    const hidden = toClient({ generation_config: { thinking_config: { include_thoughts: false } } })
    const bytes = chatStream([delta({ reasoning_content: "Hm." }), delta({ content: "Yes." }), delta({}, "stop")])
    expect(textOf(transduce(through(answersFrom(chatServer), hidden), [bytes]))).not.toContain("Hm.")
  })

  test("is the same under any cutting of the bytes of its server, run plainly and as a stream", () =>
    holdsUnderAnyCutting(chatToGemini, fc.constantFrom(...chatStreams.map(([, bytes]) => bytes)), textOf, 60))
})

test("a call keeps its id where that is new, and the digits of its numbers", () => {
  const used: AnswerContext = { ...context, callIds: new Set(["c1"]) }
  const events: ReadonlyArray<ChatEvent> = [
    { type: "call", call: 0, id: "c1", name: "t" },
    { type: "arguments", call: 0, text: '{"id":9007199254740993,"x":1.0}' },
    { type: "call", call: 1, id: "c2", name: "t" },
    { type: "call", call: 2, id: "c2", name: "t", signature: "c2ln" },
    { type: "stop", stop: { reason: "calls" } },
    { type: "done" }
  ]
  const answer = decoder.decode(Result.getOrThrow(toClient().whole(events, used)))
  expect(answer).toContain('{"id":9007199254740993,"x":1.0}')
  const ids = JSON.parse(answer).candidates[0].content.parts.map(
    ({ functionCall: { id } }: { readonly functionCall: { readonly id: string } }) => id
  )
  expect(ids[0]).not.toBe("c1")
  expect(ids[1]).toBe("c2")
  expect(new Set(ids).size).toBe(3)
  expect(JSON.parse(answer).candidates[0].content.parts[2].thoughtSignature).toBe("c2ln")
})

const fromServer = (bytes: Uint8Array) => transduce(answersFrom(server).stream, [bytes])
const geminiStream = (...pieces: ReadonlyArray<object>) => encoder.encode(pieces.map(eventOf).join(""))

const geminiStreams: ReadonlyArray<readonly [what: string, bytes: Uint8Array, told: ReadonlyArray<ChatEvent>]> = [
  [
    "a text whose counts grow from piece to piece",
    geminiStream(
      piece([text("Rain, ")], undefined, { promptTokenCount: 11, candidatesTokenCount: 2, totalTokenCount: 13 }),
      piece([text("sun.")], "STOP", { promptTokenCount: 11, candidatesTokenCount: 4, totalTokenCount: 15 })
    ),
    [
      { type: "text", text: "Rain, " },
      { type: "text", text: "sun." },
      { type: "stop", stop: { reason: "end" } },
      { type: "usage", usage: { prompt: 11, cachedRead: 0, cachedWrite: 0, completion: 4, reasoning: 0 } },
      { type: "done" }
    ]
  ],
  [
    "thoughts, and calls of which only one is signed",
    geminiStream(
      piece([text("Hm.", { thought: true })]),
      piece([call("weather", { city: "Oslo" }, { thoughtSignature: "c2ln" }), call("time")], "STOP", {
        promptTokenCount: 20,
        candidatesTokenCount: 9,
        thoughtsTokenCount: 5,
        cachedContentTokenCount: 8
      })
    ),
    [
      { type: "reasoning", text: "Hm." },
      { type: "call", call: 0, id: undefined, name: "weather", signature: "c2ln" },
      { type: "arguments", call: 0, text: '{"city":"Oslo"}' },
      { type: "call", call: 1, id: undefined, name: "time" },
      { type: "arguments", call: 1, text: "{}" },
      { type: "stop", stop: { reason: "calls" } },
      { type: "usage", usage: { prompt: 20, cachedRead: 8, cachedWrite: 0, completion: 14, reasoning: 5 } },
      { type: "done" }
    ]
  ],
  [
    "a prompt that was blocked",
    geminiStream({ promptFeedback: { blockReason: "PROHIBITED_CONTENT" }, usageMetadata: { promptTokenCount: 3 } }),
    [
      { type: "start" },
      { type: "stop", stop: { reason: "filter" } },
      { type: "usage", usage: { prompt: 3, cachedRead: 0, cachedWrite: 0, completion: 0, reasoning: 0 } },
      { type: "done" }
    ]
  ],
  [
    "a text that a limit ends, after which nothing but counts comes",
    geminiStream(piece([text("So")], "MAX_TOKENS"), { usageMetadata: { promptTokenCount: 1, totalTokenCount: 3 } }),
    [
      { type: "text", text: "So" },
      { type: "stop", stop: { reason: "length" } },
      { type: "usage", usage: { prompt: 1, cachedRead: 0, cachedWrite: 0, completion: 2, reasoning: 0 } },
      { type: "done" }
    ]
  ]
]

describe("a streamed answer of a Gemini server", () => {
  test.each(geminiStreams)("tells of %s", (_, bytes, told) => {
    expect(fromServer(bytes)).toEqual([...told])
  })

  test.each([
    ["half an answer, then nothing more", geminiStream(piece([text("Half")]))],
    ["half an answer, then an error", geminiStream(piece([text("Half")]), { error: { code: 503, message: "gone" } })],
    ["an error in a list", geminiStream([{ error: { code: 503, message: "gone" } }])],
    ["a call that went wrong", geminiStream(piece([], "MALFORMED_FUNCTION_CALL"))],
    ["a reason that nobody knows", geminiStream(piece([text("Half")], "OTHER"))],
    ["nothing but sound", geminiStream(piece([{ inlineData: { mimeType: "audio/wav", data: "AA==" } }], "STOP"))]
  ])("is no answer that has ended: %s", (_, bytes) => {
    const events = fromServer(bytes)
    expect(events.at(-1)?.type).toBe("error")
    expect(events.map(({ type }) => type)).not.toContain("done")
  })

  test.each(["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"])(
    "that ends for %s was filtered",
    (reason) => {
      expect(fromServer(geminiStream(piece([text("So")], reason)))).toContainEqual({
        type: "stop",
        stop: { reason: "filter" }
      })
    }
  )

  test("keeps the digits of numbers in arguments", () => {
    const bytes = encoder.encode(
      'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"t","args":{"id":9007199254740993,"x":1.0}}}]},"finishReason":"STOP"}]}\n\n'
    )
    expect(fromServer(bytes)).toContainEqual({
      type: "arguments",
      call: 0,
      text: '{"id":9007199254740993,"x":1.0}'
    })
  })

  test("is the same under any cutting of its bytes, and comes back as it was over the hub", () =>
    holdsUnderAnyCutting(
      through(answersFrom(server), toClient()),
      fc.constantFrom(...geminiStreams.map(([, bytes]) => bytes)),
      textOf,
      60
    ))
})

const part = fc.oneof(
  fc.record({ kind: fc.constant("text" as const), words: fc.string({ minLength: 1 }) }),
  fc.record({ kind: fc.constant("thought" as const), words: fc.string({ minLength: 1 }) }),
  fc.record({
    kind: fc.constant("call" as const),
    name: fc.constantFrom("weather", "time"),
    args: fc.dictionary(
      fc.string({ maxLength: 5 }).filter((name) => name !== "__proto__"),
      fc.jsonValue({ maxDepth: 2 })
    ),
    signature: fc.option(fc.constantFrom("c2ln", "b2s="), { nil: undefined })
  })
)

test("what the hub tells of an answer is the same after a way through the dialect (law)", () => {
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 6 }),
      fc.constantFrom("end", "length", "filter" as const),
      (parts, reason) => {
        let at = -1
        const events = parts.flatMap((each): ReadonlyArray<ChatEvent> => {
          if (each.kind === "text") return [{ type: "text", text: each.words }]
          if (each.kind === "thought") return [{ type: "reasoning", text: each.words }]
          at += 1
          const signed = each.signature === undefined ? {} : { signature: each.signature }
          return [
            { type: "call", call: at, id: `c${at}`, name: each.name, ...signed },
            { type: "arguments", call: at, text: JSON.stringify(each.args) }
          ]
        })
        const stop: ChatEvent = {
          type: "stop",
          stop: { reason: reason === "end" && at >= 0 ? "calls" : (reason as "end" | "length" | "filter") } // reason: one of the three above
        }
        const usage: ChatEvent = {
          type: "usage",
          usage: { prompt: 9, cachedRead: 4, cachedWrite: 0, completion: 7, reasoning: 3 }
        }
        const all: ReadonlyArray<ChatEvent> = [{ type: "start" }, ...events, stop, usage, { type: "done" }]
        // Neighbours of one kind are one part of a whole answer.
        const joined = all.reduce<Array<ChatEvent>>((told, event) => {
          const last = told.at(-1)
          if (last?.type === "text" && event.type === "text")
            told[told.length - 1] = { ...last, text: last.text + event.text }
          else if (last?.type === "reasoning" && event.type === "reasoning") {
            told[told.length - 1] = { ...last, text: last.text + event.text }
          } else told.push(event)
          return told
        }, [])
        const body = Result.getOrThrow(toClient().whole(all, context))
        expect(Result.getOrThrow(answersFrom(server).whole(body))).toEqual(joined)
        const streamed = transduce(toClient().stream(context), all)
        const back = transduce(answersFrom(server).stream, streamed)
        const words = (list: ReadonlyArray<ChatEvent>, type: "text" | "reasoning") =>
          list.map((event) => (event.type === type ? event.text : "")).join("")
        for (const type of ["text", "reasoning"] as const) expect(words(back, type)).toBe(words(all, type))
        expect(back.filter(({ type }) => type === "call" || type === "arguments")).toEqual(
          all.filter(({ type }) => type === "call" || type === "arguments")
        )
        expect(back.slice(-3)).toEqual(all.slice(-3))
      }
    )
  )
})

test("a whole answer that is an error, or none, is no answer", () => {
  for (const body of [{ error: { code: 500, message: "no" } }, {}, [], piece([], "MALFORMED_FUNCTION_CALL")]) {
    expect(Result.isFailure(answersFrom(server).whole(bytesOf(body)))).toBe(true)
  }
})

test.each([[[1, 2], "[1,2]"] as const, ["done", "done"] as const, [7, "7"] as const])(
  "what came of a function is told where it is no object: %j",
  (response, content) => {
    const contents = [
      { role: "model", parts: [{ functionCall: { id: "a", name: "look" } }] },
      { role: "user", parts: [{ functionResponse: { id: "a", name: "look", response } }] }
    ]
    const codec = gemini.operations.find(({ client }) => client !== undefined)!.client!
    const { chat } = Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify({ contents })), "m"))
    expect(chat.messages.at(-1)).toMatchObject({ role: "tool", text: content })
  }
)
