/**
 * Servers that keep what the table of dialects promises, in the few cases that the contract asks about.
 */
import { json } from "../kit/answers.ts"
import { type RawServer, type Seen, startRaw, type Step } from "../kit/rawServer.ts"
import { fieldsOf, streaming } from "../kit/voices.ts"

const named = (data: { readonly type: string; readonly [name: string]: unknown }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`

const object = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? { ...value } : {}

const messages = (request: Seen): ReadonlyArray<Step> => {
  const fields = fieldsOf(request)
  if (!Array.isArray(fields["messages"])) {
    return [json({ type: "error", error: { type: "invalid_request_error", message: "messages: a list" } }, 400)]
  }
  if (request.target.endsWith("/count_tokens")) return [json({ input_tokens: request.text.length })]
  const name = object(fields["tool_choice"])["name"]
  const content =
    typeof name === "string" ? { type: "tool_use", id: "t1", name, input: {} } : { type: "text", text: "hello" }
  const usage = { input_tokens: 1, output_tokens: 1 }
  const message = { id: "msg_1", type: "message", role: "assistant", model: "m", stop_sequence: null, usage }
  if (fields["stream"] !== true) return [json({ ...message, content: [content], stop_reason: "end_turn" })]
  return streaming([
    named({ type: "message_start", message: { ...message, content: [], stop_reason: null } }),
    named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hello" } }),
    named({ type: "content_block_stop", index: 0 }),
    named({ type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage }),
    named({ type: "message_stop" })
  ])
}

const responses = (request: Seen): ReadonlyArray<Step> => {
  const fields = fieldsOf(request)
  const part = { type: "output_text", text: "hello", annotations: [], logprobs: [] }
  const item = { type: "message", id: "msg_1", role: "assistant", status: "completed", content: [part] }
  const cut = fields["max_output_tokens"] === 16
  const begun = { id: "resp_1", object: "response", created_at: 1, model: "m", output: [], status: "in_progress" }
  const done = { ...begun, output: [item], status: cut ? "incomplete" : "completed" }
  if (fields["stream"] !== true) return [json(done)]
  const at = { output_index: 0, item_id: "msg_1", content_index: 0 }
  return streaming(
    [
      { type: "response.created", response: begun },
      { type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress", content: [] } },
      { type: "response.content_part.added", ...at, part: { ...part, text: "" } },
      { type: "response.output_text.delta", ...at, delta: "hello", logprobs: [] },
      { type: "response.output_text.done", ...at, text: "hello", logprobs: [] },
      { type: "response.content_part.done", ...at, part },
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response: done }
    ].map((event, sequence_number) => named({ ...event, sequence_number }))
  )
}

const serving = (script: (request: Seen) => ReadonlyArray<Step>): Promise<RawServer> => startRaw({ script })

/** One of Anthropic's Messages. */
export const messagesServer = (): Promise<RawServer> => serving(messages)

/** One of OpenAI's Responses. */
export const responsesServer = (): Promise<RawServer> => serving(responses)
