/**
 * Anthropic's Messages.
 */
import { anthropicLimits } from "../limit-headers.ts"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { ClientCodec } from "../chat.ts"
import { modelAtHead } from "../answer-model.ts"
import type { AnswerFault, Dialect, Operation, WholeAnswer } from "../Dialect.ts"
import { BadAnswer, ErrorStatus } from "../../domain/upstream-errors.ts"
import { readChatNeeds } from "../chat-needs.ts"
import { eventStreamType, redactedEvents } from "../event-stream.ts"
import { EventReader } from "../event-reader.ts"
import { bodyKindOf } from "../first-bytes.ts"
import { withFixedFields, withJsonModel } from "../json-model.ts"
import { messagesEvent } from "./messages-answer.ts"
import { encodeMessagesRequest } from "./messages-body.ts"
import { messagesErrorBody, passedMessagesError } from "./messages-error.ts"
import { lookAtMessages } from "./messages-needs.ts"
import { messagesPages } from "./messages-pages.ts"
import { decodeMessagesRequest } from "./messages-request.ts"
import { withoutSeals } from "./messages-seals.ts"
import { MessagesWatch, usageOfMessages } from "./messages-watch.ts"
import { estimatedCount, wholeCount } from "../token-count.ts"
import { parsedJson } from "../read-json.ts"
import { askedOfPublisher } from "../vertex-path.ts"

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { includes } = Buffer.prototype

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const fields = { text: "messages", vision: "messages", tools: "tools", json_mode: "output_config", embeddings: "model" }

const wholeMessage = (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
  const json = parsedJson(decoder.decode(body))
  if (Predicate.isObject(json) && Array.isArray(json["content"])) {
    return Result.succeed({ said: modelAtHead(body), usage: usageOfMessages(json["usage"]), json })
  }
  return Result.fail(new BadAnswer({ reason: "JSON without content", body }))
}

const codec: ClientCodec = {
  words: {
    topK: "top_k",
    topP: "top_p",
    maxTokens: "max_tokens",
    stop: "stop_sequences",
    tier: "service_tier",
    effort: "thinking",
    reasoning: "messages.thinking",
    thoughtSignature: "thinking.signature",
    signature: "thinking.signature",
    strict: "tools.strict",
    file: "messages.document",
    fileName: "document.title",
    toolChoice: "tool_choice",
    parallelCalls: "tool_choice.disable_parallel_tool_use",
    format: "output_config.format",
    formatRules: "output_config.format.schema",
    user: "metadata.user_id",
    cache: "cache_control"
  },
  decode: decodeMessagesRequest
}

// Where Vertex AI has the models of Anthropic, and counts tokens.
const publisher = "/v1/publishers/anthropic/models"
const countsAt = "count-tokens:rawPredict"

const messages: Operation = {
  name: "messages",
  fields,
  path: "/v1/messages",
  alsoAt: [`${publisher}/{model}:rawPredict`, `${publisher}/{model}:streamRawPredict`],
  generates: true,
  needs: (body, reading) => readChatNeeds(messages, body, reading, lookAtMessages),
  whole: wholeMessage,
  client: codec,
  server: { encode: encodeMessagesRequest }
}

const countTokens: Operation = {
  name: "messages/count_tokens",
  fields,
  path: "/v1/messages/count_tokens",
  alsoAt: [`${publisher}/${countsAt}`],
  generates: false,
  needs: (body, reading) => readChatNeeds(countTokens, body, reading, lookAtMessages, true),
  whole: wholeCount("input_tokens"),
  estimate: (needs) => ({ field: "input_tokens", body: JSON.stringify({ input_tokens: estimatedCount(needs) }) })
}

// Clients that are given a base URL with a version add one of their own.
const meant = /^(?:\/v1)*(\/messages(?:\/count_tokens)?)\/?$/

const faultOf = (bytes: Uint8Array): AnswerFault => {
  const reader = new EventReader()
  const event = [...reader.push(bytes), ...reader.end()].find(({ name }) => name === "error")
  if (event === undefined) return new BadAnswer({ reason: "an event stream without an answer" })
  const body = encoder.encode(event.data)
  const json = parsedJson(event.data)
  const error = Predicate.isObject(json) && Predicate.isObject(json["error"]) ? json["error"] : {}
  const status = error["type"] === "overloaded_error" ? 529 : error["type"] === "rate_limit_error" ? 429 : undefined
  return status === undefined
    ? new BadAnswer({ reason: "an error as its first event", body })
    : new ErrorStatus({ status, contentType: "application/json", body, retryAfterMs: undefined, underGood: true })
}

// Where the path names the model, as at Vertex AI, the body has the version of the API, which Anthropic wants in a header.
const versionMark = encoder.encode('"anthropic_version"')

const withModel = (body: Uint8Array, model: string): ReadonlyArray<Uint8Array> =>
  includes.call(body, versionMark)
    ? [withFixedFields(body, { model, anthropic_version: undefined })]
    : withJsonModel(body, model)

// What is left of what a key may be used for, and until when.
const limited = ["requests", "tokens", "input-tokens", "output-tokens"]

const limits = limited.flatMap((what) =>
  ["limit", "remaining", "reset"].map((which) => `anthropic-ratelimit-${what}-${which}`)
)

/** The dialect. */
export const anthropic: Dialect = {
  id: "anthropic",
  operations: [messages, countTokens],
  hint: "Anthropic's API is at /v1/messages and /v1/messages/count_tokens",
  canonicalPath: (method, path) => {
    const placed = askedOfPublisher("anthropic", method, path)
    if (placed !== undefined) return `${publisher}/${placed}`
    const [, found] = (method === "POST" ? meant.exec(path) : null) ?? []
    return found === undefined ? path : `/v1${found}`
  },
  suggestedPath: () => undefined,
  headers: { asked: ["anthropic-version", "anthropic-beta"], answered: limits, id: "request-id" },
  limitsLeft: anthropicLimits,
  withModel,
  withoutSeals,
  types: { request: "application/json", whole: "application/json", stream: eventStreamType },
  kindOf: bodyKindOf,
  said: modelAtHead,
  watch: () => new MessagesWatch(),
  faultOf,
  keepAlive: encoder.encode(messagesEvent({ type: "ping" })),
  brokenBody: "ended",
  redacted: redactedEvents,
  errorBody: messagesErrorBody,
  passedError: passedMessagesError,
  speaksTo: (headers) => headers.has("anthropic-version"),
  pages: messagesPages,
  trials: () => import("./messages-trials.ts").then(({ messagesTrials }) => messagesTrials),
  document: () => import("./messages-api.ts").then(({ documentedMessages }) => documentedMessages)
}
