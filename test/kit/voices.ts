/**
 * How three servers word their chat answers on the wire: llama-server token by token, Ollama with the role in each piece
 * and tool calls in one, vLLM with its extra fields.
 */
import type { BackendType } from "../../src/backend/all.ts"
import { chunk, done, event, json, lastChunk, streamHead } from "./answers.ts"
import type { Script, Seen, Step } from "./rawServer.ts"

/** A call of a tool; `arguments` is JSON. */
export interface Call {
  readonly name: string
  readonly arguments: string
}

/** What is answered: words, or a call. */
export type Said = ReadonlyArray<string> | Call

/** What of a request decides how it is answered. */
export interface Wanted {
  readonly model: string
  readonly stream: boolean
  /** Whether it asks for usage at the end of a stream. */
  readonly usage: boolean
}

type Fields = Readonly<Record<string, unknown>>

/** A server's way to answer. */
export interface Voice {
  readonly name: string
  readonly type: BackendType
  /** Fields of every answer and of every chunk beside `object`, `model`, `choices`. */
  readonly head: Fields
  /** Fields of each choice of a whole answer. */
  readonly choice: Fields
  readonly callId: string
  readonly message: (said: Said) => Fields
  /** Deltas before the one that finishes. */
  readonly deltas: (said: Said) => ReadonlyArray<Fields>
  readonly last: Fields
}

/** The tokens that every answer reports. */
export const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

const isCall = (said: Said): said is Call => "name" in said

const callIds = {
  llamacpp: "vJ4nGmqYQWfUcqO1sUXS5Qd9Zr7yTn0e",
  ollama: "call_x7k2p9qd",
  vllm: "chatcmpl-tool-9d1e"
} as const

const toolCall = ({ name, arguments: args }: Call, id: string) => ({
  id,
  type: "function",
  function: { name, arguments: args }
})

const saying =
  (id: string, more: Fields = {}) =>
  (said: Said): Fields =>
    isCall(said)
      ? { role: "assistant", content: null, ...more, tool_calls: [toolCall(said, id)] }
      : { role: "assistant", content: said.join(""), ...more }

/** A tool call whose name comes first, and whose arguments follow in pieces. */
const inPieces = (said: Call, id: string): ReadonlyArray<Fields> => {
  const pieces = said.arguments.match(/[\s\S]{1,4}/g) ?? []
  return [
    { tool_calls: [{ index: 0, ...toolCall({ name: said.name, arguments: pieces[0] ?? "" }, id) }] },
    ...pieces.slice(1).map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] }))
  ]
}

const created = 1_764_000_000

/** llama-server. */
const llamacpp: Voice = {
  name: "llama-server",
  type: "llamacpp",
  head: {
    id: "chatcmpl-oYyWQFbVbZzXyWcJ3rCVsdCwvRaTUcKf",
    created,
    system_fingerprint: "b11669-2f0c2db43"
  },
  choice: { index: 0 },
  callId: callIds.llamacpp,
  message: saying(callIds.llamacpp),
  deltas: (said) => [
    { role: "assistant", content: null },
    ...(isCall(said) ? inPieces(said, callIds.llamacpp) : said.map((content) => ({ content })))
  ],
  last: {}
}

/** Ollama. */
const ollama: Voice = {
  name: "Ollama",
  type: "ollama",
  head: { id: "chatcmpl-417", created, system_fingerprint: "fp_ollama" },
  choice: { index: 0 },
  callId: callIds.ollama,
  message: saying(callIds.ollama),
  deltas: (said) =>
    isCall(said)
      ? [{ role: "assistant", content: "", tool_calls: [{ index: 0, ...toolCall(said, callIds.ollama) }] }]
      : said.map((content) => ({ role: "assistant", content })),
  last: { role: "assistant", content: "" }
}

