/**
 * A request whose first token is late, asked of a second backend beside the first: who speaks first is kept, the other is
 * closed at once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { GatewayError } from "../domain/errors.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { Attempt } from "../router/choice.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { Deadlines } from "../upstream/Deadlines.ts"
import { RequestClock } from "../upstream/Upstream.ts"
import type { HedgeOutcome } from "../telemetry/meter.ts"
import type { Accounting } from "./Accounting.ts"
import { type Asking, type AskingEnds, dropAnswer } from "./asking.ts"
import type { RequestRecord } from "./record.ts"

/** How a race ends: one of them speaks, or the last one has failed, or cannot be told what is asked. */
export type RaceEnd =
  | { readonly _tag: "Spoke"; readonly asking: Asking; readonly answer: CommittedAnswer }
  | { readonly _tag: "Failed"; readonly asking: Asking; readonly error: UpstreamError }
  | { readonly _tag: "Untold"; readonly attempt: Attempt; readonly why: GatewayError }

/** What a race is run for. */
export interface Racer {
  readonly record: RequestRecord
  readonly accounting: Accounting["Service"]
  readonly deadlines: Deadlines["Service"]
  /** No first token is late before, in milliseconds. */
  readonly leastMs: number
  /** When the first token of an attempt is late, in milliseconds from its beginning; undefined where nobody knows. */
  readonly lateMs: (asking: Asking) => number | undefined
  /** Who is asked beside it, where so many more may be; undefined where nobody can be now. */
  readonly spare: (attempt: Attempt, left: number) => Attempt | undefined
  /** Asks a backend: with a clock of its own beside another. */
  readonly ask: <A, E>(
    attempt: Attempt,
    beside: RequestClock | undefined,
    ends: AskingEnds<A, E>
  ) => Effect.Effect<A, E>
  /** Takes down a failure after which another one is still waited for. */
  readonly notes: (asking: Asking, error: UpstreamError) => void
  /** Takes down how long one took to speak, or was waited for in vain. */
  readonly took: (attempt: Attempt, ms: number) => void
}

// The last one that may be asked is kept for who waits so many times as long as the first token may take.
const patience = 1.5

// While too little is known to tell what is late, it is looked at again after so long at least, in milliseconds.
const unknownMs = 25

// Where nobody could be asked beside a late one it is tried again after so much of the time that it has been waited for.
const againAfter = { share: 0.25, leastMs: 10 } as const

/** One race. */
export class Race {
  private readonly racer: Racer
  private readonly attempt: Attempt
  private first: Asking | undefined
  private second: Asking | undefined
  private beside: RequestClock | undefined
  private isDecided = false
  private wasLate = false
  private wasRefused = false

  constructor(racer: Racer, attempt: Attempt) {
    this.racer = racer
    this.attempt = attempt
  }

  /** Runs it to its end; who has lost is closed by then. */
  get end(): Effect.Effect<RaceEnd> {
    return Effect.onExit(Effect.raceFirst(this.firstRuns, this.secondRuns), (exit) =>
      Effect.sync(() => this.settle(Exit.isSuccess(exit) ? exit.value : undefined))
    )
  }

  private get firstRuns(): Effect.Effect<RaceEnd> {
    return this.racer.ask(this.attempt, undefined, {
      begun: (asking) => {
        this.first = asking
      },
      answered: this.spoke,
      failed: (asking, error) => {
        if (!this.isSecondWaitedFor) return Effect.succeed({ _tag: "Failed", asking, error })
        this.racer.notes(asking, error)
        return this.leaves(asking)
      },
      untold: (attempt, why) =>
        this.first !== undefined && this.isSecondWaitedFor
          ? this.leaves(this.first)
          : Effect.succeed({ _tag: "Untold", attempt, why })
    })
  }

  private get isSecondWaitedFor(): boolean {
    return this.second?.isOver === false
  }

  // The first one has failed, and the second one decides.
  private leaves(first: Asking): Effect.Effect<never> {
    this.second?.follows(first)
    return Effect.never
  }

  private get secondRuns(): Effect.Effect<RaceEnd> {
    const { leastMs } = this.racer
    return Effect.flatMap(Effect.sleep(leastMs), () => this.waits(leastMs))
  }

  private waits(waitedMs: number): Effect.Effect<RaceEnd> {
    const lateMs = this.first === undefined ? undefined : this.racer.lateMs(this.first)
    if (lateMs !== undefined && lateMs <= waitedMs) return this.begins(lateMs, waitedMs)
    const moreMs = lateMs === undefined ? Math.max(unknownMs, waitedMs / 2) : lateMs - waitedMs
    return Effect.flatMap(Effect.sleep(moreMs), () => this.waits(waitedMs + moreMs))
  }

  private begins(lateMs: number, waitedMs: number): Effect.Effect<RaceEnd> {
    const { deadlines, record } = this.racer
    this.wasLate = true
    const spare = this.racer.spare(this.attempt, waitedMs < patience * lateMs ? 2 : 1)
    if (spare === undefined) {
      this.wasRefused = waitedMs >= patience * lateMs
      const againMs = Math.max(againAfter.leastMs, againAfter.share * lateMs)
      return Effect.flatMap(Effect.sleep(againMs), () => this.begins(lateMs, waitedMs + againMs))
    }
    const beside = new RequestClock(record.started, 0)
    this.beside = beside
    deadlines.add(beside)
    return this.racer.ask(spare, beside, {
      begun: (asking) => {
        const { first, second } = this
        const { backend, model } = asking.asked
        this.second = asking
        const after_ms = Math.round(asking.ticket.started - (first?.ticket.started ?? 0))
        record.hedges(record.hedge ?? { backend, model, after_ms, outcome: undefined })
        if (second?.leads === true) asking.follows(second)
      },
      answered: this.spoke,
      failed: (asking, error) => {
        if (this.first?.isOver === true) return Effect.succeed({ _tag: "Failed", asking, error })
        this.racer.notes(asking, error)
        return Effect.never
      },
      untold: () => Effect.never
    })
  }

  private readonly spoke = (asking: Asking, answer: CommittedAnswer): Effect.Effect<RaceEnd> => {
    if (this.isDecided) {
      dropAnswer(answer)
      return Effect.never
    }
    this.isDecided = true
    return Effect.succeed({ _tag: "Spoke", asking, answer })
  }

  // `end` is absent where nobody waits for it any more.
  private settle(end: RaceEnd | undefined): void {
    const { accounting, deadlines, record, took } = this.racer
    const { beside, first, second } = this
    const now = performance.now()
    if (beside !== undefined) deadlines.remove(beside)
    if (first === undefined) return
    if (this.wasLate) first.ticket.late(now)
    if (end?._tag === "Spoke") took(end.asking.attempt, now - end.asking.ticket.started)
    if (second === undefined) {
      if (this.wasRefused) accounting.hedged(first.asked, "refused")
      return
    }
    const outcome = outcomeOf(end, second)
    record.hedged(outcome)
    accounting.hedged(first.asked, outcome)
    if (outcome === "won" && !first.isOver) {
      took(first.attempt, now - first.ticket.started)
      second.follows(first)
      first.loses(now)
    } else if (!second.isOver && !second.leads) second.loses(now)
  }
}

const outcomeOf = (end: RaceEnd | undefined, second: Asking): Exclude<HedgeOutcome, "refused"> => {
  if (end === undefined) return "abandoned"
  if (end._tag !== "Spoke") return "failed"
  return end.asking === second ? "won" : "lost"
}
