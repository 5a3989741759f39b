import { heapStats } from "bun:jsc"
import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, ChatEvent, ClientCodec } from "../../src/dialect/chat.ts"
import type { Dialect } from "../../src/dialect/Dialect.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { GrowingText } from "../../src/dialect/growing-text.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { answersTo } from "../kit/codecs.ts"

test("a text that grows is its pieces one behind the other (law)", () =>
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 200 }), fc.string(), (pieces, first) => {
      const growing = new GrowingText(first)
      for (const piece of pieces) growing.add(piece)
      expect(growing.text).toBe(first + pieces.join(""))
      expect(growing.length).toBe(growing.text.length)
    })
  ))

test("a text that grows does not hold the events that its pieces were cut out of", () => {
  const size = 100_000
  const events = 200
  const grown = (): GrowingText => {
    const growing = new GrowingText()
    for (let at = 0; at < events; at += 1) growing.add(`${at} `.repeat(size / 5).slice(10, 20))
    return growing
  }
  const held = (): number => {
    Bun.gc(true)
    const { extraMemorySize, heapSize } = heapStats()
    return heapSize + extraMemorySize
  }
  grown()
  const before = held()
  const growing = grown()
  expect(held() - before).toBeLessThan(8 * size)
  expect(growing.length).toBe(10 * events)
})

const turns = [{ role: "user", content: "hello" }]

const requests: ReadonlyArray<readonly [Dialect, object]> = [
  [openai, { model: "m", messages: turns, stream: true }],
  [responses, { model: "m", input: turns, stream: true }],
  [anthropic, { model: "m", max_tokens: 9, messages: turns, stream: true }],
  [ollama, { model: "m", messages: turns }],
  [gemini, { contents: [{ role: "user", parts: [{ text: "hello" }] }] }]
]

const clientOf = ({ operations }: Dialect): ClientCodec => {
  const client = operations.find((each) => each.client !== undefined)?.client
  if (client === undefined) throw new Error("no client half")
  return client
}

const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set() }

const count = 4000

const said: Readonly<Record<string, (at: number) => ReadonlyArray<ChatEvent>>> = {
  text: (at) => [{ type: "text", text: `word${at} ` }],
  thoughts: (at) => [{ type: "reasoning", text: `word${at} ` }],
  "arguments of a call": (at) => [
    ...(at === 0 ? [{ type: "call", call: 0, id: "c", name: "f" } as const] : []),
    { type: "arguments", call: 0, text: at === 0 ? '{"a":"' : `word${at} ` }
  ]
}

const strings = (): number => {
  Bun.gc(true)
  return heapStats().objectTypeCounts["string"] ?? 0
}

describe("an answer that goes on for long holds what has been said, and not each piece of it:", () => {
  for (const [dialect, request] of requests) {
    for (const [what, events] of Object.entries(said)) {
      test(`${what}, to a client of ${dialect.id}`, () => {
        const goesOn = () => {
          const step = answersTo(clientOf(dialect), request, "m").stream(context).start()
          step.push({ type: "start" })
          for (let at = 0; at < count; at += 1) for (const event of events(at)) step.push(event)
          return step
        }
        // The engine keeps strings of its own once they have been made.
        goesOn()
        const before = strings()
        const step = goesOn()
        expect(strings() - before).toBeLessThan(count / 4)
        expect(step.over).not.toBe(true)
      })
    }
  }
})
