/**
 * What a server says that speaks Anthropic's Messages and nothing else.
 */
import { chunk, json, lastChunk, streamHead } from "./answers.ts"
import { type FakeUpstream, startUpstream, wantsStream } from "./FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway } from "./gateway.ts"
import type { Script, Seen, Step } from "./rawServer.ts"

/** The name that its models are called by here. */
export const claude = "claude-sonnet-4-6"

/** A block of an answer. */
export type ClaudeBlock = Readonly<Record<string, unknown>> & { readonly type: string }

/** An answer. */
export interface ClaudeAnswer {
  readonly content: ReadonlyArray<ClaudeBlock>
  readonly stop_reason?: string
  readonly stop_sequence?: string
  readonly usage?: Readonly<Record<string, unknown>>
}

/** A text. */
export const says = (text: string): ClaudeBlock => ({ type: "text", text })

/** A call of a tool. */
export const calls = (id: string, name: string, input: unknown): ClaudeBlock => ({ type: "tool_use", id, name, input })

/** A thought. */
export const thinks = (thinking: string, signature: string): ClaudeBlock => ({ type: "thinking", thinking, signature })

const usual = { input_tokens: 12, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 5 }

/** The answer as a whole. */
export const claudeMessage = ({ content, stop_reason = "end_turn", stop_sequence, usage = {} }: ClaudeAnswer) => ({
  id: "msg_01",
  type: "message",
  role: "assistant",
  model: claude,
  content,
  stop_reason,
  stop_sequence: stop_sequence ?? null,
  usage: { ...usual, ...usage }
})

/** An event of a stream. */
export const claudeEvent = (data: { readonly type: string; readonly [name: string]: unknown }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`

// Pieces of a text, some of them empty as real ones are.
const pieces = (text: string): ReadonlyArray<string> => ["", ...(text.match(/.{1,7}/gsu) ?? [])]

const deltas = (block: ClaudeBlock): ReadonlyArray<Readonly<Record<string, unknown>>> => {
  if (block.type === "text") return pieces(String(block["text"])).map((text) => ({ type: "text_delta", text }))
  if (block.type === "thinking") {
    const told = pieces(String(block["thinking"])).map((thinking) => ({ type: "thinking_delta", thinking }))
    return [...told, { type: "signature_delta", signature: block["signature"] }]
  }
  if (block.type !== "tool_use" || JSON.stringify(block["input"]) === "{}") return []
  return pieces(JSON.stringify(block["input"])).map((partial_json) => ({ type: "input_json_delta", partial_json }))
}

const opening = (block: ClaudeBlock): ClaudeBlock => {
  if (block.type === "text") return { type: "text", text: "" }
  if (block.type === "thinking") return { type: "thinking", thinking: "", signature: "" }
  return block.type === "tool_use" ? { ...block, input: {} } : block
}

/** The answer as the events of a stream. */
export const messageEvents = (answer: ClaudeAnswer): ReadonlyArray<string> => {
  const whole = claudeMessage(answer)
  const { output_tokens, ...rest } = whole.usage
  return [
    claudeEvent({
      type: "message_start",
      message: { ...whole, content: [], stop_reason: null, stop_sequence: null, usage: { ...rest, output_tokens: 1 } }
    }),
    claudeEvent({ type: "ping" }),
    ...answer.content.flatMap((block, index) => [
      claudeEvent({ type: "content_block_start", index, content_block: opening(block) }),
      ...deltas(block).map((delta) => claudeEvent({ type: "content_block_delta", index, delta })),
      claudeEvent({ type: "content_block_stop", index })
    ]),
    claudeEvent({
      type: "message_delta",
      delta: { stop_reason: whole.stop_reason, stop_sequence: whole.stop_sequence },
      usage: { output_tokens }
    }),
    claudeEvent({ type: "message_stop" })
  ]
}

/** Answers, streamed where that is asked for. */
export const answering =
  (make: (request: Seen) => ClaudeAnswer): Script =>
  (request): ReadonlyArray<Step> => {
    const answer = make(request)
    return wantsStream(request)
      ? [streamHead(), ...messageEvents(answer).map((each) => chunk(each)), lastChunk]
      : [json(claudeMessage(answer))]
  }

/** An error of its API. */
export const claudeError = (type: string, text: string) => ({
  type: "error",
  error: { type, message: text },
  request_id: "req_011"
})

/** One such server behind a gateway. */
export interface ClaudeWorld extends AsyncDisposable {
  readonly upstream: FakeUpstream
  readonly gateway: Gateway
  /** What it was asked last. */
  readonly asked: () => Readonly<Record<string, unknown>>
}

/** Starts one. */
export const claudeWorld = async (script: Script, settings: SettingsTree = {}): Promise<ClaudeWorld> => {
  const model = { id: claude, vision: true, tools: true, context: 200_000 }
  const upstream = await startUpstream({ type: "anthropic", models: [model], script })
  const gateway = await startGateway(
    { backends: [backendFor("one", upstream, { type: "anthropic" })], routing: { max_retries: 0 }, ...settings },
    { backendKeys: new Map([["one", "sk-ant-secret"]]), authKeys: [] }
  )
  return {
    upstream,
    gateway,
    asked: () => JSON.parse(upstream.lastCall().text),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}
