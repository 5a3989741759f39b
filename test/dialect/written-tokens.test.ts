import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { delta, event } from "../kit/answers.ts"
import { claudeEvent } from "../kit/claude.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const named = (data: { readonly type: string; readonly [name: string]: unknown }): string =>
  `event: ${data.type}\n${event(data)}`

const chunkWith = (more: object) =>
  event({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, ...more }] })

const choices = (text: string) => [
  { token: text, logprob: -0.1, bytes: [1, 2], top_logprobs: [{ token: `other ${text}`, logprob: -3, bytes: [7] }] }
]

/** How a server says a piece of text in a stream, and what else it says before. */
const servers = [
  ["OpenAI", openai, (content: string) => event(delta("m", { content })), ""],
  [
    "a server that tells of its role each time",
    openai,
    (content: string) => chunkWith({ delta: { role: "assistant", content } }),
    ""
  ],
  [
    "one that tells what was likely",
    openai,
    (content: string) => chunkWith({ delta: { content }, logprobs: { content: choices(content) } }),
    ""
  ],
  ["completions", openai, (text: string) => chunkWith({ text, logprobs: null }), ""],
  [
    "calls of tools",
    openai,
    (text: string) => chunkWith({ delta: { tool_calls: [{ index: 0, function: { arguments: text } }] } }),
    chunkWith({
      delta: { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "f", arguments: "" } }] }
    })
  ],
  [
    "Anthropic",
    anthropic,
    (text: string) => claudeEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
    claudeEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })
  ],
  [
    "Responses",
    responses,
    (text: string) =>
      named({ type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: text }),
    named({ type: "response.created", response: { id: "resp_1", model: "m" } })
  ],
  [
    "Ollama",
    ollama,
    (content: string) => `${JSON.stringify({ model: "m", message: { role: "assistant", content }, done: false })}\n`,
    ""
  ],
  [
    "Google",
    gemini,
    (text: string) => event({ candidates: [{ index: 0, content: { role: "model", parts: [{ text }] } }] }),
    ""
  ]
] as const

describe.each(servers)("the tokens that %s has written, as they are estimated,", (_, dialect, says, begins) => {
  const written = (pieces: ReadonlyArray<string | Uint8Array>): number => {
    const watch = dialect.watch()
    for (const piece of pieces) watch.push(typeof piece === "string" ? bytes(piece) : piece)
    return watch.written
  }
  const words = Array.from({ length: 1000 }, (_none, at) => ["so", " much", " was", " said\n", " here"][at % 5] ?? "")

  test("are none before it says anything", () => {
    expect(written([begins])).toBeLessThanOrEqual(5)
  })

  test("are about its words, however many it puts into an event and writes at once", () => {
    for (const each of [1, 3, 50, 1000]) {
      const events = Array.from({ length: words.length / each }, (_none, at) =>
        says(words.slice(at * each, (at + 1) * each).join(""))
      )
      for (const pieces of [[begins, ...events], [begins + events.join("")]]) {
        const share = written(pieces) / words.length
        expect([each, share >= 0.75 && share <= 1.6 ? "about as many" : share]).toEqual([each, "about as many"])
      }
    }
  })

  test("are the same however the stream is cut (law)", () =>
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" }), { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        (texts, cuts) => {
          const events = texts.map((text) => says(text))
          const all = bytes(begins + events.join(""))
          const at = [0, ...cuts.map((cut) => cut % (all.length + 1)), all.length].toSorted((a, b) => a - b)
          const cut = at.slice(1).map((to, place) => all.subarray(at[place], to))
          expect(written(cut)).toBe(written([begins, ...events]))
        }
      )
    ))
})
