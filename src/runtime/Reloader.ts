/**
 * Takes over a changed config while the gateway runs: read and checked whole, new backends looked at beforehand, and then
 * everything in one step. A config with mistakes changes nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { changedParts, difference, type Difference } from "../config/difference.ts"
import { ConfigInvalid, type ConfigOptions, NexusConfig, readConfig, readForReload } from "../config/NexusConfig.ts"
import type { ReadConfig } from "../config/read.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import type { Backend } from "../backend/backend.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import { firstLookMs } from "../health/identify.ts"
import { makeProbe } from "../health/probe.ts"
import type { ConfigStatus } from "../api/control-api.ts"
import { Registry } from "../registry/Registry.ts"
import { sameServer } from "../registry/snapshot-changes.ts"
import { Transport } from "../upstream/Transport.ts"

/** What the gateway was started with, and where to read it anew. */
export interface ConfigInUse {
  readonly read: ReadConfig
  readonly from: ConfigOptions
}

/** What a reload changed, or would change. */
export interface ReloadOutcome {
  readonly generation: number
  readonly changes: ReadonlyArray<Difference>
}

// Where replicas tell each other that somebody wants the config read anew.
const reloads = "reloads"

const looksAtATime = 16

interface State {
  readonly generation: number
  readonly loadedAt: number
  readonly read: ReadConfig
  readonly needsRestart: ReadonlyArray<string>
  readonly failure: { readonly at: number; readonly message: string } | undefined
  readonly refused: string | undefined
}

const restartsOf = (changes: ReadonlyArray<Difference>): ReadonlyArray<string> =>
  changes.filter(({ restart }) => restart).map(({ key }) => key)

