/**
 * Google's models at Vertex AI: below a project and a place, for who brings a token of Google Cloud's, or below neither, for
 * who brings an API key.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { joinUrl } from "../domain/base-url.ts"
import { decodeEach, RawEntries } from "./lenient.ts"
import type { Kind } from "./Kind.ts"
import { openAiLike, statelessProber } from "./openai-like.ts"
import { speaking } from "./speech.ts"
import { tooBusy, type Talk } from "./talk.ts"

const publisher = "/publishers/google"

// Its models for texts and vectors; the others are asked in other ways.
const ours = /^(?:gemini|gemma|text-embedding|text-multilingual-embedding)/

const decodeList = Schema.decodeUnknownOption(Schema.Struct({ publisherModels: RawEntries }))
const decodeEntry = Schema.decodeUnknownOption(Schema.Struct({ name: Schema.String }))

const models = Effect.fnUntraced(function* (talk: Talk) {
  const { body, status } = yield* talk.need("/v1beta1/publishers/google/models?pageSize=1000")
  if (status === 429) return yield* Effect.fail(tooBusy)
  const list = status < 300 ? Option.getOrUndefined(decodeList(body)) : undefined
  if (list === undefined) return undefined
  return decodeEach(decodeEntry, list.publisherModels).flatMap(({ name }) => {
    const id = name.replace(/^publishers\/google\/models\//, "")
    return ours.test(id) ? [{ id, capabilities: {} }] : []
  })
})

/** The origin of an address, and the version of its API with the project and the place behind it. */
const partsOf = (url: string): { readonly origin: string; readonly below: string } => {
  const { origin, pathname } = new URL(url)
  const path = pathname.replace(/\/+$/, "").replace(/\/publishers\/google(?:\/models)?$/, "")
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
  isOriginal: () => true,
  url: (server, path) => {
    const { below, origin } = partsOf(server.url)
    // The list of models is that of the publisher, and of no project.
    if (path.startsWith("/v1beta1/")) return joinUrl({ ...server, url: origin }, path)
    return joinUrl({ ...server, url: `${origin}${below}` }, path.replace(/^\/v1(?:beta)?(?=\/models\/)/, publisher))
  },
  // Keys of its express mode are none of the tokens that live for an hour.
  authHeaders: (key) => (/^(?:AIza|AQ\.)/.test(key) ? { "x-goog-api-key": key } : { authorization: `Bearer ${key}` }),
  prober: statelessProber(models)
}
