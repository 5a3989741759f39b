/**
 * What a good backend says, as bytes.
 */
import { bytesOf, join } from "./http.ts"

const reasons: Readonly<Record<number, string>> = { 200: "OK", 429: "Too Many Requests", 503: "Service Unavailable" }

/** A status line with headers, and the blank line. */
export const head = (status: number, headers: ReadonlyArray<string> = []): string =>
  [`HTTP/1.1 ${status} ${reasons[status] ?? "Status"}`, ...headers, "", ""].join("\r\n")

/** A whole answer with a length. */
export const whole = (
  status: number,
  body: string | Uint8Array,
  type = "application/json",
  headers: ReadonlyArray<string> = []
): Uint8Array => {
  const bytes = typeof body === "string" ? bytesOf(body) : body
  return join([head(status, [`Content-Type: ${type}`, `Content-Length: ${bytes.byteLength}`, ...headers]), bytes])
}

/** A whole JSON answer. */
export const json = (value: unknown, status = 200, headers: ReadonlyArray<string> = []): Uint8Array =>
  whole(status, JSON.stringify(value), "application/json", headers)

/** One chunk of a chunked body. */
export const chunk = (bytes: string | Uint8Array): Uint8Array => {
  const body = typeof bytes === "string" ? bytesOf(bytes) : bytes
  return join([`${body.byteLength.toString(16)}\r\n`, body, "\r\n"])
}

/** The last chunk. */
export const lastChunk = "0\r\n\r\n"

/** The head of an event stream in chunks. */
export const streamHead = (headers: ReadonlyArray<string> = []): string =>
  head(200, ["Content-Type: text/event-stream", "Cache-Control: no-cache", "Transfer-Encoding: chunked", ...headers])

/** An event. */
export const event = (data: unknown): string => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`

/** The end marker. */
export const done = "data: [DONE]\n\n"

/** A chunk object of a chat stream. */
export const delta = (
  model: string,
  change: Readonly<Record<string, unknown>>,
  finish: string | null = null
): Record<string, unknown> => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model,
  choices: [{ index: 0, delta: change, finish_reason: finish }]
})

/** The events of a good chat stream that says these words; the first has the role as well. */
export const chatEvents = (model: string, words: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...words.map((content, at) => event(delta(model, at === 0 ? { role: "assistant", content } : { content }))),
  event(delta(model, {}, "stop")),
  done
]

/** A whole chat answer. */
export const completion = (model: string, content: string): Record<string, unknown> => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_700_000_000,
  model,
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
})

/** What llama-server says when a prompt does not fit. */
export const llamacppTooLong = {
  error: {
    code: 400,
    message: "request (6007 tokens) exceeds the available context size (4096 tokens), try increasing it",
    type: "exceed_context_size_error",
    n_prompt_tokens: 6007,
    n_ctx: 4096
  }
}