/** Whether a file says nothing: blanks and comments alone. */
const isEmpty = (text: string): boolean => text.split("\n").every((line) => /^\s*(#|$)/.test(line))

const kept = (path: string, message: string, stamp?: string) =>
  new ConfigInvalid({ path, message: `${message}; the last config stays in force`, stamp })

/** The reloads of the config. */
export class Reloader extends Context.Service<
  Reloader,
  {
    readonly status: () => ConfigStatus
    /** An element now, and another one whenever {@link status} or {@link read} says something else. */
    readonly changes: Stream.Stream<unknown>
    /** The config in force. */
    readonly read: () => ReadConfig
    /** The stamps of the files that were refused last; undefined where none were. */
    readonly refused: () => string | undefined
    /** Reads the config anew and takes it over; `by` says in the log who wanted it. */
    readonly reload: (by: "signal" | "file" | "command" | "replica") => Effect.Effect<ReloadOutcome, ConfigInvalid>
    /** Reads the config, lets `write` change its file, and takes that over; no reload and no other change comes between. */
    readonly amend: <A, E>(write: (read: ReadConfig) => Effect.Effect<A, E>) => Effect.Effect<A, ConfigInvalid | E>
    /** The config as it is now, whether or not it is in force. */
    readonly next: Effect.Effect<ReadConfig, ConfigInvalid>
    /** What {@link reload} would change. */
    readonly compare: Effect.Effect<ReloadOutcome, ConfigInvalid>
    /** Every config that is taken over from now on. */
    readonly follow: Effect.Effect<PubSub.Subscription<ReadConfig>, never, Scope.Scope>
  }
>()("nexus/runtime/Reloader") {
  /** Over what the gateway was started with. */
  static readonly layer = (source: ConfigInUse) => Layer.effect(Reloader, makeReloader(source))
}

const makeReloader = Effect.fnUntraced(function* ({ read: started, from }: ConfigInUse) {
  const config = yield* NexusConfig
  const store = yield* Effect.serviceOption(SharedStore)
  const own = crypto.randomUUID()
  const registry = yield* Registry
  const transport = yield* Transport
  const news = yield* PubSub.unbounded<ReadConfig>()
  const lock = yield* Semaphore.make(1)
  const state = yield* SubscriptionRef.make<State>({
    generation: 1,
    loadedAt: yield* Clock.currentTimeMillis,
    read: started,
    needsRestart: [],
    failure: undefined,
    refused: undefined
  })
  const now = () => SubscriptionRef.getUnsafe(state)
  const update = (change: Partial<State>) => SubscriptionRef.update(state, (before) => ({ ...before, ...change }))

  // The file in force is read again, not looked for again: one that has vanished is no wish to go on without any.
  const readAgain = Effect.suspend(() =>
    readConfig({ ...from, path: Option.orElse(from.path, () => Option.fromUndefinedOr(now().read.file?.path)) })
  ).pipe(Effect.mapError((error) => (error.missing === true ? kept(error.path, error.message, error.stamp) : error)))

  // A file is often emptied by what is about to write it, or by a full disk.
  const isLost = ({ file, loaded }: ReadConfig): boolean =>
    file !== undefined && isEmpty(file.text) && loaded.backends.length === 0 && now().read.loaded.backends.length > 0

  const isNew = (backend: Backend): boolean => {
    const known = registry.snapshot().backends.get(backend.name)?.backend
    return known === undefined || !sameServer(known, backend)
  }

  // Backends of the file that were removed by command.
  const takenOut = ({ loaded }: ReadConfig): ReadonlyArray<Difference> => {
    const { backends } = registry.snapshot()
    const known = new Set(now().read.loaded.backends.map(({ name }) => name))
    return loaded.backends
      .filter(({ name }) => known.has(name) && !backends.has(name))
      .map(({ name, url }) => ({ key: `backends.${name}.url`, before: undefined, after: url, restart: false }))
  }

  const changesOf = (next: ReadConfig): ReadonlyArray<Difference> => [
    ...difference(now().read, next),
    ...takenOut(next)
  ]

  // So that a model of theirs can be asked for at once.
  const lookAt = (backends: ReadonlyArray<Backend>) =>
    Effect.forEach(
      backends,
      (backend) =>
        makeProbe(transport, backend, () =>
          Math.min(firstLookMs, config.current().settings.health_check.timeout_seconds * 1000)
        ).pipe(
          Effect.flatten,
          Effect.map((outcome): readonly [string, ProbeOutcome] => [backend.name, outcome])
        ),
      { concurrency: looksAtATime }
    ).pipe(Effect.map((found): ReadonlyMap<string, ProbeOutcome> => new Map(found)))

  const refuse = (error: ConfigInvalid) =>
    Effect.gen(function* () {
      const { message, stamp } = error
      yield* update({ failure: { at: yield* Clock.currentTimeMillis, message }, refused: stamp })
      yield* Effect.annotateLogs(Effect.logWarning("config not taken over, the last one stays in force"), {
        reason: message
      })
      return yield* error
    })

  const take = Effect.fnUntraced(function* (next: ReadConfig, changes: ReadonlyArray<Difference>, by: string) {
    const before = config.current()
    const loaded = yield* readForReload(started.loaded, next, from.overrides).pipe(
      Effect.catch(({ message, path }) => refuse(new ConfigInvalid({ path, message, stamp: next.stamp })))
    )
    const found = yield* lookAt(loaded.backends.filter(isNew))
    const needsRestart = restartsOf(difference(started, next))
    const generation = now().generation + 1
    const loadedAt = yield* Clock.currentTimeMillis
    // Nothing comes between these, not even the end of whoever asked: no request sees one without the other.
    yield* Effect.uninterruptible(
      Effect.suspend(() => {
        config.replace(loaded)
        return registry.reconcile(loaded.backends, found)
      }).pipe(
        Effect.andThen(update({ generation, loadedAt, read: next, needsRestart, failure: undefined })),
        Effect.andThen(PubSub.publish(news, next))
      )
    )
    if (!Equal.equals(before.settings.health_check, loaded.settings.health_check)) {
      for (const { name } of loaded.backends) registry.suspect(name)
    }
    const about = { by, generation, changes: changedParts(changes) }
    yield* Effect.annotateLogs(Effect.logInfo("config taken over"), about)
    if (needsRestart.length > 0) {
      yield* Effect.annotateLogs(Effect.logWarning("some settings take effect at the next start alone"), {
        keys: needsRestart.join(", ")
      })
    }
    for (const warning of loaded.warnings) yield* Effect.logWarning(warning)
    return { generation, changes }
  })

  const readAndTake = (by: string): Effect.Effect<ReloadOutcome, ConfigInvalid> =>
    readAgain.pipe(
      Effect.filterOrFail(
        (next) => by !== "file" || !isLost(next),
        ({ file }) => kept(file?.path ?? "", `${file?.path ?? ""}: is empty`)
      ),
      Effect.catch(refuse),
      // A large config takes its time: what else is under way gets a turn in between.
      Effect.tap(Effect.yieldNow),
      Effect.flatMap((next) => {
        const isSame = difference(now().read, next).length === 0
        // A file that says what it said before undoes no command by itself.
        const changes = isSame && by === "file" ? [] : changesOf(next)
        if (changes.length > 0) return take(next, changes, by)
        const same = Effect.as(update({ read: next, failure: undefined }), { generation: now().generation, changes })
        // Who sends a signal is told nothing but by the log.
        return by === "signal" ? Effect.tap(same, Effect.logInfo("config read anew, nothing has changed")) : same
      })
    )

  // Each reads its own file anew when one is told to by a person: they are the same where they are mounted from one place.
  const announce = Option.match(store, {
    onNone: () => Effect.void,
    onSome: ({ publish }) => Effect.ignore(publish(reloads, own))
  })
  if (Option.isSome(store)) {
    yield* store.value.messages(reloads).pipe(
      Stream.filter((from) => from !== undefined && from !== own),
      Stream.runForEach(() => Effect.ignore(lock.withPermits(1)(readAndTake("replica")))),
      Effect.forkScoped
    )
  }

  return Reloader.of({
    read: () => now().read,
    refused: () => now().refused,
    changes: SubscriptionRef.changes(state),
    status: () => {
      const { generation, loadedAt, read, needsRestart, failure } = now()
      return {
        generation,
        loaded_at: loadedAt,
        path: read.file?.path ?? null,
        needs_restart: needsRestart,
        failure: failure ?? null
      }
    },
    reload: (by) =>
      lock
        .withPermits(1)(readAndTake(by))
        .pipe(by === "command" ? Effect.tap(announce) : identity),
    amend: (write) =>
      lock.withPermits(1)(
        readAgain.pipe(
          Effect.flatMap(write),
          Effect.tap(() => readAndTake("command"))
        )
      ),
    next: readAgain,
    compare: Effect.map(readAgain, (next) => ({
      generation: now().generation,
      changes: changesOf(next)
    })),
    follow: PubSub.subscribe(news)
  })
})
