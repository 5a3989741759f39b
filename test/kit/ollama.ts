/**
 * Ollama as it answers in its own words.
 */
import { chunk, head, json, lastChunk } from "./answers.ts"
import type { Script, Step } from "./rawServer.ts"
import { fieldsOf } from "./voices.ts"

/** A line of its streams. */
export const line = (value: unknown): string => `${JSON.stringify(value)}\n`

/** The lines of a stream or of several answers. */
export const linesIn = (text: string): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  text
    .trim()
    .split("\n")
    .map((each) => JSON.parse(each))

/** The head of a stream in chunks. */
export const linesHead = head(200, ["Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"])

const created_at = "2026-08-21T10:00:00.123456789Z"

/** One line of an answer that goes on. */
export const saying = (model: string, message: Readonly<Record<string, unknown>>) => ({
  model,
  created_at,
  message: { role: "assistant", content: "", ...message },
  done: false
})

/** The last line, with all that was said in a whole answer. */
export const ending = (model: string, message: Readonly<Record<string, unknown>> = {}, done_reason = "stop") => ({
  ...saying(model, message),
  done: true,
  done_reason,
  total_duration: 5_191_566_416,
  load_duration: 2_154_458,
  prompt_eval_count: 11,
  prompt_eval_duration: 383_809_000,
  eval_count: 5,
  eval_duration: 4_799_921_000
})

/** A stream of these lines, one write each. */
export const lines = (all: ReadonlyArray<unknown>, ...end: ReadonlyArray<Step>): ReadonlyArray<Step> => [
  linesHead,
  ...all.map((each) => chunk(line(each))),
  ...(end.length === 0 ? [lastChunk] : end)
]

/** A good answer to any chat: these words, or these calls. */
export const ollamaSays =
  (words: ReadonlyArray<string>, calls: ReadonlyArray<unknown> = []): Script =>
  (request) => {
    const { model, stream } = fieldsOf(request)
    const called = calls.length === 0 ? {} : { tool_calls: calls }
    if (stream === false) return [json(ending(String(model), { content: words.join(""), ...called }))]
    return lines([
      ...words.map((content) => saying(String(model), { content })),
      ...(calls.length === 0 ? [] : [saying(String(model), called)]),
      ending(String(model))
    ])
  }
