/**
 * Models that are loaded at start, and again when they are found not to be.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { monotonicMs } from "../domain/monotonic.ts"
import { listedModel } from "../registry/candidates.ts"
import { Registry } from "../registry/Registry.ts"
import { type BackendState, inRotation } from "../registry/snapshot.ts"
import { Transport } from "../upstream/Transport.ts"
import { runAction } from "./run-action.ts"

/** Time between two looks, in milliseconds; a look asks nobody. */
const lookMs = 2000

/** A server that was asked for something within this time is not made to load something else, in milliseconds. */
const usedMs = 60_000

/** Time between two loads of a model: the first, twice as much after each that did not last, and the longest; in milliseconds. */
const backoff = { first: 60_000, most: 30 * 60_000 } as const

/** What has been loaded for so long has lasted, in milliseconds. */
const lastingMs = 10 * 60_000

/** What is remembered of a model that is to be kept warm; times in monotonic milliseconds. */
export interface Warmth {
  /** Loads in a row that failed or did not last. */
  readonly tries: number
  readonly triedAt: number
  /** Whether one has succeeded since the server came up, where the server does not tell what is loaded. */
  readonly loaded: boolean
}

/** Nothing has been done yet. */
export const neverLoaded: Warmth = { tries: 0, triedAt: -Infinity, loaded: false }

/** How a model stands that is to be kept warm. */
export type WarmState = "warm" | "away" | "unlisted" | "used" | "tried" | "cold"

/** Milliseconds from one load to the next. */
export const pauseAfter = (tries: number): number =>
  tries === 0 ? 0 : Math.min(backoff.most, backoff.first * 2 ** (tries - 1))

/** How a model stands at `now`; it is loaded when it is `cold`. */
export const warmStateOf = (
  state: BackendState,
  name: string,
  { loaded, tries, triedAt }: Warmth,
  now: number
): WarmState => {
  if (!inRotation(state)) return "away"
  const id = listedModel(state, name)
  const model = id === undefined ? undefined : state.models.get(id)
  if (model === undefined) return "unlisted"
  if (model.loaded ?? loaded) return "warm"
  const { aliveAt, askedAt, inFlight, siblings } = state.live
  const asked = Math.max(askedAt, aliveAt)
  if (inFlight + siblings.inFlight > 0 || (asked > 0 && now - asked < usedMs)) return "used"
  return now - triedAt < pauseAfter(tries) ? "tried" : "cold"
}

/** What is remembered when a model has been seen to stand so. */
export const remembered = (warmth: Warmth, standing: WarmState, now: number): Warmth => {
  if (standing === "away") return { ...warmth, loaded: false }
  return standing === "warm" && warmth.tries > 0 && now - warmth.triedAt >= lastingMs ? { ...warmth, tries: 0 } : warmth
}

const make = Effect.gen(function* () {
  const registry = yield* Registry
  const transport = yield* Transport
  const known = new Map<string, Warmth>()
  // One server loads one model at a time.
  const loading = new Set<string>()
  const said = new Set<string>()

  const load = (state: BackendState, name: string, key: string, before: Warmth, now: number) => {
    const { backend } = state
    const warmth = { tries: before.tries + 1, triedAt: now, loaded: false }
    loading.add(backend.name)
    known.set(key, warmth)
    const model = listedModel(state, name) ?? name
    return Effect.annotateLogs(Effect.logInfo("model to be kept warm is not loaded: loading it"), {
      backend: backend.name,
      model
    }).pipe(
      Effect.andThen(runAction(registry, transport, { action: "load", state, model, keep: true })),
      Effect.match({ onFailure: () => false, onSuccess: () => true }),
      Effect.map((done) => known.set(key, { ...warmth, loaded: done })),
      Effect.ensuring(Effect.sync(() => loading.delete(backend.name))),
      Effect.forkScoped
    )
  }

  const look = Effect.gen(function* () {
    const now = yield* monotonicMs
    const keys = new Set<string>()
    for (const state of registry.snapshot().backends.values()) {
      const { keepWarm = [], name: backend } = state.backend
      for (const name of keepWarm) {
        const key = `${name}@${backend}`
        keys.add(key)
        const warmth = known.get(key) ?? neverLoaded
        const standing = warmStateOf(state, name, warmth, now)
        known.set(key, remembered(warmth, standing, now))
        if (standing === "unlisted" && !said.has(key)) {
          said.add(key)
          yield* Effect.annotateLogs(Effect.logWarning("model to be kept warm is not there"), { backend, model: name })
        }
        if (standing === "cold" && !loading.has(backend)) yield* load(state, name, key, warmth, now)
      }
    }
    for (const key of known.keys()) if (!keys.has(key)) known.delete(key)
  })
  const any = registry.when(({ backends }) =>
    backends.values().some(({ backend: { keepWarm = [] } }) => keepWarm.length > 0)
  )
  yield* any.pipe(Effect.andThen(look), Effect.andThen(Effect.sleep(lookMs)), Effect.forever, Effect.forkScoped)
})

/** Keeps warm what the definitions of the backends say. */
export const layer: Layer.Layer<never, never, Registry | Transport> = Layer.effectDiscard(make)
