/**
 * What is known of all backends: an immutable snapshot, which whoever waits or follows is told of when it changes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Backend } from "../backend/backend.ts"
import type { Mode, ToldLoads } from "../domain/server.ts"
import type { ProbeOutcome, Thresholds } from "../domain/backend-health.ts"
import { forgetMemory, noteLoaded } from "./live-state.ts"
import { unusableIds } from "./model-index.ts"
import {
  adoptFindings,
  applyProbe,
  type ProbeChange,
  emptySnapshot,
  withBackend,
  reconcile,
  type Reconciled,
  withoutBackend,
  withHealth,
  withMode,
  withSlotsSeen,
  type SiblingFindings
} from "./snapshot-changes.ts"
import { noteTold } from "./live-state.ts"
import type { Snapshot } from "./snapshot.ts"

/** A backend is to be watched (new, redefined, or enabled again), or no longer. */
export type Membership =
  | { readonly _tag: "Put"; readonly backend: Backend }
  | { readonly _tag: "Removed"; readonly name: string }

/** A backend that is wanted though it is not there. */
export interface Wanted {
  readonly name: string
  readonly forced: boolean
}

const escaped = (text: string): string =>
  text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)

const newIn = (a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): number => {
  let count = 0
  for (const id of a.keys()) if (!b.has(id)) count += 1
  return count
}

/** The one line that is logged for a change of state; nothing when only a streak or a detail moved. */
const announce = ({ before, after }: ProbeChange): Effect.Effect<void> => {
  const about = { backend: after.backend.name }
  const { status, reason } = after.health
  if (status !== before.health.status) {
    const told = after.listed ? "" : "; it gives no list of models, those of the config are used"
    return status === "healthy"
      ? Effect.annotateLogs(Effect.logInfo(`backend became healthy${told}`), { ...about, models: after.models.size })
      : Effect.annotateLogs(Effect.logWarning(`backend became ${status}`), { ...about, reason: escaped(reason) })
  }
  if (status !== "healthy") return Effect.void
  const added = newIn(after.models, before.models)
  const removed = newIn(before.models, after.models)
  if (added === 0 && removed === 0) return Effect.void
  return Effect.annotateLogs(Effect.logInfo("model list changed"), {
    ...about,
    added,
    removed,
    models: after.models.size
  })
}

// Names that are shown, and letters of each.
const shownNames = { count: 5, length: 40 } as const

const tellUnusable = (backend: string, names: ReadonlyArray<string>): Effect.Effect<void> => {
  const shown = names
    .slice(0, shownNames.count)
    .map((name) => JSON.stringify(escaped(name.slice(0, shownNames.length))))
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : ""
  return Effect.annotateLogs(Effect.logWarning("model names left out: blank, too long, or with control characters"), {
    backend,
    names: shown.join(", ") + more
  })
}

