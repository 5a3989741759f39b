/**
 * OpenAI's API: chat completions, completions, embeddings, and what passes by around models.
 */
import type { ClientCodec, ServerCodec } from "../chat.ts"
import { sessionUsageOf } from "./answer-usage.ts"
import type { Dialect, Operation, Span } from "../Dialect.ts"
import { redactedEvents, eventStreamType, keepAliveComment } from "../event-stream.ts"
import { bodyKindOf } from "../first-bytes.ts"
import { errorOfEvents, readWholeAnswer } from "./answer-json.ts"
import { chunkCollector } from "./chunk-assembly.ts"
import { encodeChatRequest } from "./chat-request.ts"
import { chatWords, decodeChatRequest } from "./client-request.ts"
import { embeddingsAsAsked, openAiEmbeddings } from "./embeddings.ts"
import { endpointFacts, endpoints, type Endpoint } from "./openai-endpoints.ts"
import { errorBody, openAiErrorBody } from "../openai-error.ts"
import { EventWatch } from "./event-watch.ts"
import { canonicalPath, suggestedPath } from "./mistyped-paths.ts"
import { readNeeds } from "./needs.ts"
import { passageOperation } from "../passage.ts"
import { passedOperations } from "./passed-operations.ts"
import { identityIn } from "./answer-identity.ts"
import { JsonScan } from "../json-scan.ts"
import { buildBody } from "../parsed-body.ts"
import { FactScan } from "./fact-scan.ts"
import { withoutForeignSignatures } from "./foreign-signatures.ts"
import { usageWish } from "./usage-wish.ts"

const encoder = new TextEncoder()

/** Where the value of the last top-level `model` is: the one that JSON.parse takes. */
const modelSpan = (body: Uint8Array): Span | undefined => {
  const factScan = new FactScan(body)
  const scan = new JsonScan(body, factScan)
  while (scan.step() === "going");
  return factScan.model
}

const comma = Uint8Array.of(0x2c)

/**
 * The body with another model name, in pieces, or with one that it had not. `body` must be a valid JSON object; `span` is where
 * its model name is, when that is known.
 */
export const replaceModel = (
  body: Uint8Array,
  model: string,
  span: Span | undefined = modelSpan(body)
): ReadonlyArray<Uint8Array> => {
  const name = encoder.encode(JSON.stringify(model))
  if (span !== undefined) return [body.subarray(0, span.from), name, body.subarray(span.to)]
  const inside = body.indexOf(0x7b) + 1
  const isEmpty = body.subarray(inside).find((byte) => byte > 0x20) === 0x7d
  const field = [body.subarray(0, inside), encoder.encode('"model":'), name]
  return [...field, ...(isEmpty ? [] : [comma]), body.subarray(inside)]
}

const chatServer: ServerCodec = { encode: encodeChatRequest }

const chatClient: ClientCodec = { words: chatWords, decode: decodeChatRequest, build: buildBody }

const operationOf = (endpoint: Endpoint): Operation => ({
  ...endpointFacts[endpoint],
  path: `/v1/${endpoint}`,
  generates: endpoint !== "embeddings",
  needs: (body, reading) => readNeeds(endpoint, body, reading),
  whole: (body) => readWholeAnswer(body, endpoint === "embeddings" ? "data" : "choices"),
  ...(endpoint === "completions" ? { genAi: "text_completion" } : {}),
  ...(endpoint === "embeddings"
    ? { embeds: openAiEmbeddings, asAsked: embeddingsAsAsked }
    : { collector: chunkCollector }),
  ...(endpoint === "chat/completions" ? { client: chatClient, server: chatServer } : {})
})

/** The dialect. */
export const openai: Dialect = {
  id: "openai",
  operations: [operationOf("chat/completions"), ...endpoints.slice(1).map(operationOf), ...passedOperations],
  passages: ["files", "batches"].map((name) =>
    passageOperation(name, `/v1/${name}`, [`/openai/v1/${name}`, `/openai/${name}`])
  ),
  sockets: [passageOperation("realtime", "/v1/realtime", ["/openai/v1/realtime", "/openai/realtime"])],
  // Azure's.
  deployments: ["/openai/deployments/{model}"],
  hint: "OpenAI's API is below /v1, such as /v1/chat/completions",
  canonicalPath,
  suggestedPath,
  headers: { asked: ["openai-beta"], answered: ["openai-processing-ms"] },
  withModel: replaceModel,
  withoutForeign: withoutForeignSignatures,
  usageWish,
  types: { request: "application/json", whole: "application/json", stream: eventStreamType },
  kindOf: bodyKindOf,
  said: identityIn,
  watch: () => new EventWatch(),
  sessionUsage: sessionUsageOf,
  faultOf: errorOfEvents,
  keepAlive: keepAliveComment,
  brokenBody: "cut",
  redacted: redactedEvents,
  errorBody,
  passedError: openAiErrorBody,
  trials: () => import("./trials.ts").then(({ trials }) => trials),
  document: () => import("./openai-api.ts").then(({ documented }) => documented)
}