/** vLLM. */
const vllm: Voice = {
  name: "vLLM",
  type: "vllm",
  head: { id: "chatcmpl-6f3f0ccbd0a34d51a9ac8ba1d8b1d0a7", created, prompt_logprobs: null, kv_transfer_params: null },
  choice: { index: 0, logprobs: null, stop_reason: null, token_ids: null },
  callId: callIds.vllm,
  message: saying(callIds.vllm, { refusal: null, annotations: null, audio: null, reasoning: null }),
  deltas: (said) => [
    { role: "assistant", content: "" },
    ...(isCall(said) ? inPieces(said, callIds.vllm) : said.map((content) => ({ content })))
  ],
  last: { content: "" }
}

/** All of them. */
export const voices: ReadonlyArray<Voice> = [llamacpp, ollama, vllm]

const finish = (said: Said): string => (isCall(said) ? "tool_calls" : "stop")

/** The body of a whole answer. */
export const wholeAnswer = (voice: Voice, { model }: Wanted, said: Said): Fields => ({
  ...voice.head,
  object: "chat.completion",
  model,
  choices: [{ ...voice.choice, message: voice.message(said), finish_reason: finish(said) }],
  usage
})

/** The events of a stream up to where it finishes. */
export const openingEvents = (voice: Voice, wanted: Wanted, said: Said): ReadonlyArray<string> =>
  voice.deltas(said).map((delta) => chunkEvent(voice, wanted, [{ index: 0, delta, finish_reason: null }]))

const chunkEvent = (voice: Voice, { model }: Wanted, choices: ReadonlyArray<Fields>, more: Fields = {}): string =>
  event({ ...voice.head, object: "chat.completion.chunk", model, choices, ...more })

/** All events of a good stream. */
export const allEvents = (voice: Voice, wanted: Wanted, said: Said): ReadonlyArray<string> => [
  ...openingEvents(voice, wanted, said),
  chunkEvent(voice, wanted, [{ index: 0, delta: voice.last, finish_reason: finish(said) }]),
  ...(wanted.usage ? [chunkEvent(voice, wanted, [], { usage })] : []),
  done
]

const object = (value: unknown): Fields => (typeof value === "object" && value !== null ? { ...value } : {})

/** The fields of a request's body. */
export const fieldsOf = ({ text }: Seen): Fields => object(JSON.parse(text))

/** What a request wants. */
export const wantedOf = (request: Seen): Wanted => {
  const fields = fieldsOf(request)
  return {
    model: String(fields["model"]),
    stream: fields["stream"] === true,
    usage: object(fields["stream_options"])["include_usage"] === true
  }
}

/** A stream of these events, one write each, with its head and its end. */
export const streaming = (events: ReadonlyArray<string>): ReadonlyArray<Step> => [
  streamHead(),
  ...events.map((each) => chunk(each)),
  lastChunk
]

/** A server of this voice that answers each request with what `say` makes of it. */
export const speaking =
  (voice: Voice, say: (request: Seen) => Said): Script =>
  (request) => {
    const wanted = wantedOf(request)
    const said = say(request)
    return wanted.stream
      ? streaming(allEvents(voice, wanted, said))
      : [json(wholeAnswer(voice, wanted, said), 200, ["Server: test"])]
  }

const base64 = (vector: ReadonlyArray<number>): string =>
  Buffer.from(Float32Array.from(vector).buffer).toString("base64")

/** A server that embeds: each text becomes its length and 0.5, as numbers or as base64, whichever is asked for. */
export const embedding: Script = (request) => {
  const { model, input, encoding_format: format } = fieldsOf(request)
  const texts: ReadonlyArray<unknown> = Array.isArray(input) ? input : [input]
  const data = texts.map((text, index) => {
    const vector = [String(text).length, 0.5]
    return { object: "embedding", index, embedding: format === "base64" ? base64(vector) : vector }
  })
  return [json({ object: "list", model, data, usage: { prompt_tokens: texts.length, total_tokens: texts.length } })]
}
