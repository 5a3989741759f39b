/**
 * The smallest requests that show whether a server really answers: a handful of tokens each.
 */
import * as Predicate from "effect/Predicate"
import { jsonAt, parseBoundedJson } from "../../domain/bounded-json.ts"
import type { TrialResult, ServerTrial, TrialName } from "../Dialect.ts"
import type { Endpoint } from "./openai-endpoints.ts"
import { EventWatch } from "./event-watch.ts"

/** What one of them may cost in generated tokens at most. */
const mostTokens = 64

const encoder = new TextEncoder()

const shown = (good: boolean, note = "", pieces = 1): TrialResult => ({ good, note, pieces })

const trial = (endpoint: Endpoint, body: ServerTrial["body"], shows: ServerTrial["shows"]): ServerTrial => ({
  endpoint,
  body,
  shows
})

// The newer field is known to few others; what those think that want it counts too, and none at all is an error to them.
const bound = (tokens: number, original: boolean) =>
  original ? { max_completion_tokens: Math.max(tokens, mostTokens) } : { max_tokens: tokens }

const hello = (model: string, tokens: number, original: boolean) => ({
  model,
  messages: [{ role: "user", content: "Count from 1 to 9." }],
  ...bound(tokens, original)
})

const streamed = (answer: string): TrialResult => {
  const events = answer.split(/\r?\n\r?\n/).filter((event) => event.startsWith("data:")).length
  if (events === 0) return shown(false, "the stream has no event")
  const watch = new EventWatch()
  watch.push(encoder.encode(answer))
  const ending = watch.ending(true)
  if (ending.startsWith("failed")) return shown(false, "the stream holds an error")
  return ending === "cut"
    ? shown(false, "the stream ends with neither a finish reason nor [DONE]")
    : shown(true, `${events} events`, events)
}

const tool = {
  type: "function",
  function: { name: "get_time", description: "Tells the time", parameters: { type: "object", properties: {} } }
}

/** Each of them, by what it is for. */
export const trials: Readonly<Record<TrialName, ServerTrial>> = {
  chat: trial(
    "chat/completions",
    (model, original) => hello(model, 1, original),
    (answer) =>
      shown(
        jsonAt(parseBoundedJson(answer), "choices", 0, "message") !== undefined,
        "the answer has no choices[0].message"
      )
  ),
  stream: trial("chat/completions", (model, original) => ({ ...hello(model, 16, original), stream: true }), streamed),
  tools: trial(
    "chat/completions",
    (model, original) => ({
      model,
      messages: [{ role: "user", content: "What time is it? Call the tool get_time." }],
      tools: [tool],
      ...bound(mostTokens, original)
    }),
    (answer) => {
      const calls = jsonAt(parseBoundedJson(answer), "choices", 0, "message", "tool_calls")
      return shown(Array.isArray(calls) && calls.length > 0)
    }
  ),
  json: trial(
    "chat/completions",
    (model, original) => ({
      model,
      messages: [{ role: "user", content: 'Answer with the JSON object {"ok": true} and nothing else.' }],
      response_format: { type: "json_object" },
      ...bound(mostTokens, original)
    }),
    (answer) => {
      const content = jsonAt(parseBoundedJson(answer), "choices", 0, "message", "content")
      return shown(typeof content === "string" && Predicate.isObject(parseBoundedJson(content)))
    }
  ),
  embeddings: trial(
    "embeddings",
    (model) => ({ model, input: "hello" }),
    (answer) => {
      const vector = jsonAt(parseBoundedJson(answer), "data", 0, "embedding")
      return Array.isArray(vector) && vector.length > 0
        ? shown(true, `vectors of ${vector.length} numbers`)
        : shown(false, "the answer has no data[0].embedding")
    }
  )
}
