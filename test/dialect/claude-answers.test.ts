import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import {
  calls,
  claudeError,
  claudeEvent,
  claudeMessage,
  type ClaudeAnswer,
  messageEvents,
  says,
  thinks
} from "../kit/claude.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"

const { client, server } = anthropic.operations[0]
const reading = answersFrom(server!)

const encoder = new TextEncoder()
const bytesOf = (events: ReadonlyArray<string>): Uint8Array => encoder.encode(events.join(""))

// Pieces of one text are one text.
const joined = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<ChatEvent> => {
  const all: Array<ChatEvent> = []
  for (const event of events) {
    const last = all.at(-1)
    if (event.type === "text" && last?.type === "text") all[all.length - 1] = { ...last, text: last.text + event.text }
    else if (event.type === "reasoning" && last?.type === "reasoning") {
      all[all.length - 1] = { ...last, text: last.text + event.text }
    } else if (event.type === "arguments" && last?.type === "arguments" && last.call === event.call) {
      all[all.length - 1] = { ...last, text: last.text + event.text }
    } else all.push(event)
  }
  return all
}

const streamed = (events: ReadonlyArray<string>) => joined(transduce(reading.stream, [bytesOf(events)]))

const whole = (answer: ClaudeAnswer) =>
  joined(Result.getOrThrow(reading.whole(encoder.encode(JSON.stringify(claudeMessage(answer))))))

const answers: ReadonlyArray<readonly [what: string, answer: ClaudeAnswer, told: ReadonlyArray<ChatEvent>]> = [
  [
    "thoughts, a text and two calls, the second of which has no input",
    {
      content: [
        thinks("Hm.", "c2ln"),
        says("Reading."),
        calls("t1", "gauge", { at: "north" }),
        calls("t2", "pumps", {})
      ],
      stop_reason: "tool_use",
      usage: { cache_read_input_tokens: 100, cache_creation_input_tokens: 4, output_tokens: 9 }
    },
    [
      { type: "start" },
      { type: "reasoning", text: "Hm." },
      { type: "signature", signature: "c2ln" },
      { type: "text", text: "Reading." },
      { type: "call", call: 0, id: "t1", name: "gauge" },
      { type: "arguments", call: 0, text: '{"at":"north"}' },
      { type: "call", call: 1, id: "t2", name: "pumps" },
      { type: "arguments", call: 1, text: "{}" },
      { type: "stop", stop: { reason: "calls" } },
      { type: "usage", usage: { prompt: 116, cachedRead: 100, cachedWrite: 4, completion: 9, reasoning: 0 } },
      { type: "done" }
    ]
  ],
  [
    "a text behind a tool that Anthropic runs itself",
    {
      content: [
        { type: "server_tool_use", id: "s1", name: "web_search", input: { query: "rain" } },
        { type: "web_search_tool_result", tool_use_id: "s1", content: [] },
        { type: "redacted_thinking", data: "eA==" },
        says("Rain.")
      ]
    },
    [
      { type: "start" },
      { type: "lost", what: "server_tool_use" },
      { type: "lost", what: "web_search_tool_result" },
      { type: "signature", signature: "nexus4.ZUE9PQ" },
      { type: "text", text: "Rain." },
      { type: "stop", stop: { reason: "end" } },
      { type: "usage", usage: { prompt: 12, cachedRead: 0, cachedWrite: 0, completion: 5, reasoning: 0 } },
      { type: "done" }
    ]
  ]
]

describe("what a text goes back to in Anthropic's words", () => {
  const found = (url: string, title: string | null) => ({
    type: "web_search_result_location",
    url,
    title,
    cited_text: "It rains.",
    encrypted_index: "Ab"
  })
  const citations = [
    found("https://sky.invalid/", "Sky"),
    { type: "search_result_location", source: "https://sea.invalid/", title: null, cited_text: "Sea." },
    { type: "search_result_location", source: "shelf 3", title: "Shelf", cited_text: "Dust." },
    { type: "char_location", document_index: 0, document_title: "Log", cited_text: "Fog." }
  ]
  const block = { type: "text", text: "rain", citations }
  const told: ReadonlyArray<ChatEvent> = [
    { type: "citation", url: "https://sky.invalid/", title: "Sky", cited: "It rains.", start: 6, end: 10 },
    { type: "citation", url: "https://sea.invalid/", title: "", cited: "Sea.", start: 6, end: 10 }
  ]
  const citationsOf = (events: ReadonlyArray<ChatEvent>) => events.filter(({ type }) => type === "citation")

  test("is told behind the text that does, with its place, whole", () => {
    const events = whole({ content: [says("Today "), block, says(".")] })
    expect(citationsOf(events)).toEqual([...told])
    expect(events.findIndex(({ type }) => type === "citation")).toBeGreaterThan(
      events.findIndex((event) => event.type === "text" && event.text.endsWith("rain"))
    )
  })

  test("is told so too where it comes before the pieces of its text, streamed", () => {
    const at = (index: number, delta: object) => claudeEvent({ type: "content_block_delta", index, delta })
    const events = streamed([
      claudeEvent({ type: "message_start", message: claudeMessage({ content: [] }) }),
      claudeEvent({ type: "content_block_start", index: 0, content_block: says("Today ") }),
      claudeEvent({ type: "content_block_stop", index: 0 }),
      claudeEvent({ type: "content_block_start", index: 1, content_block: { ...says(""), citations: [] } }),
      ...citations.map((citation) => at(1, { type: "citations_delta", citation })),
      at(1, { type: "text_delta", text: "ra" }),
      at(1, { type: "text_delta", text: "in" }),
      claudeEvent({ type: "content_block_stop", index: 1 }),
      claudeEvent({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 3 } }),
      claudeEvent({ type: "message_stop" })
    ])
    expect(citationsOf(events)).toEqual([...told])
    expect(events.findLastIndex(({ type }) => type === "text")).toBeLessThan(
      events.findIndex(({ type }) => type === "citation")
    )
  })
})

