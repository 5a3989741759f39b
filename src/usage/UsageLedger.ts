/**
 * The ledger of what requests took. Who ends a request puts it into a queue in memory, which a fiber writes to the file a few
 * times a second; a file that cannot be written, for want of room or for anything else, holds up no request.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RequestLog } from "../telemetry/logging.ts"
import { hourMs, PackedRecords } from "./packed-records.ts"
import type { UsageRecord } from "./usage-record.ts"
import type { BudgetNews, ReportQuery, Spending, UsageStore } from "./usage-store.ts"
import type { UsageSums } from "./usage-sums.ts"

/** What the config says of the ledger; times in milliseconds. */
export interface LedgerSettings {
  /** The file. */
  readonly path: string
  /** How long records are kept, and sums. */
  readonly recordsMs: number
  readonly sumsMs: number
  /** Whether this process deletes what is too old: one of several does. */
  readonly prunes: boolean
}

/** How the ledger stands. */
export interface LedgerStanding {
  /** Records that wait to be written. */
  readonly waiting: number
  /** Those that were given up since too many waited. */
  readonly dropped: number
  /** Those that were written. */
  readonly written: number
  /** Why the last write failed; undefined when it did not. */
  readonly failure: string | undefined
}

/** The ledger cannot be read now. */
export class UsageUnreadable extends Data.TaggedError("UsageUnreadable")<{ readonly reason: string }> {}

// How long a record waits to be written with others, in milliseconds: SQLite begins with empty caches each time.
const flushMs = 400

// Until a file that failed is tried again.
const retryMs = 1000

/** Records that wait at most; beyond that the oldest are given up. */
const mostWaiting = 50_000

const pruneMs = 60_000

// Batches that are deleted in one turn, and how long until the next one.
const pruneBatches = 20
const pruneTurnMs = 100

/** Where requests are written down that have ended. */
export class UsageLedger extends Context.Service<
  UsageLedger,
  {
    /** Whether there is one. */
    readonly isOn: boolean
    /** Takes a request down: plain, and done at once; gives how many records were given up for it. */
    readonly record: (record: UsageRecord) => number
    readonly report: (query: ReportQuery) => Effect.Effect<UsageSums, UsageUnreadable>
    /** What was spent since a moment, hour by hour, all that has ended included; throws when it cannot be read. */
    readonly spending: (from: number) => ReadonlyArray<Spending>
    readonly standing: () => LedgerStanding
    /** What no other ledger is called; undefined where it has no name since it cannot be opened. */
    readonly identity: () => string | undefined
    /** Whether nobody who shares the file has told of this before, ever; undefined where that cannot be known. */
    readonly isNews: (news: BudgetNews) => boolean | undefined
  }
>()("nexus/usage/UsageLedger") {
  /** None. */
  static readonly none = Layer.succeed(UsageLedger, {
    isOn: false,
    record: () => 0,
    report: () =>
      Effect.fail(new UsageUnreadable({ reason: "no usage is written down here: set usage.enabled = true" })),
    spending: () => [],
    standing: () => ({ waiting: 0, dropped: 0, written: 0, failure: undefined }),
    identity: () => undefined,
    isNews: () => undefined
  })

  /** In a file. */
  static readonly layer = (settings: LedgerSettings) => Layer.effect(UsageLedger, makeLedger(settings))
}

const tried = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error))

// Somebody else writes: that is over in a moment.
const isBusy = (error: unknown): boolean =>
  error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY")

const makeLedger = Effect.fnUntraced(function* ({ path, prunes, recordsMs, sumsMs }: LedgerSettings) {
  const { openDatabase } = yield* Effect.promise(() => import("../store/Database.ts"))
  const { UsageStore, usageMigrations } = yield* Effect.promise(() => import("./usage-store.ts"))
  const clock = yield* Clock.Clock
  const log = yield* RequestLog
  const queue = new PackedRecords()
  let dropped = 0
  let written = 0
  let failure: string | undefined
  let wake: (() => void) | undefined
  let store: UsageStore | undefined
  let close = (): void => undefined

  const opened = (): UsageStore => {
    if (store !== undefined) return store
    const database = openDatabase(path, usageMigrations)
    close = () => database.close()
    store = new UsageStore(database)
    return store
  }

  const record = (taken: UsageRecord): number => {
    let lost = 0
    if (queue.size >= mostWaiting) {
      // Many at once, so that it is not done again for the next one.
      lost = queue.drop()
      dropped += lost
    }
    taken.at = clock.currentTimeMillisUnsafe()
    queue.push(taken)
    const begin = wake
    wake = undefined
    begin?.()
    return lost
  }

  const failed = (error: unknown): void => {
    if (isBusy(error)) return
    const reason = words(error)
    if (failure === undefined) log.write("error", "usage cannot be written; it is kept in memory", { path, reason })
    failure = reason
  }

  const succeeded = (): void => {
    if (failure !== undefined) log.write("info", "usage is written again", { path, dropped })
    failure = undefined
  }

  /** Writes some of what waits; whether it could. */
  const flush = (): boolean => {
    const [batch] = queue.batches
    if (batch === undefined) return true
    try {
      opened().add(batch)
    } catch (error) {
      failed(error)
      return false
    }
    succeeded()
    written += queue.drop()
    return true
  }

  const someWaits = Effect.callback<void>((resume) => {
    if (queue.size > 0) return resume(Effect.void)
    wake = () => resume(Effect.void)
    return Effect.sync(() => {
      wake = undefined
    })
  })

  const writing = Effect.gen(function* () {
    yield* someWaits
    yield* Effect.sleep(failure === undefined ? flushMs : retryMs)
    while (queue.size > 0 && flush()) yield* Effect.yieldNow
  })

  // What is wrong with the file is said at the start, not when the first request has ended.
  const opening = Effect.sync(() => {
    try {
      opened()
    } catch (error) {
      failed(error)
    }
  })

  const prune = (): boolean => {
    const now = clock.currentTimeMillisUnsafe()
    try {
      const deleted = opened().prune(now - recordsMs, pruneBatches)
      if (deleted === 0) opened().pruneHours(now - sumsMs)
      return deleted > 0
    } catch (error) {
      failed(error)
      return false
    }
  }

  const pruning = Effect.gen(function* () {
    yield* Effect.sleep(pruneMs)
    while (prune()) yield* Effect.sleep(pruneTurnMs)
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      while (queue.size > 0 && flush());
      if (queue.size > 0) log.write("error", "usage is lost", { path, records: queue.size })
      close()
    })
  )
  yield* Effect.forkScoped(Effect.andThen(opening, Effect.forever(writing)))
  if (prunes) yield* Effect.forkScoped(Effect.forever(pruning))
  return UsageLedger.of({
    isOn: true,
    record,
    report: (query) =>
      Effect.suspend(() => {
        // What has just ended is a part of it.
        while (queue.size > 0 && flush());
        return Effect.try({
          try: () => opened().report(query),
          catch: (error) => new UsageUnreadable({ reason: words(error) })
        })
      }),
    spending: (from) => {
      while (queue.size > 0 && flush());
      const earliest = Math.floor(from / hourMs) * hourMs
      const unwritten = queue.batches.flatMap(({ kinds }) =>
        kinds.flatMap(({ from: at, nanos, series: { key, model, owner, shadow } }) =>
          shadow || at < earliest ? [] : [{ key, owner, model, at, nanos }]
        )
      )
      return [...opened().spending(from), ...unwritten]
    },
    standing: () => ({ waiting: queue.size, dropped, written, failure }),
    identity: () => tried(() => opened().identity),
    isNews: (news) => tried(() => opened().isNews(news))
  })
})
