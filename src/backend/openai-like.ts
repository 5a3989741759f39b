/**
 * Servers that speak like OpenAI's, which every kind goes by where it has nothing of its own: where their endpoints are,
 * how a key is sent, and their lists of models with what vLLM, SGLang, exo, llama-server, Nexus and the hosted services
 * add to them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { joinUrl, apiPathBelow } from "../domain/base-url.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { TokenCount, decodeEach, RawEntries, lenientField, reportedModel } from "./lenient.ts"
import type { Kind, Prober, ListedModels } from "./Kind.ts"
import { speaking } from "./speech.ts"
import { tooBusy, type Talk, type ProbeEnd } from "./talk.ts"

const Abilities = Schema.Struct({
  vision: lenientField(Schema.Boolean),
  tools: lenientField(Schema.Boolean),
  function_calling: lenientField(Schema.Boolean),
  json_mode: lenientField(Schema.Boolean),
  embeddings: lenientField(Schema.Boolean)
})

const ListEntry = Schema.Struct({
  id: Schema.String,
  object: lenientField(Schema.String),
  owned_by: lenientField(Schema.String),
  aliases: lenientField(RawEntries),
  parent: lenientField(Schema.String),
  context_length: lenientField(TokenCount),
  max_model_len: lenientField(TokenCount),
  max_context_length: lenientField(TokenCount),
  context_window: lenientField(TokenCount),
  meta: lenientField(Schema.Struct({ n_ctx: lenientField(TokenCount), n_ctx_train: lenientField(TokenCount) })),
  architecture: lenientField(Schema.Struct({ input_modalities: lenientField(RawEntries) })),
  supported_parameters: lenientField(RawEntries),
  top_provider: lenientField(Schema.Struct({ max_completion_tokens: lenientField(TokenCount) })),
  capabilities: lenientField(Schema.Union([RawEntries, Abilities])),
  status: lenientField(Schema.Struct({ value: lenientField(Schema.String) }))
})

/** One entry of a list, as far as it is understood. */
export type ListEntry = typeof ListEntry.Type

const decodeEntry = Schema.decodeUnknownOption(ListEntry)
const decodeList = Schema.decodeUnknownOption(
  Schema.Union([RawEntries, Schema.Struct({ data: Schema.NullOr(RawEntries) })])
)

/**
 * The entries of a list (`data`, or a bare array as some services send); undefined when it is no list, or one of other
 * things than models.
 */
export const readEntries = (body: unknown): ReadonlyArray<ListEntry> | undefined => {
  const list = Option.getOrUndefined(decodeList(body))
  if (list === undefined) return undefined
  const all = "data" in list ? (list.data ?? []) : list
  const entries = decodeEach(decodeEntry, all)
  return entries.length === 0 && all.length > 0 ? undefined : entries
}

const isWords = (value: ListEntry["capabilities"]): value is ReadonlyArray<unknown> => Array.isArray(value)

const abilitiesOf = (entry: ListEntry): Capabilities => {
  const { capabilities, supported_parameters: parameters } = entry
  const modalities = entry.architecture?.input_modalities
  const words = isWords(capabilities) ? capabilities : undefined
  const flags = capabilities === undefined || isWords(capabilities) ? undefined : capabilities
  // A list of words says what is there; only OpenRouter's lists are complete enough to say what is not.
  const vision = flags?.vision ?? modalities?.includes("image") ?? (words?.includes("vision") ? true : undefined)
  const tools =
    flags?.tools ??
    flags?.function_calling ??
    parameters?.includes("tools") ??
    (words?.some((word) => word === "tools" || word === "tool_use") ? true : undefined)
  const json =
    flags?.json_mode ??
    parameters?.some((parameter) => parameter === "response_format" || parameter === "structured_outputs")
  const embeddings =
    flags?.embeddings ?? (words?.some((w) => w === "embedding" || w === "embeddings") ? true : undefined)
  return {
    ...(vision === undefined ? {} : { vision }),
    ...(tools === undefined ? {} : { tools }),
    ...(json === undefined ? {} : { json_mode: json }),
    ...(embeddings === undefined ? {} : { embeddings })
  }
}

const contextOf = (entry: ListEntry): number | undefined =>
  entry.meta?.n_ctx ?? entry.max_model_len ?? entry.context_length ?? entry.max_context_length ?? entry.context_window

/** The models of a list; undefined when it is no list. An adapter without a context of its own has its parent's. */
export const readList = (body: unknown): ReadonlyArray<Model> | undefined => {
  const entries = readEntries(body)
  if (entries === undefined) return undefined
  const contexts = new Map(entries.map((entry) => [entry.id, contextOf(entry)]))
  return entries.map((entry) => {
    const context = contextOf(entry) ?? (entry.parent === undefined ? undefined : contexts.get(entry.parent))
    return reportedModel(entry.id, context, abilitiesOf(entry), entry.top_provider?.max_completion_tokens)
  })
}

/** Asks for the list of models, where the endpoints are known to be and then where else they may be. */
export const openAiModels = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<ListedModels, ProbeEnd> {
  const { body, status } = yield* talk.need("/v1/models")
  if (status === 429) return yield* Effect.fail(tooBusy)
  const models = status < 300 ? readList(body) : undefined
  if (talk.elsewhere === undefined || models !== undefined) return models
  const found = readList((yield* talk.elsewhere.want("/v1/models"))?.body)
  if (found !== undefined) yield* talk.elsewhere.isRight
  return found
})

/** The same of a server whose list answers while its engine is dead, and `/health` does not. */
export const healthAndModels = (talk: Talk): Effect.Effect<ListedModels, ProbeEnd> =>
  Effect.andThen(talk.need("/health"), openAiModels(talk))

/** A prober that has nothing to remember. */
export const statelessProber = (models: Prober["models"]): Effect.Effect<Prober> => Effect.succeed({ models })

/** Whether a key is a token that somebody has signed: three parts in base64, the first of which is a JSON object. */
export const isToken = (key: string): boolean => /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(key)

/** What holds of a kind unless it says otherwise. */
export const openAiLike = {
  alsoCalled: [],
  locality: "local",
  ports: [],
  listTells: false,
  speaks: speaking("openai"),
  loadsOnDemand: false,
  slotsAtFirst: 32,
  jsonByGrammar: false,
  takes: { namedTool: true, newerBound: true, several: true },
  url: (server, path, apiPath) => joinUrl(server, apiPathBelow(path, apiPath)),
  // Deployments of Azure's take the key under a name of their own.
  authHeaders: (key, { url }) =>
    /\/openai\/deployments\//.test(url) ? { "api-key": key } : { authorization: `Bearer ${key}` },
  prober: statelessProber(openAiModels),
  advice: {}
} satisfies Omit<Kind, "label">

/** The URLs of a server that has the rerank of Cohere's second version at the path of its first alone. */
export const withoutSecondRerank: Kind["url"] = (server, path, apiPath) =>
  openAiLike.url(server, path === "/v2/rerank" ? "/v1/rerank" : path, apiPath)