describe("an answer in Anthropic's words", () => {
  test.each(answers)("tells of %s, whole and streamed alike", (_, answer, told) => {
    expect(whole(answer)).toEqual([...told])
    expect(streamed(messageEvents(answer))).toEqual([...told])
  })

  test.each<[string, ChatEvent & { readonly type: "stop" }]>([
    ["end_turn", { type: "stop", stop: { reason: "end" } }],
    ["max_tokens", { type: "stop", stop: { reason: "length" } }],
    ["model_context_window_exceeded", { type: "stop", stop: { reason: "length" } }],
    ["stop_sequence", { type: "stop", stop: { reason: "string", text: "END" } }],
    ["refusal", { type: "stop", stop: { reason: "filter" } }],
    ["pause_turn", { type: "stop", stop: { reason: "end" } }],
    ["something_new", { type: "stop", stop: { reason: "end" } }]
  ])("ends for %s", (stop_reason, stop) => {
    const answer = {
      content: [says("So")],
      stop_reason,
      ...(stop_reason === "stop_sequence" ? { stop_sequence: "END" } : {})
    }
    expect(whole(answer)).toContainEqual(stop)
    expect(streamed(messageEvents(answer))).toContainEqual(stop)
  })

  test("is told whole where its first event holds blocks already, and why it ended", () => {
    const answer = { content: [says("So. "), calls("t1", "f", { a: 1 })], stop_reason: "tool_use" }
    const start = claudeEvent({ type: "message_start", message: claudeMessage(answer) })
    expect(streamed([start, claudeEvent({ type: "message_stop" })])).toEqual(whole(answer))
    const more = [
      claudeEvent({ type: "content_block_start", index: 2, content_block: calls("t2", "g", {}) }),
      claudeEvent({ type: "content_block_stop", index: 2 }),
      claudeEvent({ type: "message_stop" })
    ]
    const both = { ...answer, content: [...answer.content, calls("t2", "g", {})] }
    expect(streamed([start, ...more])).toEqual(whole(both))
  })

  test("takes the last word on tokens, and never adds them up", () => {
    const events = messageEvents({ content: [says("hi")] }).map((event) =>
      event.includes("message_delta")
        ? claudeEvent({
            type: "message_delta",
            delta: { stop_reason: "end_turn", stop_sequence: null },
            usage: {
              input_tokens: 20,
              cache_read_input_tokens: null,
              output_tokens: 7,
              output_tokens_details: { thinking_tokens: 3 }
            }
          })
        : event
    )
    expect(streamed(events)).toContainEqual({
      type: "usage",
      usage: { prompt: 20, cachedRead: 0, cachedWrite: 0, completion: 7, reasoning: 3 }
    })
  })

  test("keeps the tokens of its prompt where its end says 0 of them, as some servers do", () => {
    const usage = { input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 7 }
    const events = messageEvents({ content: [says("hi")], usage: { cache_read_input_tokens: 30 } }).map((event) =>
      event.includes("message_delta")
        ? claudeEvent({ type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage })
        : event
    )
    const [begun] = events.flatMap((event) => /"input_tokens":(\d+)/.exec(event)?.[1] ?? [])
    const prompt = Number(begun) + 30
    expect(prompt).toBeGreaterThan(30)
    expect(streamed(events)).toContainEqual({
      type: "usage",
      usage: { prompt, cachedRead: 30, cachedWrite: 0, completion: 7, reasoning: 0 }
    })
    const watch = anthropic.watch()
    watch.push(bytesOf(events))
    expect(watch.used()).toEqual({ prompt, cached: 30, completion: 7 })
  })

  test("tells of the prompt that there was in the end where the conversation was made shorter on the way", () => {
    const usage = {
      input_tokens: 900,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      output_tokens: 7
    }
    const begun = { input_tokens: 10, cache_read_input_tokens: 150_000, cache_creation_input_tokens: 40 }
    const events = messageEvents({ content: [says("hi")], usage: begun }).map((event) =>
      event.includes("message_delta")
        ? claudeEvent({ type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage })
        : event
    )
    expect(streamed(events)).toContainEqual({
      type: "usage",
      usage: { prompt: 900, cachedRead: 0, cachedWrite: 0, completion: 7, reasoning: 0 }
    })
    const watch = anthropic.watch()
    watch.push(bytesOf(events))
    expect(watch.used()).toEqual({ prompt: 900, cached: 0, completion: 7 })
  })

  test("takes the input of a call from its start where nothing more comes", () => {
    const input = { id: 7 }
    const block = { type: "tool_use", id: "t", name: "gauge", input }
    const [start = "", ...rest] = messageEvents({ content: [], stop_reason: "tool_use" })
    const events = [
      start,
      claudeEvent({ type: "content_block_start", index: 0, content_block: block }),
      claudeEvent({ type: "content_block_stop", index: 0 }),
      ...rest
    ]
    expect(streamed(events)).toContainEqual({ type: "arguments", call: 0, text: '{"id":7}' })
  })

  test("fails where it breaks off, tells of an error, or has no reason to end", () => {
    const events = messageEvents({ content: [says("Half")] })
    const last = (all: ReadonlyArray<string>) => streamed(all).at(-1)
    expect(last(events.slice(0, -3))).toMatchObject({ type: "error" })
    expect(last(events.slice(0, -1))).toMatchObject({ type: "error" })
    expect(last([...events.slice(0, -2), ...events.slice(-1)])).toMatchObject({ type: "error" })
    expect(last([...events.slice(0, 4), claudeEvent(claudeError("overloaded_error", "Overloaded"))])).toEqual({
      type: "error",
      message: "Overloaded",
      code: "overloaded_error"
    })
    expect(Result.isFailure(reading.whole(encoder.encode("{}")))).toBe(true)
  })

  test("law: it is read as the same under any cutting", () =>
    holdsUnderAnyCutting(
      reading.stream,
      fc.constantFrom(...answers.map(([, answer]) => bytesOf(messageEvents(answer)))),
      joined,
      30
    ))
})

