import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { ChatEvent } from "../../src/dialect/chat.ts"
import { chatAnswers } from "../../src/dialect/openai/chat-answer.ts"
import { type SaidText, TextTemplate } from "../../src/dialect/text-template.ts"
import { transduce } from "../../src/dialect/Transducer.ts"

const ascii = (json: string): string =>
  json.replace(/[\u0080-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The ways in which servers write a chunk of text. */
const shapes: ReadonlyArray<(text: string, at: number) => string> = [
  (content) => JSON.stringify({ id: "x", choices: [{ index: 0, delta: { content }, finish_reason: null }] }),
  (content) => JSON.stringify({ choices: [{ delta: { content, role: "assistant" } }], model: "a", usage: null }),
  (content) => ascii(JSON.stringify({ choices: [{ delta: { role: "assistant", content } }] })),
  (content) => JSON.stringify({ choices: [{ delta: { content, refusal: null } }], copy: { content } }),
  (content) => JSON.stringify({ copy: content, choices: [{ delta: { content } }] }),
  (content, at) => JSON.stringify({ choices: [{ delta: { content } }], obfuscation: "x".repeat(at % 5) }),
  (content, at) => JSON.stringify({ choices: [{ delta: { content } }], note: at % 2 === 0 ? "a" : "x" }),
  (reasoning_content) => JSON.stringify({ choices: [{ delta: { content: null, reasoning_content } }] }),
  (content) => `{"choices":[{"delta":{"content":"not this","content":${JSON.stringify(content)}}}]}`,
  (content) => `{"choices":[{"delta":{"content":${JSON.stringify(content)},"content":"but this"}}]}`,
  (content) => `{"choices": [{"index": 1, "delta": {"content": ${JSON.stringify(content)}}}]}`,
  (content) => JSON.stringify({ choices: [{ delta: { content }, finish_reason: "stop" }] }),
  (content) => JSON.stringify({ choices: [{ delta: { content } }], usage: { prompt_tokens: 1 } }),
  (content) => JSON.stringify({ choices: [{ delta: { content }, logprobs: { content: [{ token: content }] } }] }),
  (content) => `{"choices":[{"delta":{"content":${JSON.stringify(content)}}}]`,
  (content) => JSON.stringify({ choices: [{ delta: { content } }], error: content === "a" ? "a" : null })
]

const texts = fc.oneof(
  fc.constantFrom("a", " b", "", "assistant", "x", '"', "\\", "\n", '","content":"', "é", "🙂", "\ud83d", '"}', "null"),
  fc.string()
)

const encoder = new TextEncoder()

const read = (events: ReadonlyArray<string>): ReadonlyArray<ChatEvent> =>
  transduce(chatAnswers.stream, [encoder.encode(events.map((event) => `data: ${event}\n\n`).join(""))])

const isOwn = ({ type }: ChatEvent): boolean => type !== "start" && type !== "done"

const withoutEnd = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<ChatEvent> =>
  events.filter((event) => isOwn(event) && !(event.type === "error" && event.message.includes("before it finished")))

describe("tokens that are known again", () => {
  test("say what each of them says by itself, however a server writes them", () =>
    fc.assert(
      fc.property(fc.array(fc.record({ text: texts, shape: fc.nat(shapes.length - 1) }), { minLength: 1 }), (all) => {
        const events = all.map(({ shape, text }, at) => shapes[shape]?.(text, at) ?? "")
        const ends = events.findIndex((event) => read([event]).some(({ type }) => type === "stop" || type === "error"))
        const upTo = events.slice(0, ends < 0 ? events.length : ends)
        expect(withoutEnd(read(upTo))).toEqual(upTo.flatMap((event) => withoutEnd(read([event]))))
      }),
      { numRuns: 1000 }
    ))

  test("say so in runs of one shape", () =>
    fc.assert(
      fc.property(
        fc.constantFrom(...shapes),
        fc.array(fc.oneof(fc.constantFrom("a", "x"), texts), { minLength: 1, maxLength: 12 }),
        (shape, all) => {
          const events = all.map(shape)
          const ends = events.findIndex((event) => read([event]).some(({ type }) => type === "stop"))
          const upTo = events.slice(0, ends < 0 ? events.length : ends)
          const failed = upTo.findIndex((event) => withoutEnd(read([event])).some(({ type }) => type === "error"))
          const kept = failed < 0 ? upTo : upTo.slice(0, failed + 1)
          expect(withoutEnd(read(upTo))).toEqual(kept.flatMap((event) => withoutEnd(read([event]))))
        }
      ),
      { numRuns: 500 }
    ))

  test("are read in full where all of them are different, and learnt a few times only", () => {
    let reads = 0
    const sole = (event: string): SaidText => {
      reads += 1
      return { type: "text", text: String(JSON.parse(event).at(0)) }
    }
    const template = new TextTemplate(sole)
    for (let at = 0; at < 100; at += 1) {
      const event = JSON.stringify([`word ${at}`, at])
      expect(template.read(event)).toBeUndefined()
      if (template.mayLearn) template.learn(event, sole(event))
    }
    expect(reads).toBeLessThan(20)
  })
})
