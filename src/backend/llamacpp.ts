/**
 * llama-server: `/props` says what the loaded model can do, `/v1/models` how long the context of one slot is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { monotonicMs } from "../domain/monotonic.ts"
import { namesOfLlamaCpp } from "../domain/samplers.ts"
import type { Capabilities, Model, ToldLoad } from "../domain/server.ts"
import {
  cacheOf,
  lenientField,
  loadOf,
  reportedModel,
  RequestCount,
  SlotCount,
  TokenCount,
  withTold
} from "./lenient.ts"
import { llamacppLifecycle } from "./llamacpp-lifecycle.ts"
import { type ListEntry, openAiLike, readEntries, withoutSecondRerank } from "./openai-like.ts"
import type { Kind, Prober } from "./Kind.ts"
import { readSlots, slotsKeep } from "./llamacpp-slots.ts"
import { samplesIn } from "./metrics-text.ts"
import { speaking, trusted, type Speaking } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Props = Schema.Struct({
  role: lenientField(Schema.String),
  build_info: lenientField(Schema.String),
  total_slots: lenientField(SlotCount),
  is_sleeping: lenientField(Schema.Boolean),
  endpoint_slots: lenientField(Schema.Boolean),
  default_generation_settings: lenientField(Schema.Struct({ n_ctx: lenientField(TokenCount) })),
  modalities: lenientField(Schema.Struct({ vision: lenientField(Schema.Boolean) })),
  chat_template_caps: lenientField(
    Schema.Struct({ supports_tools: lenientField(Schema.Boolean), supports_tool_calls: lenientField(Schema.Boolean) })
  )
})

/** What `/props` says, as far as it is understood. */
export type Props = typeof Props.Type

const decodeProps = Schema.decodeUnknownOption(Props)

/** Reads `/props`; undefined when it is no object. */
export const readProps = (body: unknown): Props | undefined => Option.getOrUndefined(decodeProps(body))

/** Whether this can only be the `/props` of a llama-server. */
const isProps = (props: Props | undefined): boolean =>
  props?.default_generation_settings !== undefined || props?.role === "router"

// A router serves many models: what its own /props says holds for none of them.
const abilities = (props: Props | undefined): Capabilities => {
  if (props === undefined || props.role === "router") return {}
  const vision = props.modalities?.vision
  const tools = props.chat_template_caps?.supports_tools ?? props.chat_template_caps?.supports_tool_calls
  return { ...(vision === undefined ? {} : { vision }), ...(tools === undefined ? {} : { tools }) }
}

type Figures = Pick<Model, "cacheTokens" | "loaded" | "slots" | "slotsKeep">

/**
 * What `/props` tells of a model's slots; `shown` is whether they were seen to keep what they hold. Where all of them share one
 * cache, each says that it has the whole of it, and nothing says that they share it.
 */
const figuresOf = (props: Props | undefined, trained: number | undefined, shown: boolean | undefined): Figures => {
  const slots = props?.total_slots
  const context = props?.default_generation_settings?.n_ctx
  // Started with nothing said, each slot has all that the model was trained for: nobody has that much memory for each.
  const shares = shown === false || (slots !== undefined && slots > 1 && context !== undefined && context === trained)
  const keeps = shown ?? (shares ? false : undefined)
  const caches = shares ? 1 : slots
  const cacheTokens = caches === undefined || context === undefined ? undefined : cacheOf([caches * context])
  const loaded = props?.is_sleeping === undefined ? undefined : !props.is_sleeping
  return {
    ...(slots === undefined ? {} : { slots }),
    ...(cacheTokens === undefined ? {} : { cacheTokens }),
    ...(keeps === undefined ? {} : { slotsKeep: keeps }),
    ...(loaded === undefined ? {} : { loaded })
  }
}

/** Whether a router has a model in memory, by what it says of it in its list. */
const isLoaded = ({ status }: ListEntry): boolean | undefined =>
  status?.value === undefined ? undefined : status.value === "loaded"