const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set() }

const word = fc.constantFrom("rain", "é 🌧", '"', "\\n", "0")

const blocks = fc.array(
  fc.oneof(
    word.map((text): ReadonlyArray<ChatEvent> => [{ type: "text", text }]),
    word.map((text): ReadonlyArray<ChatEvent> => [
      { type: "reasoning", text },
      { type: "signature", signature: "c2ln" }
    ]),
    fc.constantFrom("{}", '{"a":"b"}', '{"id":9007199254740993}').map((text): ReadonlyArray<ChatEvent> => [
      { type: "call", call: 0, id: "x", name: "sky" },
      { type: "arguments", call: 0, text }
    ])
  ),
  { minLength: 1, maxLength: 5 }
)

const numbered = (all: ReadonlyArray<ChatEvent>): ReadonlyArray<ChatEvent> => {
  let made = -1
  const events = all.map((event): ChatEvent => {
    if (event.type === "call") made += 1
    if (event.type === "call") return { type: "call", call: made, id: `x${made}`, name: event.name }
    return event.type === "arguments" ? { type: "arguments", call: made, text: event.text } : event
  })
  const stop: ChatEvent = { type: "stop", stop: { reason: made < 0 ? "end" : "calls" } }
  const usage = { prompt: 30, cachedRead: 8, cachedWrite: 2, completion: 9, reasoning: 3 }
  return [{ type: "start" }, ...events, stop, { type: "usage", usage }, { type: "done" }]
}

const told: fc.Arbitrary<ReadonlyArray<ChatEvent>> = blocks.map((all) => numbered(all.flat()))

// Neighbours of one kind are one block of Messages.
const apart = (events: ReadonlyArray<ChatEvent>): boolean =>
  events.every((event, at) => !["text", "reasoning"].includes(event.type) || events[at + 1]?.type !== event.type) &&
  !events.some((event, at) => event.type === "signature" && events[at + 1]?.type === "reasoning")

test("law: what an answer says in Messages is read again as it was, whole and streamed", () => {
  const writing = answersTo(client!, { model: "m", max_tokens: 5, messages: [{ role: "user", content: "a" }] })
  fc.assert(
    fc.property(told.filter(apart), (events) => {
      expect(joined(transduce(reading.stream, transduce(writing.stream(context), events)))).toEqual(joined(events))
      const body = Result.getOrThrow(writing.whole(events, context))
      expect(joined(Result.getOrThrow(reading.whole(body)))).toEqual(joined(events))
    }),
    { numRuns: 200 }
  )
})

/** From Claude's bytes to those of a client of chat completions. */
const through: Transducer<Uint8Array, Uint8Array> = {
  start: () => {
    const decode = reading.stream.start()
    const writing = answersTo(openai.operations[0].client!, { model: "m", messages: [{ role: "user", content: "a" }] })
    const encode = writing.stream(context).start()
    const take = (events: ReadonlyArray<ChatEvent>) => events.flatMap((event) => encode.push(event))
    return { push: (piece) => take(decode.push(piece)), end: () => [...take(decode.end()), ...encode.end()] }
  }
}

test("law: a stream of Claude's is the same to a client of OpenAI's under any cutting", () =>
  holdsUnderAnyCutting(
    through,
    fc.constantFrom(...answers.map(([, answer]) => bytesOf(messageEvents(answer)))),
    (all) => Buffer.concat([...all]).toString(),
    30
  ))