/** The backends, their health and their models. */
export class Registry extends Context.Service<
  Registry,
  {
    /** The picture of this moment; a plain read for the request path. */
    readonly snapshot: () => Snapshot
    /** The picture of this moment, and each that takes its place. */
    readonly changes: Stream.Stream<Snapshot>
    /** Waits for a picture of which this holds. */
    readonly when: (holds: (snapshot: Snapshot) => boolean) => Effect.Effect<void>
    /** Adds a backend or replaces the definition of the one with its name. */
    readonly put: (backend: Backend) => Effect.Effect<void>
    /** Takes a backend out; nothing happens when there is none of that name. */
    readonly remove: (name: string) => Effect.Effect<void>
    /** Takes over the backends of a config in one step; `found` is what probes say of new ones. See {@link reconcile}. */
    readonly reconcile: (
      backends: ReadonlyArray<Backend>,
      found: ReadonlyMap<string, ProbeOutcome>
    ) => Effect.Effect<Reconciled>
    /** Sets the mode of a backend; nothing happens when there is none of that name. */
    readonly setMode: (name: string, mode: Mode) => Effect.Effect<void>
    /** Applies what a probe found, and logs a change of state. */
    readonly noteProbe: (name: string, outcome: ProbeOutcome) => Effect.Effect<void>
    /** Notes what a backend told of its work, `at` in monotonic milliseconds; nothing is logged. */
    readonly noteLoads: (name: string, loads: ToldLoads, at: number) => Effect.Effect<void>
    /** Takes over what another process of this gateway has found out about a backend; nothing is logged. */
    readonly adopt: (name: string, told: SiblingFindings) => Effect.Effect<void>
    /** Tells that traffic saw a reason to doubt this backend or its key, so that it is probed soon. */
    readonly suspect: (name: string) => void
    /** Waits for the next suspected backend; meant for one taker. */
    readonly nextSuspect: Effect.Effect<string>
    /** Tells that requests want this backend and it is not there; `forced` when an administrator does. */
    readonly want: (name: string, forced?: boolean) => void
    /** Waits for the next backend that is wanted; meant for one taker. */
    readonly nextWanted: Effect.Effect<Wanted>
    /** Notes that a backend has been woken, which is out of rotation until a probe succeeds. */
    readonly noteWaking: (name: string, reason: string) => Effect.Effect<void>
    /** Notes that one has stayed away that was woken. */
    readonly noteNotWoken: (name: string, reason: string) => Effect.Effect<void>
    /** All puts and removals from now on. */
    readonly follow: Effect.Effect<PubSub.Subscription<Membership>, never, Scope.Scope>
  }