/** The models of a llama-server under their ids and aliases; undefined when the list is none. */
const readModels = (
  list: unknown,
  props: Props | undefined,
  told: ReadonlyMap<string, Props>,
  shown: boolean | undefined
): ReadonlyArray<Model> | undefined => {
  const router = props?.role === "router"
  const slot = router ? undefined : props?.default_generation_settings?.n_ctx
  return readEntries(list)?.flatMap((entry) => {
    const context = entry.meta?.n_ctx ?? slot ?? entry.context_length
    const modalities = entry.architecture?.input_modalities
    const capabilities: Capabilities = {
      ...(modalities === undefined ? {} : { vision: modalities.includes("image") }),
      ...abilities(props)
    }
    const aliases = (entry.aliases ?? []).filter((alias) => typeof alias === "string")
    const loaded = isLoaded(entry)
    const figures = figuresOf(router ? told.get(entry.id) : props, entry.meta?.n_ctx_train, shown)
    return [...new Set([entry.id, ...aliases])].map((id) =>
      withTold(reportedModel(id, context, capabilities), loaded === undefined ? figures : { ...figures, loaded })
    )
  })
}

const Failure = Schema.Struct({ error: Schema.Struct({ type: Schema.String, message: Schema.String }) })
const decodeFailure = Schema.decodeUnknownOption(Failure)

const isLoading = (body: unknown): boolean => {
  const failure = Option.getOrUndefined(decodeFailure(body))?.error
  return failure?.type === "unavailable_error" && /loading model/i.test(failure.message)
}

// Loaded models of a router that are asked about; more are hardly loaded at a time.
const mostAsked = 16

/** What each loaded model of a router tells of itself. To ask about one that is not loaded would load it. */
const askLoaded = Effect.fnUntraced(function* (talk: Talk, list: unknown) {
  const loaded = (readEntries(list) ?? []).filter((entry) => isLoaded(entry) === true).slice(0, mostAsked)
  const told = new Map<string, Props>()
  const ask = ({ id }: ListEntry) =>
    Effect.map(talk.want(`/props?model=${encodeURIComponent(id)}&autoload=false`), (answer) => {
      const props = readProps(answer?.body)
      if (props !== undefined) told.set(id, props)
    })
  yield* talk.whileTimeIsLeft(Effect.forEach(loaded, ask, { concurrency: 2, discard: true }))
  return told
})

const gauges = { running: "llamacpp:requests_processing", waiting: "llamacpp:requests_deferred" } as const
const wanted: ReadonlySet<string> = new Set(Object.values(gauges))
const isRequests = Schema.is(RequestCount)

/** What its `/metrics` tell of its work; `waiting` is a lower bound, as not all that came is seen there. */
const readWork = (text: string): ToldLoad => {
  const samples = samplesIn(text, wanted)
  const of = (name: string): number | undefined => {
    const value = samples.find((sample) => sample.name === name)?.value
    return isRequests(value) ? value : undefined
  }
  return loadOf(of(gauges.running), of(gauges.waiting))
}

const unmeasured = new Set([404, 501])

// It answers between two steps of its work, which may be long.
const patienceMs = 1000

// It has metrics when it was started with them. Asked often it would go on with the work of clients that have left, and of one
// model that a router has, it would load that.
const askWork = Effect.fnUntraced(function* (talk: Talk, silent: Ref.Ref<boolean>) {
  if (yield* Ref.get(silent)) return undefined
  const answer = Option.getOrUndefined(yield* Effect.timeoutOption(talk.hear("/metrics"), patienceMs))
  if (answer !== undefined && unmeasured.has(answer.status)) yield* Ref.set(silent, true)
  return answer?.status === 200 ? readWork(answer.text ?? "") : undefined
})

/** Whether slots keep what they hold, as far as it has shown, and how they were when they were looked at last, and when. */
interface Looked {
  readonly slots: ReturnType<typeof readSlots>
  readonly keep: boolean | undefined
  readonly at: number
}

const unseen: Looked = { slots: [], keep: undefined, at: -Infinity }

// More often it would not notice who has left.
const lookEveryMs = 5000

