/**
 * LM Studio: its own lists (`/api/v1/models`, before 0.4 `/api/v0/models`) tell what `/v1/models` does not. The longest
 * context of a model is not the one that it is loaded with.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { namesOfLlamaCpp } from "../domain/samplers.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { TokenCount, decodeEach, RawEntries, lenientField, onDemandModel, SlotCount, withTold } from "./lenient.ts"
import { openAiLike, openAiModels, readList, statelessProber } from "./openai-like.ts"
import { lmstudioLifecycle } from "./lmstudio-lifecycle.ts"
import type { Kind } from "./Kind.ts"
import { speaking, untried } from "./speech.ts"
import type { Talk } from "./talk.ts"

const Instance = Schema.Struct({
  id: Schema.String,
  config: lenientField(Schema.Struct({ context_length: lenientField(TokenCount), parallel: lenientField(SlotCount) }))
})

const Entry1 = Schema.Struct({
  type: lenientField(Schema.String),
  key: Schema.String,
  loaded_instances: lenientField(RawEntries),
  capabilities: lenientField(
    Schema.Struct({ vision: lenientField(Schema.Boolean), trained_for_tool_use: lenientField(Schema.Boolean) })
  )
})

const Entry0 = Schema.Struct({
  id: Schema.String,
  type: lenientField(Schema.String),
  state: lenientField(Schema.String),
  loaded_context_length: lenientField(TokenCount),
  capabilities: lenientField(RawEntries)
})

const decodeList1 = Schema.decodeUnknownOption(Schema.Struct({ models: RawEntries }))
const decodeList0 = Schema.decodeUnknownOption(Schema.Struct({ data: RawEntries }))
const decodeEntry1 = Schema.decodeUnknownOption(Entry1)
const decodeEntry0 = Schema.decodeUnknownOption(Entry0)
const decodeInstance = Schema.decodeUnknownOption(Instance)

const isEmbedder = (type: string | undefined): boolean => type === "embedding" || type === "embeddings"

/** Reads `/api/v1/models`: each model, and each loaded instance under a name of its own; undefined when it is no list. */
export const readV1 = (body: unknown): ReadonlyArray<Model> | undefined => {
  const list = Option.getOrUndefined(decodeList1(body))
  if (list === undefined) return undefined
  return decodeEach(decodeEntry1, list.models).flatMap((entry) => {
    const instances = decodeEach(decodeInstance, entry.loaded_instances)
    const own = instances.find((instance) => instance.id === entry.key) ?? instances[0]
    const { vision, trained_for_tool_use: tools } = entry.capabilities ?? {}
    const capabilities: Capabilities = {
      ...(vision === undefined ? {} : { vision }),
      ...(tools === undefined ? {} : { tools }),
      ...(entry.type === undefined ? {} : { embeddings: isEmbedder(entry.type) })
    }
    const named = (id: string, instance: typeof Instance.Type | undefined): Model =>
      withTold(onDemandModel(id, instance?.config?.context_length, capabilities, instance !== undefined), {
        slots: instance?.config?.parallel
      })
    const others = instances.filter((instance) => instance.id !== entry.key)
    return [named(entry.key, own)].concat(others.map((instance) => named(instance.id, instance)))
  })
}

/** Reads `/api/v0/models`; undefined when it is no list. */
export const readV0 = (body: unknown): ReadonlyArray<Model> | undefined => {
  const list = Option.getOrUndefined(decodeList0(body))
  if (list === undefined) return undefined
  return decodeEach(decodeEntry0, list.data).map((entry) => {
    const loaded = entry.state === "loaded"
    const capabilities: Capabilities = {
      ...(entry.type === undefined ? {} : { vision: entry.type === "vlm", embeddings: isEmbedder(entry.type) }),
      ...(entry.capabilities === undefined ? {} : { tools: entry.capabilities.includes("tool_use") })
    }
    return onDemandModel(entry.id, loaded ? entry.loaded_context_length : undefined, capabilities, loaded)
  })
}

/**
 * What can be asked for: the names of `/v1/models` when it answers (it leaves out models that are not loaded when
 * loading on demand is off), told of by the native list; the native list itself when it does not.
 */
const merge = (native: ReadonlyArray<Model>, offered: ReadonlyArray<Model> | undefined): ReadonlyArray<Model> => {
  if (offered === undefined) return native
  const told = new Map(native.map((entry) => [entry.id, entry]))
  return offered.map((entry) => told.get(entry.id) ?? entry)
}

const models = Effect.fnUntraced(function* (talk: Talk) {
  // An unknown path is answered with 200 and an error: only the shape of a list tells.
  const newer = readV1((yield* talk.need("/api/v1/models")).body)
  const native = newer ?? readV0((yield* talk.want("/api/v0/models"))?.body)
  if (native === undefined) return yield* openAiModels(talk)
  return merge(native, readList((yield* talk.want("/v1/models"))?.body))
})

/** LM Studio. */
export const lmstudio: Kind = {
  ...openAiLike,
  takes: {
    namedTool: false,
    newerBound: false,
    several: false,
    samplers: { repeatPenalty: namesOfLlamaCpp.repeatPenalty }
  },
  label: "LM Studio",
  // Asked for what it has not, it answers well and with an error: nothing shows what is there.
  speaks: speaking("openai", {
    responses: untried("its documentation, since 0.3.29"),
    anthropic: untried("its documentation, since 0.4.1")
  }),
  alsoCalled: ["lms"],
  ports: [1234],
  slotsAtFirst: 4,
  fingerprint: {
    owner: "organization_owner",
    question: { path: "/api/v1/models", isOne: (body) => readV1(body) !== undefined }
  },
  loadsOnDemand: true,
  lifecycle: lmstudioLifecycle,
  prober: statelessProber(models),
  advice: { start: "lms server start", load: () => "lms get MODEL", logs: "lms log stream" }
}
