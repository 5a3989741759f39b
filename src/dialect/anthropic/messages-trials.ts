/**
 * The smallest requests of Messages that show whether a server really answers.
 */
import * as Predicate from "effect/Predicate"
import { jsonAt, parseBoundedJson } from "../../domain/bounded-json.ts"
import type { ServerTrial, TrialName, TrialResult } from "../Dialect.ts"
import { MessagesWatch } from "./messages-watch.ts"

/** What one of them may cost in generated tokens at most. */
const mostTokens = 64

const encoder = new TextEncoder()

const shown = (good: boolean, note = "", pieces = 1): TrialResult => ({ good, note, pieces })

const trial = (says: string, more: object, shows: ServerTrial["shows"]): ServerTrial => ({
  endpoint: "messages",
  body: (model) => ({ model, max_tokens: mostTokens, messages: [{ role: "user", content: says }], ...more }),
  shows
})

const counting = "Count from 1 to 9."

const blocksIn = (answer: string): ReadonlyArray<unknown> | undefined => {
  const content = jsonAt(parseBoundedJson(answer), "content")
  return Array.isArray(content) ? content : undefined
}

const textIn = (answer: string): string =>
  (blocksIn(answer) ?? [])
    .map((block) => (Predicate.isObject(block) && typeof block["text"] === "string" ? block["text"] : ""))
    .join("")

const streamed = (answer: string): TrialResult => {
  const events = answer.split(/\r?\n\r?\n/).filter((event) => event.includes("data:")).length
  if (events === 0) return shown(false, "the stream has no event")
  const watch = new MessagesWatch()
  watch.push(encoder.encode(answer))
  const ending = watch.ending()
  if (ending.startsWith("failed")) return shown(false, "the stream holds an error")
  return ending === "cut"
    ? shown(false, "the stream ends without message_stop")
    : shown(true, `${events} events`, events)
}

const tools = [{ name: "get_time", description: "Tells the time", input_schema: { type: "object", properties: {} } }]

const schema = {
  type: "object",
  properties: { ok: { type: "boolean" } },
  required: ["ok"],
  additionalProperties: false
}

/** Each of them, by what it is for; there are no embeddings. */
export const messagesTrials: Readonly<Record<TrialName, ServerTrial>> = {
  chat: trial(counting, { max_tokens: 1 }, (answer) =>
    shown(blocksIn(answer) !== undefined, "the answer has no content")
  ),
  stream: trial(counting, { max_tokens: 16, stream: true }, streamed),
  tools: trial("What time is it? Call the tool get_time.", { tools }, (answer) =>
    shown((blocksIn(answer) ?? []).some((block) => jsonAt(block, "type") === "tool_use"))
  ),
  json: trial(
    "Is rain wet? Answer with the JSON object and nothing else.",
    { output_config: { format: { type: "json_schema", schema } } },
    (answer) => shown(Predicate.isObject(parseBoundedJson(textIn(answer))))
  ),
  embeddings: trial(counting, { max_tokens: 1 }, () => shown(false, "there are no embeddings"))
}