// A server that sleeps would wake up, and a router load the model. Once they have shown it, they are not looked at any more.
const lookAtSlots = Effect.fnUntraced(function* (talk: Talk, looked: Ref.Ref<Looked>, props: Props | undefined) {
  const before = yield* Ref.get(looked)
  const at = yield* monotonicMs
  if (before.keep !== undefined || at - before.at < lookEveryMs) return before.keep
  const isNone = props === undefined || props.role === "router" || props.is_sleeping === true
  if (isNone || props.endpoint_slots === false || (props.total_slots ?? 0) < 2) return undefined
  const slots = readSlots((yield* talk.want("/slots"))?.body)
  const keep = slotsKeep(before.slots, slots)
  yield* Ref.set(looked, { slots, keep, at })
  return keep
})

const makeProber = (silent: Ref.Ref<boolean>, looked: Ref.Ref<Looked>): Prober => ({
  models: Effect.fnUntraced(function* (talk) {
    yield* talk.need("/health")
    // The list is open to all on some levels, /props is not: it shows whether the key is right.
    const [props, list] = yield* Effect.all([talk.need("/props"), talk.need("/v1/models")], { concurrency: 2 })
    const told = props.status < 300 ? readProps(props.body) : undefined
    if (told?.build_info !== undefined) yield* talk.isOf(told.build_info)
    if (list.status >= 300) return undefined
    const router = told?.role === "router"
    const single = router ? yield* askLoaded(talk, list.body) : new Map<string, Props>()
    const shown = yield* lookAtSlots(talk, looked, told)
    const models = readModels(list.body, told, single, shown)
    if (router || told === undefined || told.is_sleeping === true || models === undefined) return models
    const work = yield* askWork(talk, silent)
    if (work !== undefined) yield* talk.worksOn(new Map(models.map(({ id }) => [id, work])))
    return models
  }),
  wasAway: Effect.andThen(Ref.set(silent, false), Ref.set(looked, unseen))
})

const prober: Effect.Effect<Prober> = Effect.zipWith(Ref.make(false), Ref.make(unseen), makeProber)

const tried = "tried on build 11669"

// A server answers an empty request with what it lacks, and GET tells nothing.
const speaks: Speaking = speaking(
  "openai",
  {
    responses: {
      level: "distrusted",
      why: "events without the places that libraries go by, 400 for reasoning and custom tools of the turn before, a cut answer called complete",
      source: `ggml-org/llama.cpp#20607; ${tried}`,
      shownBy: { method: "POST", path: "/v1/responses" }
    },
    anthropic: {
      level: "distrusted",
      why: "leaves out documents, output_config and the mark of failed results, takes a named tool_choice and none for auto, and answers errors in OpenAI's form",
      source: `ggml-org/llama.cpp#26535; ${tried}`,
      shownBy: { method: "POST", path: "/v1/messages" }
    }
  },
  {
    "messages/count_tokens": { ...trusted, shownBy: { method: "POST", path: "/v1/messages/count_tokens" } },
    "responses/input_tokens": { ...trusted, shownBy: { method: "POST", path: "/v1/responses/input_tokens" } }
  }
)

/** llama.cpp's llama-server, and what is built around it. */
export const llamacpp: Kind = {
  ...openAiLike,
  takes: { namedTool: false, newerBound: true, several: true, samplers: namesOfLlamaCpp },
  label: "llama.cpp",
  alsoCalled: ["llamaserver", "llama", "llamafile", "koboldcpp", "ggml", "gguf"],
  ports: [8080, 9931],
  command: /\bllama-?server|llama\.cpp/i,
  slotsAtFirst: 4,
  slotField: "id_slot",
  fingerprint: {
    owner: "llamacpp",
    header: "llama.cpp",
    question: { path: "/props", isOne: (body) => isProps(readProps(body)) }
  },
  jsonByGrammar: true,
  speaks,
  lifecycle: llamacppLifecycle,
  url: withoutSecondRerank,
  prober,
  isLoading,
  advice: {
    start: "llama-server -m MODEL.gguf",
    load: () => "llama-server -m MODEL.gguf",
    unlessSlotsKeep: {
      seen: "its slots share one cache, and those that are idle are emptied when another one gets work: chats with one system prompt that ask one after the other keep about 0.7 of what they could",
      fix: "start it with -np N -c N*CONTEXT -sps 0.9, or with --no-cache-idle-slots"
    },
    unlessCollected:
      "it may not notice that the client of an answer without a stream has left, and keeps a slot busy with it"
  }
}
