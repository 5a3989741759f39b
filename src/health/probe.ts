/**
 * One probe: each kind of backend is asked in its own words whether it is well, and what its models can do. Only
 * questions that cost nothing are asked.
 */
import { Effect, Ref } from "effect"
import type { Backend } from "../backend/backend.ts"
import type { BackendType } from "../backend/all.ts"
import type { Model } from "../domain/server.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import { awakeMs, Pauses, timeoutAwake } from "../upstream/Pauses.ts"
import type { Transport } from "../upstream/Transport.ts"
import { readModels, readProps } from "../backend/llamacpp.ts"
import { merge, readV0, readV1 } from "../backend/lmstudio.ts"
import { complete } from "../backend/capabilities.ts"
import { readLoaded, readShow, readTags, readVersion, type Shown, type Tag, toModel } from "../backend/ollama.ts"
import { readList } from "../backend/openai-like.ts"
import { type Answer, Verdict } from "../backend/talk.ts"
import { need, want } from "./questions.ts"

/** What a prober remembers: an Ollama's models by digest, so that each is asked about once, and whether there was a list. */
interface Memory {
  /** What the server called its version last; undefined while it has not. */
  readonly version: string | undefined
  readonly listed: boolean
  /** Where a list was found, where the base URL leaves that open. */
  readonly apiPath: ApiPath | undefined
  readonly shown: ReadonlyMap<string, Shown>
  readonly inForce: ReadonlyMap<string, number>
}

const nothing: Memory = { version: undefined, listed: false, apiPath: undefined, shown: new Map(), inForce: new Map() }

/** The means of one probe; every question gets what is left of the probe's time. */
interface Talk {
  readonly need: (path: string) => Effect.Effect<Answer, Verdict>
  readonly want: (path: string, body?: unknown) => Effect.Effect<Answer | undefined>
  /** The same at another place of the endpoints. */
  readonly wantAt: (path: string, apiPath: ApiPath) => Effect.Effect<Answer | undefined>
  readonly backend: Backend
  /** Gives up what has not ended when the time of the probe is nearly over. */
  readonly whileTimeIsLeft: (effect: Effect.Effect<void>) => Effect.Effect<unknown>
  readonly memory: Ref.Ref<Memory>
}

/** Undefined when what was answered is no list. */
type Models = ReadonlyArray<Model> | undefined

const busy = new Verdict({ outcome: { _tag: "Down", reason: "answered with status 429" } })

/** Why what answers cannot be used, when nobody has said which models it has. */
export const noList = "answers, but not with a list of models"

/** Questions about single models that are under way at a time. */
const showsAtOnce = 4

const openaiLike = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<Models, Verdict> {
  const { backend, memory } = talk
  const { body, status } = yield* talk.need("/v1/models")
  // It has too much to do to tell now, which says nothing of its models.
  if (status === 429) return yield* Effect.fail(busy)
  const models = status < 300 ? readList(body) : undefined
  if (backend.apiPath === undefined || models !== undefined) return models
  const known = (yield* Ref.get(memory)).apiPath ?? backend.apiPath
  const other: ApiPath = known === "" ? "/v1" : ""
  const found = readList((yield* talk.wantAt("/v1/models", other))?.body)
  if (found !== undefined) yield* Ref.update(memory, (before) => ({ ...before, apiPath: other }))
  return found
})

// vLLM and SGLang: the list answers while the engine is dead, /health does not.
const withHealth = (talk: Talk): Effect.Effect<Models, Verdict> =>
  Effect.andThen(talk.need("/health"), openaiLike(talk))

const exo = Effect.fnUntraced(function* (talk: Talk) {
  const downloaded = yield* talk.need("/v1/models?status=downloaded")
  const models = downloaded.status < 300 ? readList(downloaded.body) : undefined
  return models ?? (yield* openaiLike(talk))
})

const llamacpp = Effect.fnUntraced(function* (talk: Talk) {
  yield* talk.need("/health")
  // The list is open to all on some levels, /props is not: it shows whether the key is right.
  const [props, list] = yield* Effect.all([talk.need("/props"), talk.need("/v1/models")], { concurrency: 2 })
  return list.status < 300 ? readModels(list.body, props.status < 300 ? readProps(props.body) : undefined) : undefined
})

const lmstudio = Effect.fnUntraced(function* (talk: Talk) {
  // An unknown path is answered with 200 and an error: only the shape of a list tells.
  const newer = readV1((yield* talk.need("/api/v1/models")).body)
  const native = newer ?? readV0((yield* talk.want("/api/v0/models"))?.body)
  if (native === undefined) return yield* openaiLike(talk)
  return merge(native, readList((yield* talk.want("/v1/models"))?.body))
})

const show = (talk: Talk, tag: Tag): Effect.Effect<void> =>
  Effect.flatMap(talk.want("/api/show", { model: tag.name }), (answer) => {
    const shown = readShow(answer?.body)
    return shown === undefined
      ? Effect.void
      : Ref.update(talk.memory, (before) => ({ ...before, shown: new Map(before.shown).set(tag.digest, shown) }))
  })

