/**
 * What tests of Google's dialect have in common: pieces of its answers, requests, and what came of them.
 */
import { EventReader } from "../../src/dialect/event-reader.ts"

/** Where something is asked of a model. */
export const geminiPath = (verb: string, model = "m", version = "v1beta"): string =>
  `/${version}/models/${model}:${verb}${verb.startsWith("stream") ? "?alt=sse" : ""}`

/** The body of a request. */
export const asking = (more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ contents: [{ role: "user", parts: [{ text: "hello" }] }], ...more })

/** A piece of an answer. */
export const piece = (
  parts: ReadonlyArray<object>,
  finishReason?: string,
  usageMetadata?: object,
  more: Readonly<Record<string, unknown>> = {}
) => ({
  candidates: [
    { content: { role: "model", parts }, index: 0, ...(finishReason === undefined ? {} : { finishReason }) }
  ],
  ...(usageMetadata === undefined ? {} : { usageMetadata }),
  modelVersion: "served",
  responseId: "r",
  ...more
})

/** A text. */
export const text = (of: string, more: object = {}) => ({ text: of, ...more })

/** A call. */
export const call = (name: string, args?: object, more: object = {}) => ({
  functionCall: { name, ...(args === undefined ? {} : { args }) },
  ...more
})

/** Events as a stream has them. */
export const eventOf = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

/** What a stream of answers says, event by event. */
interface Told {
  readonly candidates?: ReadonlyArray<{
    readonly content?: { readonly parts?: ReadonlyArray<Readonly<Record<string, unknown>>> }
    readonly finishReason?: string
  }>
  readonly usageMetadata?: Readonly<Record<string, number>>
  readonly error?: { readonly code: number; readonly message: string; readonly status: string }
}

/** The events of a stream; fails where there is anything but data. */
export const geminiEvents = (stream: string): ReadonlyArray<Told> => {
  if (!/^(?:data: .*\n\n)*$/.test(stream)) throw new Error(`more than data: ${stream}`)
  const reader = new EventReader()
  return [...reader.push(new TextEncoder().encode(stream)), ...reader.end()].map(({ data }) => JSON.parse(data))
}

/** Its words. */
export const said = (stream: string): string =>
  geminiEvents(stream)
    .flatMap(({ candidates = [] }) => candidates.flatMap(({ content }) => content?.parts ?? []))
    .map((part) => (typeof part["text"] === "string" && part["thought"] !== true ? part["text"] : ""))
    .join("")
