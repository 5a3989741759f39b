/**
 * Vertex AI: Google's models below a project and a place, for who brings a token of Google Cloud's, or below neither, for who
 * brings an API key; and Claude, where the base URL ends with its publisher.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { joinUrl } from "../domain/base-url.ts"
import type { Server } from "../domain/server.ts"
import { decodeEach, RawEntries } from "./lenient.ts"
import type { Kind } from "./Kind.ts"
import { openAiLike, statelessProber } from "./openai-like.ts"
import { speaking } from "./speech.ts"
import { tooBusy, type Talk } from "./talk.ts"

const publisher = "/publishers/google"

const claudePublisher = "/publishers/anthropic"

// As Anthropic's own libraries tell it there, in place of a header.
const claudeVersion = { anthropic_version: "vertex-2023-10-16" }

const copied = /\/publishers\/(google|anthropic)(?:\/models(?:\/[^/]*)?)?\/*$/

const isOfAnthropic = ({ url }: Pick<Server, "url">): boolean => copied.exec(url)?.[1] === "anthropic"

const isCount = (path: string): boolean => path.startsWith("/v1/messages/count_tokens")

/** Where Messages are: whole answers and streams at one place, counts at one that no model is in. */
const claudePath = (path: string): string => {
  if (isCount(path)) return `${claudePublisher}/models/count-tokens:rawPredict`
  return path.startsWith("/v1/messages") ? `${claudePublisher}/models/{model}:streamRawPredict` : path
}

// Its models for texts and vectors; the others are asked in other ways.
const ours = /^(?:gemini|gemma|text-embedding|text-multilingual-embedding)/

const decodeList = Schema.decodeUnknownOption(Schema.Struct({ publisherModels: RawEntries }))
const decodeEntry = Schema.decodeUnknownOption(Schema.Struct({ name: Schema.String }))

const models = Effect.fnUntraced(function* (talk: Talk) {
  const { body, status } = yield* talk.need("/v1beta1/publishers/google/models?pageSize=1000")
  if (status === 429) return yield* Effect.fail(tooBusy)
  const list = status < 300 ? Option.getOrUndefined(decodeList(body)) : undefined
  if (list === undefined) return undefined
  const found = decodeEach(decodeEntry, list.publisherModels).flatMap(({ name }) => {
    const id = name.replace(/^publishers\/google\/models\//, "")
    return ours.test(id) ? [{ id, capabilities: {} }] : []
  })
  // Which of Claude's a project may ask is not told.
  return found.length === 0 ? undefined : found
})

/** The origin of an address, and the version of its API with the project and the place behind it. */
const partsOf = (url: string): { readonly origin: string; readonly below: string } => {
  const { origin, pathname } = new URL(url)
  const path = pathname.replace(/\/+$/, "").replace(copied, "")
  return { origin, below: /^\/v1(?:beta1)?(?:\/|$)/.test(path) ? path : `/v1${path}` }
}

/** Vertex AI. */
export const vertex: Kind = {
  ...openAiLike,
  label: "Vertex AI",
  provider: "gcp.vertex_ai",
  alsoCalled: ["googlevertex", "vertexai", "vertexaigemini"],
  locality: "cloud",
  speaks: speaking("gemini"),
  speaksAt: (server) => speaking(isOfAnthropic(server) ? "anthropic" : "gemini"),
  isOriginal: () => true,
  url: (server, path) => {
    const { below, origin } = partsOf(server.url)
    // The list of models is that of the publisher, and of no project.
    const isClaude = isOfAnthropic(server)
    if (path.startsWith("/v1beta1/")) {
      return joinUrl({ ...server, url: origin }, isClaude ? path.replace(publisher, claudePublisher) : path)
    }
    const placed = isClaude ? claudePath(path) : path.replace(/^\/v1(?:beta)?(?=\/models\/)/, publisher)
    return joinUrl({ ...server, url: `${origin}${below}` }, placed)
  },
  fixedFields: (server, path) => {
    if (!isOfAnthropic(server)) return undefined
    return isCount(path) ? claudeVersion : { ...claudeVersion, model: undefined }
  },
  // Keys of its express mode are none of the tokens that live for an hour.
  authHeaders: (key) => (/^(?:AIza|AQ\.)/.test(key) ? { "x-goog-api-key": key } : { authorization: `Bearer ${key}` }),
  prober: statelessProber(models)
}