const ollama = Effect.fnUntraced(function* (talk: Talk) {
  const tags = readTags((yield* talk.need("/api/tags")).body)
  if (tags === undefined) return undefined
  const [running, answer] = yield* Effect.all([talk.want("/api/ps"), talk.want("/api/version")], { concurrency: 2 })
  const loaded = readLoaded(running?.body)
  const version = readVersion(answer?.body)
  // Another version may know of other abilities, and has been started anew with what is in force now.
  yield* Ref.update(talk.memory, (before) =>
    version === undefined || version === before.version
      ? before
      : {
          ...(before.version === undefined ? before : { ...nothing, listed: before.listed, apiPath: before.apiPath }),
          version
        }
  )
  const known = (yield* Ref.get(talk.memory)).shown
  const unknown = new Map(tags.filter((tag) => !known.has(tag.digest)).map((tag) => [tag.digest, tag]))
  yield* talk.whileTimeIsLeft(
    Effect.forEach(unknown.values(), (tag) => show(talk, tag), { concurrency: showsAtOnce, discard: true })
  )
  const memory = yield* Ref.updateAndGet(talk.memory, (before) => forget(before, tags, loaded))
  return tags.map((tag) => toModel(tag, memory.shown.get(tag.digest), memory.inForce.get(tag.digest)))
})

// Keeps what is known of models that still exist, and takes up the contexts that are in force now.
const forget = (before: Memory, tags: ReadonlyArray<Tag>, loaded: ReadonlyMap<string, number>): Memory => {
  const shown = new Map<string, Shown>()
  const inForce = new Map<string, number>()
  for (const { name, digest } of tags) {
    const told = before.shown.get(digest)
    if (told !== undefined) shown.set(digest, told)
    const context = loaded.get(name) ?? inForce.get(digest) ?? before.inForce.get(digest)
    if (context !== undefined) inForce.set(digest, context)
  }
  return { ...before, shown, inForce }
}

const conversations: Record<BackendType, (talk: Talk) => Effect.Effect<Models, Verdict>> = {
  ollama,
  llamacpp,
  lmstudio,
  exo,
  vllm: withHealth,
  openai: openaiLike,
  generic: openaiLike
}

// Questions beyond the first leave this share of the time for the end of the probe.
const reserve = 0.1

const probe = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number,
  memory: Ref.Ref<Memory>
) {
  const start = yield* awakeMs
  const began = performance.now()
  const connectMs = backend.limits.connectMs
  const first = { latencyMs: -1 }
  const left = Effect.map(awakeMs, (now) => Math.max(1, timeoutMs * (1 - reserve) - (now - start)))
  const { apiPath: known } = yield* Ref.get(memory)
  const at = known === undefined ? {} : { apiPath: known }
  const talk: Talk = {
    memory,
    backend,
    whileTimeIsLeft: (effect) => Effect.flatMap(left, (ms) => Effect.timeoutOption(effect, ms)),
    need: (path) =>
      Effect.suspend(() => {
        // Whoever answers a first light question in time has been reached in time.
        const reach = first.latencyMs < 0 && connectMs > 0 ? Math.min(connectMs, timeoutMs) : timeoutMs
        return need(transport, backend, { path, ...at, timeoutMs: reach, fresh: first.latencyMs < 0 })
      }).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            if (first.latencyMs < 0) first.latencyMs = performance.now() - began
          })
        )
      ),
    want: (path, body) => Effect.flatMap(left, (ms) => want(transport, backend, { path, ...at, body, timeoutMs: ms })),
    wantAt: (path, apiPath) => Effect.flatMap(left, (ms) => want(transport, backend, { path, apiPath, timeoutMs: ms }))
  }
  const { listed } = yield* Ref.get(memory)
  const told = yield* conversations[backend.type](talk).pipe(
    Effect.map((models) => models ?? "nothing"),
    Effect.catchIf(
      (verdict) => verdict === busy && listed,
      () => Effect.succeed("later" as const)
    )
  )
  if (told === "nothing" && backend.models.length === 0) {
    const down: ProbeOutcome = { _tag: "Down", reason: noList }
    return down
  }
  const models = typeof told === "string" ? undefined : told.map((model) => complete(model, backend.type))
  if (models !== undefined) yield* Ref.update(memory, (before) => ({ ...before, listed: true }))
  const { apiPath } = yield* Ref.get(memory)
  const outcome: ProbeOutcome = {
    _tag: "Up",
    models,
    latencyMs: first.latencyMs,
    ...(apiPath === undefined ? {} : { apiPath })
  }
  return outcome
})

/** Repetitions of one probe; a process that is held up all the time has to believe what it sees. */
const repetitions = 3

// A failure across a pause of this process is no word on the backend.
const again = Effect.fnUntraced(function* (once: Effect.Effect<ProbeOutcome>) {
  const { lostMs } = yield* Pauses
  for (let left = repetitions; ; left--) {
    const before = yield* lostMs
    const outcome = yield* once
    if (outcome._tag !== "Down" || left === 0 || (yield* lostMs) === before) return outcome
  }
})

/**
 * Makes the probe of one backend, which remembers between runs what it need not ask again. It takes no longer than
 * the `timeoutNow` of its start, in milliseconds, and every failure is an outcome.
 */
export const makeProbe = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutNow: () => number
): Effect.Effect<Effect.Effect<ProbeOutcome>> =>
  Effect.map(Ref.make(nothing), (memory) =>
    Effect.suspend(() => {
      if (backend.keyFault !== undefined) {
        return Effect.succeed<ProbeOutcome>({ _tag: "Refused", reason: backend.keyFault })
      }
      const timeoutMs = timeoutNow()
      return timeoutAwake(
        probe(transport, backend, timeoutMs, memory).pipe(
          Effect.catchTag("Verdict", ({ outcome }) => Effect.succeed(outcome))
        ),
        timeoutMs,
        () => Effect.succeed<ProbeOutcome>({ _tag: "Down", reason: `no answer within ${timeoutMs / 1000} s` })
      )
    }).pipe(
      again,
      // A server that went away may come back with other settings: what was in force before is no longer known.
      Effect.tap((outcome) =>
        outcome._tag === "Up" ? Effect.void : Ref.update(memory, (before) => ({ ...before, inForce: new Map() }))
      )
    )
  )
