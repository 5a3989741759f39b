/**
 * Google's Gemini API.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { ClientWords } from "../chat.ts"
import type { AnswerFault, AnswerIdentity, Dialect, Operation, Span, WholeAnswer } from "../Dialect.ts"
import { BadRequest } from "../../domain/errors.ts"
import type { EmbedCodec } from "../embed.ts"
import { EventReader } from "../event-reader.ts"
import { eventStreamType, redactedEvents } from "../event-stream.ts"
import { exactJson } from "../exact-json.ts"
import { bodyKindOf } from "../first-bytes.ts"
import { geminiErrorBody, passedGeminiError } from "./gemini-error.ts"
import { manyEmbeddings, oneEmbedding, wholeVectors } from "./gemini-embeddings.ts"
import { readCountingNeeds, readEmbeddingNeeds, readGeminiNeeds } from "./gemini-needs.ts"
import { geminiPages } from "./gemini-pages.ts"
import { blockOf, candidatesOf, errorIn, faultIn, geminiUsage } from "./gemini-read.ts"
import { parsedJson } from "../read-json.ts"
import { decodeGeminiRequest } from "./gemini-request.ts"
import { withoutForeignThoughts } from "./gemini-seals.ts"
import { GeminiWatch } from "./gemini-watch.ts"
import { encodeGeminiRequest } from "./server-request.ts"
import { estimatedCount, wholeCount } from "../token-count.ts"
import { askedOfPublisher } from "../vertex-path.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const fields = {
  text: "contents",
  vision: "contents",
  tools: "tools",
  json_mode: "generationConfig.responseMimeType",
  embeddings: "model"
}

const modelField = /"modelVersion"\s*:\s*"([^"\\]{1,512})"/

// Of a whole answer it stands at the end.
const identityIn = (text: string): AnswerIdentity => ({ model: modelField.exec(text)?.[1], fingerprint: undefined })

const wholeAnswer = (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
  const json = parsedJson(decoder.decode(body))
  if (errorIn(json) === undefined && (candidatesOf(json).length > 0 || blockOf(json) !== "")) {
    const model = Predicate.isObject(json) ? json["modelVersion"] : undefined
    const said = { model: typeof model === "string" ? model : undefined, fingerprint: undefined }
    return Result.succeed({ said, usage: geminiUsage(json), json })
  }
  return Result.fail(faultIn(json, body, "JSON without candidates"))
}

const faultOf = (bytes: Uint8Array): AnswerFault => {
  const reader = new EventReader()
  const events = [...reader.push(bytes), ...reader.end()]
  const event = events.find(({ data }) => errorIn(parsedJson(data)) !== undefined)
  if (event === undefined) return faultIn(undefined, bytes, "an event stream without an answer")
  return faultIn(parsedJson(event.data), encoder.encode(event.data), "")
}

const words: ClientWords = {
  messages: "contents",
  toolChoice: "toolConfig",
  maxTokens: "generationConfig.maxOutputTokens",
  stop: "generationConfig.stopSequences",
  temperature: "generationConfig.temperature",
  topP: "generationConfig.topP",
  topK: "generationConfig.topK",
  seed: "generationConfig.seed",
  tier: "serviceTier",
  presencePenalty: "generationConfig.presencePenalty",
  frequencyPenalty: "generationConfig.frequencyPenalty",
  choices: "generationConfig.candidateCount",
  images: "generationConfig.responseModalities",
  logprobs: "generationConfig.responseLogprobs",
  effort: "generationConfig.thinkingConfig",
  showThoughts: "generationConfig.thinkingConfig.includeThoughts",
  format: "generationConfig.responseSchema",
  reasoning: "contents.parts.thought",
  formatRules: "generationConfig.responseSchema",
  signature: "contents.parts.thoughtSignature",
  thoughtSignature: "contents.parts.thoughtSignature",
  file: "contents.parts.inlineData",
  fileName: "contents.parts.inlineData.displayName",
  audio: "contents.parts.inlineData"
}

const places = (verb: string) => ({
  path: `/v1beta/models/{model}:${verb}`,
  alsoAt: [`/v1/models/{model}:${verb}`]
})

// Without it the answer would be one JSON array, of which a client could not tell that it broke.
const arrayFault = (query: URLSearchParams): BadRequest | undefined =>
  query.get("alt") === "sse"
    ? undefined
    : new BadRequest({
        message: "A stream is served as server-sent events alone: add ?alt=sse to the URL",
        param: "alt"
      })

const generating = (name: string, stream: boolean): Operation => {
  const operation: Operation = {
    name,
    fields,
    ...places(name),
    streams: stream,
    ...(stream ? { query: "alt=sse", queryFault: arrayFault } : {}),
    generates: true,
    genAi: "generate_content",
    needs: (body, reading) => readGeminiNeeds(operation, stream, body, reading),
    whole: wholeAnswer,
    client: { words, decode: decodeGeminiRequest(stream) },
    server: { encode: encodeGeminiRequest }
  }
  return operation
}

const countTokens: Operation = {
  name: "countTokens",
  fields,
  ...places("countTokens"),
  streams: false,
  generates: false,
  needs: (body, reading) => readCountingNeeds(countTokens, body, reading),
  whole: wholeCount("totalTokens"),
  estimate: (needs) => ({ field: "totalTokens", body: JSON.stringify({ totalTokens: estimatedCount(needs) }) })
}

const embedding = (name: string, text: string, embeds: EmbedCodec): Operation => {
  const operation: Operation = {
    name,
    fields: { ...fields, text },
    ...places(name),
    streams: false,
    generates: false,
    genAi: "embeddings",
    needs: (body, reading) => readEmbeddingNeeds(operation, body, reading),
    whole: wholeVectors,
    embeds
  }
  return operation
}

const named = (value: unknown, model: string): unknown => {
  if (Array.isArray(value)) return value.map((each) => named(each, model))
  return Predicate.isObject(value) && "model" in value ? { ...value, model: `models/${model}` } : value
}

// The path names the model; some bodies do so once more.
const withModel = (body: Uint8Array, model: string, span: Span | undefined): ReadonlyArray<Uint8Array> => {
  if (span === undefined) return [body]
  const text = decoder.decode(body)
  const json = exactJson(text, parsedJson(text))
  if (!Predicate.isObject(json)) return [body]
  const renamed = Object.fromEntries(Object.entries(json).map(([name, value]) => [name, named(value, model)]))
  return [encoder.encode(JSON.stringify(named(renamed, model)))]
}

/** The dialect. */
export const gemini: Dialect = {
  id: "gemini",
  operations: [
    generating("generateContent", false),
    generating("streamGenerateContent", true),
    countTokens,
    embedding("embedContent", "content", oneEmbedding),
    embedding("batchEmbedContents", "requests", manyEmbeddings)
  ],
  hint: "Google's API is below /v1beta, such as /v1beta/models/MODEL:generateContent",
  canonicalPath: (method, path) => {
    const rest = askedOfPublisher("google", method, path)
    return rest === undefined ? path : `/v1beta/models/${rest}`
  },
  suggestedPath: () => undefined,
  headers: { asked: [], answered: [] },
  withModel,
  withoutSeals: withoutForeignThoughts,
  types: { request: "application/json", whole: "application/json", stream: eventStreamType },
  kindOf: bodyKindOf,
  said: (bytes) => identityIn(decoder.decode(bytes)),
  watch: () => new GeminiWatch(),
  faultOf,
  // Anything but answers breaks the streams of its clients.
  keepAlive: undefined,
  // Frameworks that do not know the event (Genkit, LangChain for JavaScript) hear of it by the cut alone; the official packages raise it before.
  brokenBody: "cut",
  redacted: redactedEvents,
  errorBody: geminiErrorBody,
  passedError: passedGeminiError,
  speaksTo: (headers, path) =>
    path.startsWith("/v1beta/") || headers.has("x-goog-api-key") || headers.has("x-goog-api-client"),
  keyParameter: "key",
  pages: geminiPages,
  document: () => import("./gemini-api.ts").then(({ documentedGemini }) => documentedGemini)
}
