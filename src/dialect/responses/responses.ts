/**
 * OpenAI's Responses.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadAnswer, ErrorStatus } from "../../domain/upstream-errors.ts"
import { readChatNeeds } from "../chat-needs.ts"
import type { ClientCodec } from "../chat.ts"
import { modelAtHead } from "../answer-model.ts"
import type { AnswerFault, Dialect, Operation, WholeAnswer } from "../Dialect.ts"
import { EventReader } from "../event-reader.ts"
import { eventStreamType, keepAliveComment, redactedEvents } from "../event-stream.ts"
import { bodyKindOf } from "../first-bytes.ts"
import { withJsonModel } from "../json-model.ts"
import { errorBody, openAiErrorBody } from "../openai-error.ts"
import { withoutSealedReasoning } from "./reasoning-seal.ts"
import { lookAtResponses } from "./responses-needs.ts"
import { decodeResponsesRequest } from "./responses-request.ts"
import { eventType, isFailure, responseIn, ResponsesWatch, usageOfResponse } from "./responses-watch.ts"
import { estimatedCount, wholeCount } from "../token-count.ts"
import { parsedJson } from "../read-json.ts"
import { wordIn } from "../word-table.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const fields = { text: "input", vision: "input", tools: "tools", json_mode: "text", embeddings: "model" }

// What a failure that stands where an answer should would be as a status.
const statuses: Readonly<Record<string, number>> = {
  rate_limit_exceeded: 429,
  server_is_overloaded: 503,
  slow_down: 503,
  context_length_exceeded: 400,
  invalid_prompt: 400
}

const faultIn = (error: Readonly<Record<PropertyKey, unknown>>, reason: string): AnswerFault => {
  const { code } = error
  const body = encoder.encode(JSON.stringify({ error }))
  const status = wordIn(statuses, code)
  return status === undefined
    ? new BadAnswer({ reason, body })
    : new ErrorStatus({ status, contentType: "application/json", body, retryAfterMs: undefined, underGood: true })
}

const errorOf = (response: unknown): Readonly<Record<PropertyKey, unknown>> | undefined =>
  Predicate.isObject(response) && Predicate.isObject(response["error"]) ? response["error"] : undefined

const wholeResponse = (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
  const json = parsedJson(decoder.decode(body))
  const error = errorOf(json)
  if (error !== undefined) return Result.fail(faultIn(error, "an error under a good status"))
  if (Predicate.isObject(json) && Array.isArray(json["output"])) {
    return Result.succeed({ said: modelAtHead(body), usage: usageOfResponse(json), json })
  }
  return Result.fail(new BadAnswer({ reason: "JSON without output", body }))
}

const faultOf = (bytes: Uint8Array): AnswerFault => {
  const reader = new EventReader()
  const events = [...reader.push(bytes), ...reader.end()]
  const failed = events.find((event) => isFailure(eventType(event)))
  if (failed === undefined) return new BadAnswer({ reason: "an event stream without an answer" })
  const json = parsedJson(failed.data)
  const error = errorOf(responseIn(failed.data)) ?? errorOf(json) ?? (Predicate.isObject(json) ? json : {})
  return faultIn(error, "an error as its first event")
}

const codec: ClientCodec = {
  words: {
    messages: "input",
    maxTokens: "max_output_tokens",
    toolChoice: "tool_choice",
    parallelCalls: "parallel_tool_calls",
    topP: "top_p",
    logprobs: "top_logprobs",
    effort: "reasoning.effort",
    showThoughts: "reasoning.summary",
    verbosity: "text.verbosity",
    format: "text.format",
    safetyId: "safety_identifier",
    cacheKey: "prompt_cache_key",
    tier: "service_tier",
    reasoning: "input.reasoning",
    signature: "input.reasoning.encrypted_content",
    thoughtSignature: "input.reasoning.encrypted_content",
    strict: "tools.strict",
    formatNote: "text.format.description",
    formatRules: "text.format.schema",
    fileName: "input_file.filename",
    detail: "input_image.detail",
    file: "input_file",
    audio: "input_audio"
  },
  decode: decodeResponsesRequest
}

const create: Operation = {
  name: "responses",
  fields,
  path: "/v1/responses",
  generates: true,
  needs: (body, reading) => readChatNeeds(create, body, reading, lookAtResponses),
  whole: wholeResponse,
  client: codec
}

const inputTokens: Operation = {
  name: "responses/input_tokens",
  fields,
  path: "/v1/responses/input_tokens",
  generates: false,
  needs: (body, reading) => readChatNeeds(inputTokens, body, reading, lookAtResponses, true),
  whole: wholeCount("input_tokens"),
  estimate: (needs) => ({
    field: "input_tokens",
    body: JSON.stringify({ object: "response.input_tokens", input_tokens: estimatedCount(needs) })
  })
}

const compact: Operation = {
  name: "responses/compact",
  fields,
  path: "/v1/responses/compact",
  generates: false,
  needs: (body, reading) => readChatNeeds(compact, body, reading, lookAtResponses),
  whole: wholeResponse
}

// Clients that are given a base URL with a version, or that of another endpoint, add a path of their own; Azure has its own.
const meant = /^(?:\/openai)?(?:\/v1)*(?:\/chat\/completions)?(\/responses(?:\/input_tokens|\/compact)?)\/?$/

const kept = /^(?:\/openai)?(?:\/v1)*\/(?:responses|conversations)\/./

/** The dialect. */
export const responses: Dialect = {
  id: "responses",
  operations: [create, inputTokens, compact],
  hint: "OpenAI's Responses are at /v1/responses",
  canonicalPath: (method, path) => {
    const [, found] = (method === "POST" ? meant.exec(path) : null) ?? []
    return found === undefined ? path : `/v1${found}`
  },
  suggestedPath: (path) =>
    kept.test(path) ? "Nexus keeps no responses and no conversations: send all of one with each request" : undefined,
  headers: { asked: ["openai-beta"], answered: ["openai-processing-ms"] },
  withModel: withJsonModel,
  withoutSeals: withoutSealedReasoning,
  types: { request: "application/json", whole: "application/json", stream: eventStreamType },
  kindOf: bodyKindOf,
  said: modelAtHead,
  watch: () => new ResponsesWatch(),
  faultOf,
  keepAlive: keepAliveComment,
  brokenBody: "cut",
  redacted: redactedEvents,
  errorBody,
  passedError: openAiErrorBody,
  document: () => import("./responses-api.ts").then(({ documentedResponses }) => documentedResponses)
}
