/**
 * SGLang: asked as vLLM is, once for what its one model can do, and for its work, of which it tells all.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { namesOfVllm } from "../domain/samplers.ts"
import type { Capabilities, Model, ToldLoad } from "../domain/server.ts"
import {
  cacheOf,
  CacheTokens,
  decodeEach,
  lenientField,
  loadOf,
  RawEntries,
  RequestCount,
  SlotCount,
  sumOf,
  withTold
} from "./lenient.ts"
import { healthAndModels, openAiLike } from "./openai-like.ts"
import type { Kind, Prober } from "./Kind.ts"
import { speaking, untried } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Info = Schema.Struct({
  model_path: Schema.String,
  is_generation: lenientField(Schema.Boolean),
  has_image_understanding: lenientField(Schema.Boolean)
})
const decodeInfo = Schema.decodeUnknownOption(Info)

/** Reads `/model_info`: what the model can do; undefined when it is none. */
const readInfo = (body: unknown): Capabilities | undefined => {
  const info = Option.getOrUndefined(decodeInfo(body))
  if (info === undefined) return undefined
  const { has_image_understanding: vision, is_generation: generates } = info
  return {
    ...(vision === undefined ? {} : { vision }),
    ...(generates === undefined ? {} : { embeddings: !generates }),
    ...(generates === false ? { tools: false, json_mode: false } : {})
  }
}

// Newer levels write a warning into their log for each question under the older name.
const paths = ["/model_info", "/get_model_info"] as const

const ask = Effect.fnUntraced(function* (talk: Talk) {
  for (const path of paths) {
    const told = readInfo((yield* talk.want(path))?.body)
    if (told !== undefined) return told
  }
  return undefined
})

const withAbilities = (model: Model, told: Capabilities | undefined): Model => ({
  ...model,
  capabilities: { ...told, ...model.capabilities }
})

const Rank = Schema.Struct({
  num_running_reqs: lenientField(RequestCount),
  num_waiting_reqs: lenientField(RequestCount),
  max_running_requests: lenientField(SlotCount),
  max_total_num_tokens: lenientField(CacheTokens)
})
const decodeRank = Schema.decodeUnknownOption(Rank)
const decodeLoads = Schema.decodeUnknownOption(Schema.Union([RawEntries, Schema.Struct({ loads: RawEntries })]))

/** What `/v1/loads` tells: the work of all ranks together, and the tokens that they keep. */
interface Work {
  readonly load: ToldLoad
  readonly cacheTokens: number | undefined
}

/** Reads `/v1/loads`; undefined when it is none. */
const readWork = (body: unknown): Work | undefined => {
  const told = Option.getOrUndefined(decodeLoads(body))
  if (told === undefined) return undefined
  const ranks = decodeEach(decodeRank, "loads" in told ? told.loads : told)
  const sum = (name: keyof typeof Rank.Type) => sumOf(ranks.map((rank) => rank[name]))
  return {
    load: loadOf(sum("num_running_reqs"), sum("num_waiting_reqs"), sum("max_running_requests")),
    cacheTokens: cacheOf([sum("max_total_num_tokens")])
  }
}

/** What is remembered of one server. */
interface Memory {
  readonly abilities: Capabilities | undefined
  /** The models that it listed last. */
  readonly ids: ReadonlyArray<string>
  /** Whether it has nothing to tell of its work: older ones have not. */
  readonly silent: boolean
}

const nothing: Memory = { abilities: undefined, ids: [], silent: false }

const look = Effect.fnUntraced(function* (talk: Pick<Talk, "hear">, memory: Ref.Ref<Memory>) {
  const { ids, silent } = yield* Ref.get(memory)
  if (silent) return undefined
  const answer = yield* talk.hear("/v1/loads")
  if (answer?.status === 404) yield* Ref.update(memory, (before) => ({ ...before, silent: true }))
  const work = answer === undefined || answer.status >= 300 ? undefined : readWork(answer.body)
  return work === undefined ? undefined : { ...work, loads: new Map(ids.map((id) => [id, work.load])) }
})

const prober: Effect.Effect<Prober> = Effect.map(Ref.make(nothing), (memory) => ({
  models: Effect.fnUntraced(function* (talk) {
    const models = yield* healthAndModels(talk)
    if (models === undefined) return models
    const abilities = (yield* Ref.get(memory)).abilities ?? (yield* ask(talk))
    yield* Ref.update(memory, (before) => ({ ...before, abilities, ids: models.map(({ id }) => id) }))
    const work = yield* look(talk, memory)
    if (work !== undefined) yield* talk.worksOn(work.loads)
    const told = { slots: work?.load.slots, cacheTokens: work?.cacheTokens }
    return models.map((model) => withTold(withAbilities(model, abilities), told))
  }),
  loads: (talk) => Effect.map(look(talk, memory), (work) => work?.loads),
  wasAway: Ref.set(memory, nothing)
}))

/** SGLang. */
export const sglang: Kind = {
  ...openAiLike,
  label: "SGLang",
  ports: [30000],
  command: /\bsglang\b/i,
  takes: { ...openAiLike.takes, samplers: namesOfVllm },
  slotsAtFirst: 4,
  fingerprint: {
    owner: "sglang",
    question: { path: "/get_model_info", isOne: (body) => readInfo(body)?.embeddings !== undefined }
  },
  // What it was set up as before it was a kind of its own.
  passesFor: ["vllm"],
  jsonByGrammar: true,
  speaks: speaking("openai", {
    responses: untried("its documentation", "/v1/responses"),
    anthropic: untried("its documentation", "/v1/messages"),
    ollama: untried("its documentation", "/api/chat")
  }),
  prober,
  advice: {
    start: "python -m sglang.launch_server --model-path MODEL",
    load: () => "python -m sglang.launch_server --model-path MODEL"
  }
}