>()("nexus/registry/Registry") {
  /** An empty one; `thresholds` are the probes in a row that it takes, at the moment, to change a status. */
  static readonly layer = (thresholds: () => Thresholds) =>
    Layer.effect(
      Registry,
      Effect.gen(function* () {
        const state = yield* SubscriptionRef.make(emptySnapshot)
        // A picture that is the same is news to nobody.
        const change = <A>(next: (snapshot: Snapshot) => readonly [A, Snapshot]): Effect.Effect<A> =>
          SubscriptionRef.modifySome(state, (before) => {
            const [answer, after] = next(before)
            return [answer, after === before ? Option.none() : Option.some(after)]
          })
        const changes = SubscriptionRef.changes(state)
        const news = yield* PubSub.unbounded<Membership>()
        const suspects = yield* Queue.unbounded<string>()
        const wanted = yield* Queue.unbounded<Wanted>()
        const wants = new Set<string>()
        // A name waits in the queue at most once, however many requests fail meanwhile.
        const waiting = new Set<string>()
        // What has been said of each backend's names, so that it is said once.
        const toldOf = new Map<string, string>()
        const noteNames = (name: string, outcome: ProbeOutcome): Effect.Effect<void> => {
          const names = outcome._tag === "Up" && outcome.models !== undefined ? unusableIds(outcome.models) : []
          const all = names.join("\n")
          if (all === (toldOf.get(name) ?? "")) return Effect.void
          toldOf.set(name, all)
          return names.length === 0 ? Effect.void : tellUnusable(name, names)
        }
        const isWatched = ({ name }: Backend): boolean =>
          SubscriptionRef.getUnsafe(state).backends.get(name)?.mode !== "disabled"
        return Registry.of({
          snapshot: () => SubscriptionRef.getUnsafe(state),
          changes,
          when: (holds) => changes.pipe(Stream.filter(holds), Stream.runHead, Effect.asVoid),
          put: (backend) =>
            Effect.andThen(
              change((snapshot) => [undefined, withBackend(snapshot, backend)]),
              Effect.suspend(() => (isWatched(backend) ? PubSub.publish(news, { _tag: "Put", backend }) : Effect.void))
            ),
          remove: (name) =>
            change((snapshot) => {
              const next = withoutBackend(snapshot, name)
              return [next !== snapshot, next]
            }).pipe(
              Effect.flatMap((removed) => (removed ? PubSub.publish(news, { _tag: "Removed", name }) : Effect.void)),
              Effect.asVoid
            ),
          reconcile: (backends, found) =>
            change((snapshot) => {
              const done = reconcile(snapshot, backends, found, thresholds())
              return [done, done.snapshot]
            }).pipe(
              Effect.tap(({ put, removed }) =>
                PubSub.publishAll(news, [
                  ...removed.map((name): Membership => ({ _tag: "Removed", name })),
                  ...put.filter(isWatched).map((backend): Membership => ({ _tag: "Put", backend }))
                ])
              )
            ),
          setMode: (name, mode) =>
            change((snapshot) => {
              const before = snapshot.backends.get(name)
              return [before, withMode(snapshot, name, mode)]
            }).pipe(
              Effect.flatMap((before) => {
                if (before === undefined || before.mode === mode) return Effect.void
                if (mode === "disabled") return PubSub.publish(news, { _tag: "Removed", name })
                if (before.mode === "disabled") return PubSub.publish(news, { _tag: "Put", backend: before.backend })
                return Effect.void
              }),
              Effect.asVoid
            ),
          noteProbe: (name, outcome) =>
            change((snapshot) => {
              const applied = applyProbe(snapshot, name, outcome, thresholds())
              return [applied, applied.snapshot]
            }).pipe(
              Effect.flatMap(({ snapshot, change }) => {
                const live = snapshot.backends.get(name)?.live
                if (live !== undefined) live.probedAt = performance.now()
                if (live !== undefined && outcome._tag === "Up") {
                  live.probeMs = outcome.latencyMs
                  if (outcome.loads !== undefined) noteTold(live, outcome.loads, live.probedAt)
                }
                const found = snapshot.backends.get(name)
                if (found !== undefined && outcome._tag === "Up") noteLoaded(found)
                if (live !== undefined && outcome._tag === "Down" && change !== undefined) forgetMemory(live)
                const told = change === undefined ? Effect.void : announce(change)
                return live === undefined ? told : Effect.andThen(told, noteNames(name, outcome))
              })
            ),
          noteLoads: (name, loads, at) =>
            change((snapshot) => {
              const live = snapshot.backends.get(name)?.live
              if (live !== undefined) noteTold(live, loads, at)
              return [undefined, withSlotsSeen(snapshot, name, loads)]
            }),
          adopt: (name, told) =>
            change((snapshot) => {
              const next = adoptFindings(snapshot, name, told)
              const after = next.backends.get(name)
              // What a look at the server has shown goes before what it was asked for from here.
              if (after !== undefined && after.models !== snapshot.backends.get(name)?.models)
                after.live.contexts.clear()
              return [undefined, next]
            }),
          suspect: (name) => {
            if (waiting.has(name) || !SubscriptionRef.getUnsafe(state).backends.has(name)) return
            waiting.add(name)
            Queue.offerUnsafe(suspects, name)
          },
          nextSuspect: Effect.map(Queue.take(suspects), (name) => {
            waiting.delete(name)
            return name
          }),
          want: (name, forced = false) => {
            if ((wants.has(name) && !forced) || !SubscriptionRef.getUnsafe(state).backends.has(name)) return
            wants.add(name)
            Queue.offerUnsafe(wanted, { name, forced })
          },
          nextWanted: Effect.map(Queue.take(wanted), (next) => {
            wants.delete(next.name)
            return next
          }),
          noteWaking: (name, reason) =>
            change((snapshot) => [undefined, withHealth(snapshot, name, { status: "waking", streak: 0, reason })]),
          noteNotWoken: (name, reason) =>
            change((snapshot) => {
              const before = snapshot.backends.get(name)
              // A probe that has found it after all goes before this.
              if (before?.health.status !== "waking") return [undefined, snapshot]
              const next = withHealth(snapshot, name, { status: "unhealthy", streak: 0, reason })
              const after = next.backends.get(name)
              return [after === undefined ? undefined : { before, after }, next]
            }).pipe(Effect.flatMap((change) => (change === undefined ? Effect.void : announce(change)))),
          follow: PubSub.subscribe(news)
        })
      })
    )
}
