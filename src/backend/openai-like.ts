/**
 * Servers that speak like OpenAI's, which every kind goes by where it has nothing of its own: where their endpoints are,
 * how a key is sent, and their lists of models with what vLLM, SGLang, exo, llama-server, Nexus and the hosted services
 * add to them.
 */
import { Effect, Option, Schema } from "effect"
import { addressOf, belowApi } from "../domain/base-url.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { Count, each, Entries, lenient, modelOf } from "./lenient.ts"
import type { Kind, Prober, Told } from "./Kind.ts"
import { busy, type Talk, type Verdict } from "./talk.ts"

const Abilities = Schema.Struct({
  vision: lenient(Schema.Boolean),
  tools: lenient(Schema.Boolean),
  function_calling: lenient(Schema.Boolean),
  json_mode: lenient(Schema.Boolean),
  embeddings: lenient(Schema.Boolean)
})

const Entry = Schema.Struct({
  id: Schema.String,
  object: lenient(Schema.String),
  owned_by: lenient(Schema.String),
  aliases: lenient(Entries),
  parent: lenient(Schema.String),
  context_length: lenient(Count),
  max_model_len: lenient(Count),
  max_context_length: lenient(Count),
  context_window: lenient(Count),
  meta: lenient(Schema.Struct({ n_ctx: lenient(Count) })),
  architecture: lenient(Schema.Struct({ input_modalities: lenient(Entries) })),
  supported_parameters: lenient(Entries),
  capabilities: lenient(Schema.Union([Entries, Abilities]))
})

/** One entry of a list, as far as it is understood. */
export type Entry = typeof Entry.Type

const decodeEntry = Schema.decodeUnknownOption(Entry)
const decodeList = Schema.decodeUnknownOption(Schema.Union([Entries, Schema.Struct({ data: Schema.NullOr(Entries) })]))

/**
 * The entries of a list (`data`, or a bare array as some services send); undefined when it is no list, or one of other
 * things than models.
 */
export const readEntries = (body: unknown): ReadonlyArray<Entry> | undefined => {
  const list = Option.getOrUndefined(decodeList(body))
  if (list === undefined) return undefined
  const all = "data" in list ? (list.data ?? []) : list
  const entries = each(decodeEntry, all)
  return entries.length === 0 && all.length > 0 ? undefined : entries
}

const isWords = (value: Entry["capabilities"]): value is ReadonlyArray<unknown> => Array.isArray(value)

const abilitiesOf = (entry: Entry): Capabilities => {
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

const contextOf = (entry: Entry): number | undefined =>
  entry.meta?.n_ctx ?? entry.max_model_len ?? entry.context_length ?? entry.max_context_length ?? entry.context_window

/** The models of a list; undefined when it is no list. An adapter without a context of its own has its parent's. */
export const readList = (body: unknown): ReadonlyArray<Model> | undefined => {
  const entries = readEntries(body)
  if (entries === undefined) return undefined
  const contexts = new Map(entries.map((entry) => [entry.id, contextOf(entry)]))
  return entries.map((entry) => {
    const context = contextOf(entry) ?? (entry.parent === undefined ? undefined : contexts.get(entry.parent))
    return modelOf(entry.id, context, abilitiesOf(entry))
  })
}

/** Asks for the list of models, where the endpoints are known to be and then where else they may be. */
export const openAiModels = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<Told, Verdict> {
  const { body, status } = yield* talk.need("/v1/models")
  if (status === 429) return yield* Effect.fail(busy)
  const models = status < 300 ? readList(body) : undefined
  if (talk.elsewhere === undefined || models !== undefined) return models
  const found = readList((yield* talk.elsewhere.want("/v1/models"))?.body)
  if (found !== undefined) yield* talk.elsewhere.isRight
  return found
})

/** The same of a server whose list answers while its engine is dead, and `/health` does not. */
export const healthAndModels = (talk: Talk): Effect.Effect<Told, Verdict> =>
  Effect.andThen(talk.need("/health"), openAiModels(talk))

/** A prober that has nothing to remember. */
export const stateless = (models: Prober["models"]): Effect.Effect<Prober> => Effect.succeed({ models })

/** What holds of a kind unless it says otherwise. */
export const openAiLike = {
  alsoCalled: [],
  locality: "local",
  ports: [],
  listTells: false,
  loadsOnDemand: false,
  jsonByGrammar: false,
  url: (server, path, apiPath) => addressOf(server, belowApi(path, apiPath)),
  // Deployments of Azure's take the key under a name of their own.
  authHeaders: (key, { url }) =>
    /\/openai\/deployments\//.test(url) ? { "api-key": key } : { authorization: `Bearer ${key}` },
  prober: stateless(openAiModels),
  advice: {}
} satisfies Omit<Kind, "label">
