import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { AnswerContext, ChatEvent } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { eventsByChoice } from "../../src/dialect/several-answers.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { pushAll, transduce, through } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"
import { asking, eventOf } from "../kit/gemini.ts"

const [, stream] = gemini.operations
const [chat] = openai.operations
const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set() }
const encoder = new TextEncoder()
const asked = { stream: true, messages: [{ role: "user" as const, parts: [] }], tools: [], choices: 3, extra: {} }

const toGoogle = answersTo(stream!.client!, JSON.parse(asking({ generationConfig: { candidateCount: 3 } })), "m")
const toOpenAi = answersTo(chat.client!, { messages: [{ role: "user", content: "go" }], n: 3, stream: true }, "m")
const ofGoogle = answersFrom(stream!.server!, asked)
const ofOpenAi = answersFrom(chat.server!, asked)

/** Pieces of text of three answers, in any order. */
const said = fc.array(fc.tuple(fc.nat(2), fc.string({ minLength: 1, maxLength: 6 })), { maxLength: 12 })

type Said = ReadonlyArray<readonly [choice: number, text: string]>

const asOpenAis = (pieces: Said): Uint8Array => {
  const choices = [
    ...pieces.map(([index, content]) => ({ index, delta: { content }, finish_reason: null })),
    ...[2, 0, 1].map((index) => ({ index, delta: {}, finish_reason: "stop" }))
  ]
  return encoder.encode(`${choices.map((choice) => eventOf({ choices: [choice] })).join("")}data: [DONE]\n\n`)
}

const asGoogles = (pieces: Said, ends: ReadonlyArray<number> = [2, 0, 1]): Uint8Array => {
  const content = (text: string) => ({ role: "model", parts: [{ text }] })
  const candidates = [
    ...pieces.map(([index, text]) => ({ index, content: content(text) })),
    ...ends.map((index) => ({ index, finishReason: "STOP" }))
  ]
  return encoder.encode(candidates.map((each) => eventOf({ candidates: [each] })).join(""))
}

/** What each answer says, and whether all is whole. */
const heard = (events: ReadonlyArray<ChatEvent>) => {
  const texts = ["", "", ""]
  let choice = 0
  for (const event of events) {
    if (event.type === "choice") ({ choice } = event)
    if (event.type === "text") texts[choice] += event.text
  }
  return { texts, end: events.at(-1)?.type }
}

const textsOf = (pieces: Said) =>
  [0, 1, 2].map((choice) => pieces.flatMap(([of, text]) => (of === choice ? [text] : [])).join(""))

test("several answers keep what each one says, to the other dialect and back", () =>
  fc.assert(
    fc.property(said, (pieces) => {
      const wanted: ReturnType<typeof heard> = { texts: textsOf(pieces), end: "done" }
      for (const [bytes, from, to, back] of [
        [asOpenAis(pieces), ofOpenAi, toGoogle, ofGoogle],
        [asGoogles(pieces), ofGoogle, toOpenAi, ofOpenAi]
      ] as const) {
        const events = transduce(from.stream, [bytes])
        expect(heard(events)).toEqual(wanted)
        const told = transduce(through(from.stream, to.stream(context)), [bytes])
        expect(heard(transduce(back.stream, told))).toEqual(wanted)
      }
    })
  ))

test("several answers are the same however their stream is cut", async () => {
  const joined = (all: ReadonlyArray<Uint8Array>) => Buffer.concat([...all]).toString()
  await holdsUnderAnyCutting(through(ofOpenAi.stream, toGoogle.stream(context)), said.map(asOpenAis), joined, 50)
  await holdsUnderAnyCutting(
    through(ofGoogle.stream, toOpenAi.stream(context)),
    said.map((pieces) => asGoogles(pieces)),
    joined,
    50
  )
})

test("several answers of which one has not ended are not whole, to the watch nor to who translates them", () => {
  const pieces = [
    [0, "a"],
    [1, "b"]
  ] as const
  const ending = (ends: ReadonlyArray<number>) => {
    const watch = gemini.watch()
    watch.push(asGoogles(pieces, ends))
    return [watch.ending(true), heard(transduce(ofGoogle.stream, [asGoogles(pieces, ends)])).end]
  }
  expect(ending([0])).toEqual(["cut", "error"])
  expect(ending([1])).toEqual(["cut", "error"])
  expect(ending([1, 0])).toEqual(["done", "done"])
})

test("what a server says beyond the answers that were asked for is not told", () => {
  const events = transduce(ofGoogle.stream, [asGoogles([[7, "more"]], [0, 7])])
  expect(heard(events)).toEqual({ texts: ["", "", ""], end: "done" })
})

