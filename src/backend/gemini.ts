/**
 * Google's Gemini API, and what speaks as it does: models by pages, with their context and what may be asked of them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { joinUrl } from "../domain/base-url.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { decodeEach, lenientField, RawEntries, reportedModel, TokenCount } from "./lenient.ts"
import type { Kind, ListedModels } from "./Kind.ts"
import { openAiLike, statelessProber } from "./openai-like.ts"
import { speaking } from "./speech.ts"
import { ProbeEnd, type Talk, tooBusy } from "./talk.ts"

const Entry = Schema.Struct({
  name: Schema.String,
  inputTokenLimit: lenientField(TokenCount),
  supportedGenerationMethods: lenientField(RawEntries)
})

const decodePage = Schema.decodeUnknownOption(
  Schema.Struct({ models: lenientField(RawEntries), nextPageToken: lenientField(Schema.String) })
)
const decodeEntry = Schema.decodeUnknownOption(Entry)

// What is neither made for texts nor for vectors is asked in other ways.
const modelsOf = (page: ReadonlyArray<unknown>): ReadonlyArray<Model> =>
  decodeEach(decodeEntry, page).flatMap(({ inputTokenLimit, name, supportedGenerationMethods: methods }) => {
    const generates = methods === undefined || methods.includes("generateContent")
    const embeds = methods?.some((method) => method === "embedContent" || method === "batchEmbedContents") === true
    if (!generates && !embeds) return []
    const capabilities: Capabilities = methods === undefined ? {} : { embeddings: embeds && !generates }
    return [reportedModel(name.replace(/^models\//, ""), inputTokenLimit, capabilities)]
  })

const keyRefused = new ProbeEnd({ outcome: { _tag: "Refused", reason: "refuses the key it is given (status 400)" } })

// It has no status of its own.
const refusesKey = (body: unknown): boolean =>
  /API_KEY_INVALID|API key (?:not valid|expired)/i.test(JSON.stringify(body) ?? "")

const mostPages = 20

/** Asks for the list of models, page by page. */
const geminiModels = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<ListedModels, ProbeEnd> {
  const all: Array<Model> = []
  let token = ""
  for (let page = 0; page < mostPages; page += 1) {
    const { body, status } = yield* talk.need(`/v1beta/models?pageSize=1000${token}`)
    if (status === 429) return yield* Effect.fail(tooBusy)
    if (status === 400 && refusesKey(body)) return yield* Effect.fail(keyRefused)
    const found = status < 300 ? Option.getOrUndefined(decodePage(body)) : undefined
    if (found?.models === undefined) return page === 0 ? undefined : all
    all.push(...modelsOf(found.models))
    const { nextPageToken: next = "" } = found
    if (next === "") break
    token = `&pageToken=${encodeURIComponent(next)}`
  }
  return all
})

// The paths of the dialect hold the version.
const version = /\/v1(?:alpha|beta\d?)?(?:\/openai)?$/

/** The Gemini API. */
export const gemini: Kind = {
  ...openAiLike,
  label: "Gemini",
  provider: "gcp.gemini",
  alsoCalled: ["google", "googleai", "googlegenai", "aistudio", "googleaistudio"],
  locality: "cloud",
  home: "https://generativelanguage.googleapis.com",
  speaks: speaking("gemini"),
  isOriginal: ({ url }) => new URL(url).hostname.endsWith("googleapis.com"),
  url: (server, path) => joinUrl({ ...server, url: server.url.replace(version, "") }, path),
  authHeaders: (key) => ({ "x-goog-api-key": key }),
  prober: statelessProber(geminiModels)
}