test("what several answers of a chat go back to is told with each of them that has not told it, whole and streamed", () => {
  const [first, second] = ["https://a.example", "https://b.example"] as const
  const beside = { citations: [first, second], search_results: [{ title: "A", url: first, snippet: "rain" }] }
  const cited = { type: "url_citation", url_citation: { url: second, title: "B", start_index: 0, end_index: 1 } }
  const said = (at: number) => (at === 1 ? { content: "x", annotations: [cited] } : { content: "x" })
  const chunks = [
    { ...beside, choices: [0, 1, 2].map((index) => ({ index, delta: said(index) })) },
    { ...beside, choices: [0, 1, 2].map((index) => ({ index, delta: {}, finish_reason: "stop" })) }
  ]
  const whole = {
    ...beside,
    choices: [0, 1, 2].map((index) => ({ index, message: said(index), finish_reason: "stop" }))
  }
  const streamed = transduce(ofOpenAi.stream, [encoder.encode(`${chunks.map(eventOf).join("")}data: [DONE]\n\n`)])
  for (const events of [streamed, Result.getOrThrow(ofOpenAi.whole(encoder.encode(JSON.stringify(whole))))]) {
    const told = [...eventsByChoice(events).values()].map((each) =>
      each.flatMap((event) => (event.type === "citation" ? [[event.url, event.title, event.cited]] : []))
    )
    const all = [
      [first, "A", "rain"],
      [second, "", undefined]
    ]
    expect(told).toEqual([all, [[second, "B", undefined], all[0]!], all])
  }
})

test("what several answers have lost is told once, however many have lost it", () => {
  const messages = [{ role: "user", content: "go" }]
  const contents = [{ parts: [{ text: "go" }] }]
  const rows = [
    [openai, { model: "m", messages, n: 2, stream: true }],
    [gemini, { contents, generationConfig: { candidateCount: 2 } }]
  ] as const
  for (const [{ operations }, request] of rows) {
    const codec = operations.find((each) => each.client !== undefined)!.client!
    const events: ReadonlyArray<ChatEvent> = [
      ...[0, 1].flatMap((choice): ReadonlyArray<ChatEvent> => [
        { type: "choice", choice },
        { type: "text", text: "hi" },
        { type: "lost", what: "audio" },
        { type: "stop", stop: { reason: "end" } }
      ]),
      { type: "done" }
    ]
    const told = transduce(answersTo(codec, request, "m").stream(context), events)
    const text = Buffer.concat([...told]).toString()
    expect(text.match(/x-nexus-dropped/g)).toHaveLength(1)
    expect(text.match(/hi/g)).toHaveLength(2)
  }
})

describe("what each of several candidates says behind a call whose arguments never come is told, where all ends by", () => {
  const chunk = (index: number, delta: object) => eventOf({ choices: [{ index, delta, finish_reason: null }] })
  const called = { tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "f", arguments: "" } }] }
  const pieces = [0, 1, 2].map((index) => chunk(index, called) + chunk(index, { content: `Behind ${index}.` })).join("")
  const ends = (told: string): void => {
    expect([...told.matchAll(/Behind \d\./g)].map(([each]) => each)).toEqual(["Behind 0.", "Behind 1.", "Behind 2."])
    expect(told.match(/"error"/g)).toHaveLength(1)
    expect(told.indexOf("gone")).toBeGreaterThan(told.indexOf("Behind 2."))
    expect(told).not.toContain("functionCall")
  }

  test("an error", () => {
    const bytes = encoder.encode(`${pieces}data: {"error":{"message":"gone"}}\n\n`)
    const codecs = through(ofOpenAi.stream, toGoogle.stream(context))
    ends(Buffer.concat([...transduce(codecs, [bytes])]).toString())
  })

  test("a connection that is lost", () => {
    const writes = toGoogle.stream(context).start()
    const told = pushAll(writes, pushAll(ofOpenAi.stream.start(), [encoder.encode(pieces)]))
    const last = writes.broken?.('{"error":{"message":"gone"}}') ?? new Uint8Array()
    ends(Buffer.concat([...told, last]).toString())
  })
})

test("one of several answers that its client cannot be given ends all of them, with one error", () => {
  const functions = [{ name: "f", parameters: { type: "object" } }]
  const older = answersTo(
    chat.client!,
    { messages: [{ role: "user", content: "go" }], n: 2, functions, stream: true },
    "m"
  )
  const call = (index: number): ChatEvent => ({ type: "call", call: index, id: `c${index}`, name: "f" })
  const events: ReadonlyArray<ChatEvent> = [
    call(0),
    call(1),
    { type: "choice", choice: 1 },
    { type: "text", text: "Other." },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ]
  const told = Buffer.concat([...transduce(older.stream(context), events)]).toString()
  expect(told.match(/"error"/g)).toHaveLength(1)
  expect(told).not.toMatch(/Other|DONE/)
})
