/**
 * The record of one proxied request: what is known of it, from phase to phase. Everybody may read it at any time; it is
 * written by its own methods alone, and each field by one of them.
 */
import type { AttemptFailure } from "../domain/errors.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { Grant } from "../domain/grant.ts"
import { type HookNote, withHookCall } from "../domain/hook-rules.ts"
import type { Outcome, Phase, RoutingNeeds } from "../domain/request.ts"
import type { LimitsLeft } from "../domain/rate-limits.ts"
import type { SetMember } from "../domain/intrusive-set.ts"
import type { CutPrompt } from "../router/cut-prompt.ts"
import type { Plan } from "../router/plan.ts"
import type { LiveFigures } from "../router/live-figures.ts"
import type { HedgeOutcome, Meter, Usage } from "../telemetry/meter.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import type { QueuePlace } from "./slot-queue.ts"
import type { RequestTrace, TracedAttempt } from "./request-trace.ts"
import { type LostCall, lostCall, type PlacedCall } from "./time-line.ts"

/** How a request has ended. */
export interface RequestEnd {
  readonly outcome: Outcome
  /** The status that the client got, or would have got. */
  readonly status: number
  /** Who answered, or failed last; empty when nobody was asked. */
  readonly backend: string
  /** Bytes of the answer. */
  readonly bytes: number
  /** What the backend has read of a prompt that it has cut. */
  readonly cutPrompt: CutPrompt | undefined
  /** Why the gateway itself has refused it: nothing that its client has written. */
  readonly refusal?: string
}

/** The status that is noted of a request whose client has gone. */
export const clientClosedStatus = 499

/** An attempt at a backend; `model` is the name that it is asked for. */
export interface Asked extends PlacedCall {
  /** Where it is counted. */
  readonly meter: Meter
  /** How long the model was expected to take to be loaded first, in milliseconds; absent where it was in memory. */
  readonly loadMs?: number | undefined
  /** Its place in the trace; undefined where traces are not wanted. */
  readonly trace?: TracedAttempt | undefined
}

/** A second backend that was asked beside the first one, whose first token was late. */
export interface Hedge {
  readonly backend: string
  readonly model: string
  /** How long the first one had been waited for, in milliseconds. */
  readonly after_ms: number
  /** Undefined while both are waited for. */
  readonly outcome: Exclude<HedgeOutcome, "refused"> | undefined
}

/** An answer that has been committed to. */
export interface Committed {
  /** When its first bytes had come. */
  readonly at: number
  readonly status: number
  /** The model that it is by, when that is neither the one asked for nor any that the backend lists. */
  readonly answeredModel: string | undefined
}

/**
 * How much of an answer has passed: its bytes, the pieces that were progress, and the tokens that a stream has written, as they
 * are estimated; undefined of what is no stream.
 */
export interface AnswerProgress {
  readonly bytes: number
  readonly pieces: number
  readonly written: number | undefined
}

const nothing: AnswerProgress = { bytes: 0, pieces: 0, written: undefined }

const noHooks: ReadonlyArray<HookNote> = []

/** That a request is asked in another dialect than its client's. */
export interface Translated {
  /** From which to which. */
  readonly label: string
  /** What of it could not be said. */
  readonly dropped: ReadonlyArray<string>
}

/** One request on its way; times are monotonic milliseconds. */
export interface RequestRecord {
  readonly id: string
  /** What is asked, in which dialect. */
  readonly route: DialectRoute
  /** The name of that. */
  readonly endpoint: string
  readonly request: Request
  /** What the key lets do that it came with; undefined where none is needed. */
  readonly grant: Grant | undefined
  /** The name of that key. */
  readonly key: string | undefined
  readonly started: number
  readonly clock: RequestClock
  readonly phase: Phase
  /** When that began. */
  readonly since: number
  /** What routing must know of it; undefined while it is read. */
  readonly needs: RoutingNeeds | undefined
  readonly model: string
  readonly stream: boolean
  /** What was decided, and the figures it was decided by; undefined before. */
  readonly decided: Plan | undefined
  readonly seen: LiveFigures | undefined
  /** Where it stands among those that wait for a slot; undefined where it does not. */
  readonly queued: QueuePlace | undefined
  /** Calls so far, those that were sent again on a new connection included. */
  readonly attempts: number
  /** The attempt under way, or the last one. */
  readonly asked: Asked | undefined
  readonly failures: ReadonlyArray<AttemptFailure>
  /** The one beside the first. */
  readonly hedge: Hedge | undefined
  /** What was left of its limits when it was let in; undefined where it is under none. */
  readonly left: LimitsLeft | undefined
  /** How the last attempt was asked; undefined in the words of its client. */
  readonly translated: Translated | undefined
  /** What others took of its time before the answer began: the client to send it, backends to answer. */
  readonly awaitedMs: number
  readonly committed: Committed | undefined
  readonly passed: AnswerProgress
  /** The trace that it belongs to; undefined where traces are not wanted. */
  readonly trace: RequestTrace | undefined
  /** How long it has waited for slots, in milliseconds. */
  readonly queuedMs: number
  /** When it began to wait for one and when that was over, one after the other. */
  readonly waited: ReadonlyArray<number>
  /** The calls that did not give the answer. */
  readonly lost: ReadonlyArray<LostCall>
  /** What its answer has taken, as the backend tells it. */
  readonly usage: Usage | undefined
  /** The tokens of the prompt, as far as the backend told of them when its answer began. */
  readonly begunUsage: Usage | undefined
  /** What its client is told of budgets; undefined where nothing is. */
  readonly budget: string | undefined
  /** What hooks have made of it. */
  readonly hooks: ReadonlyArray<HookNote>
  /** Whether its answer was kept from before; undefined where none is kept. */
  readonly cache: "hit" | "miss" | undefined
  readonly end: RequestEnd | undefined

  /** What it asks for has been read. */
  readonly routes: (needs: RoutingNeeds, now: number) => void
  /** Who could answer has been decided. */
  readonly decides: (plan: Plan, seen: LiveFigures) => void
  /** It waits for a slot; `place` tells where it stands. */
  readonly waits: (now: number, place: () => QueuePlace | undefined) => void
  /** A backend is called. */
  readonly asks: (asked: Asked, now: number) => void
  /** Another backend is called beside it. */
  readonly hedges: (hedge: Hedge) => void
  /** What has come of that. */
  readonly hedged: (outcome: Hedge["outcome"]) => void
  /** The other one is waited for, or answers. */
  readonly follows: (asked: Asked) => void
  /** The same backend is called again, on another connection. */
  readonly repeats: (asked: Asked) => void
  readonly fails: (failure: AttemptFailure) => void
  /** A call has failed, for a reason, or another one was faster. */
  readonly loses: (asked: Asked, now: number, reason?: string) => void
  /** Its limits let it in. */
  readonly limits: (left: LimitsLeft) => void
  /** It is asked in another dialect, or in the words of its client. */
  readonly translates: (translated: Translated | undefined) => void
  /** Others took so much of its time, in milliseconds. */
  readonly awaits: (ms: number) => void
  /** An answer is sent on from now on; `passed` shows how far it is. */
  readonly commits: (committed: Committed, passed: AnswerProgress | undefined) => void
  /** The backend has told what the answer has taken. */
  readonly uses: (usage: Usage) => void
  /** It has told what the prompt has taken, and nothing of the answer. */
  readonly begins: (usage: Usage) => void
  /** What its client is told of budgets. */
  readonly spends: (note: string) => void
  /** A hook has been asked of it. */
  readonly hooked: (call: Omit<HookNote, "calls">) => void
  /** Its answer was looked for among those that are kept. */
  readonly caches: (found: "hit" | "miss") => void
  /** It has ended; what is told later changes nothing. */
  readonly ends: (end: RequestEnd, now: number) => void
}

// Most wait for nothing and lose nothing: nothing is made for them.
const none: Array<never> = []

class Recorded implements RequestRecord {
  readonly id: string
  readonly route: DialectRoute
  readonly request: Request
  readonly grant: Grant | undefined
  readonly started: number
  readonly clock: RequestClock
  phase: Phase = "reading"
  since: number
  needs: RoutingNeeds | undefined
  decided: Plan | undefined
  seen: LiveFigures | undefined
  attempts = 0
  asked: Asked | undefined
  readonly failures: Array<AttemptFailure> = []
  hedge: Hedge | undefined
  left: LimitsLeft | undefined
  translated: Translated | undefined
  awaitedMs = 0
  committed: Committed | undefined
  passed: AnswerProgress = nothing
  readonly trace: RequestTrace | undefined
  queuedMs = 0
  waited: Array<number> = none
  lost: Array<LostCall> = none
  usage: Usage | undefined
  begunUsage: Usage | undefined
  budget: string | undefined
  hooks = noHooks
  cache: "hit" | "miss" | undefined
  end: RequestEnd | undefined
  private place: (() => QueuePlace | undefined) | undefined

  constructor(
    id: string,
    route: DialectRoute,
    request: Request,
    started: number,
    clock: RequestClock,
    grant: Grant | undefined,
    trace: RequestTrace | undefined
  ) {
    this.trace = trace
    this.id = id
    this.route = route
    this.request = request
    this.grant = grant
    this.started = started
    this.clock = clock
    this.since = started
  }

  get key(): string | undefined {
    return this.grant?.name
  }

  get endpoint(): string {
    return this.route.operation.name
  }

  get model(): string {
    return this.needs?.model ?? ""
  }

  get stream(): boolean {
    return this.needs?.stream ?? false
  }

  routes(needs: RoutingNeeds, now: number): void {
    this.needs = needs
    this.enter("routing", now)
  }

  decides(plan: Plan, seen: LiveFigures): void {
    this.decided = plan
    this.seen = seen
  }

  waits(now: number, place: () => QueuePlace | undefined): void {
    this.place = place
    this.enter("queued", now)
  }

  get queued(): QueuePlace | undefined {
    return this.phase === "queued" ? this.place?.() : undefined
  }

  asks(asked: Asked, now: number): void {
    this.asked = asked
    // What it waited with is not to be held for as long as the answer goes on.
    this.place = undefined
    this.attempts += 1
    this.enter("attempting", now)
  }

  hedges(hedge: Hedge): void {
    this.hedge = hedge
    this.attempts += 1
  }

  hedged(outcome: Hedge["outcome"]): void {
    if (this.hedge !== undefined) this.hedge = { ...this.hedge, outcome }
  }

  follows(asked: Asked): void {
    this.asked = asked
  }

  repeats(asked: Asked): void {
    this.attempts += 1
    if (this.asked?.meter === asked.meter) this.asked = asked
  }

  fails(failure: AttemptFailure): void {
    this.failures.push(failure)
  }

  loses(asked: Asked, now: number, reason?: string): void {
    if (this.lost === none) this.lost = []
    this.lost.push(lostCall(asked, now, reason))
  }

  limits(left: LimitsLeft): void {
    this.left = left
  }

  translates(translated: Translated | undefined): void {
    this.translated = translated
  }

  awaits(ms: number): void {
    this.awaitedMs += ms
  }

  commits(committed: Committed, passed: AnswerProgress = nothing): void {
    this.committed = committed
    const traced = this.asked?.trace
    if (traced !== undefined) traced.answeredAt = committed.at
    this.passed = passed
    this.enter("committed", committed.at)
  }

  uses(usage: Usage): void {
    this.usage = usage
  }

  begins(usage: Usage): void {
    this.begunUsage = usage
  }

  spends(note: string): void {
    this.budget = note
  }

  hooked(call: Omit<HookNote, "calls">): void {
    this.hooks = withHookCall(this.hooks, call)
  }

  caches(found: "hit" | "miss"): void {
    this.cache = found
  }

  ends(end: RequestEnd, now: number): void {
    if (this.end !== undefined) return
    this.end = end
    this.enter("ended", now)
  }

  private enter(phase: Phase, now: number): void {
    if (this.phase === "queued") {
      this.queuedMs += now - this.since
      if (this.waited === none) this.waited = []
      this.waited.push(this.since, now)
    }
    this.phase = phase
    this.since = now
  }
}

/** A request that has just arrived. */
export const newRecord = (
  id: string,
  route: DialectRoute,
  request: Request,
  started: number,
  clock: RequestClock,
  grant: Grant | undefined,
  trace?: RequestTrace | undefined
): RequestRecord => new Recorded(id, route, request, started, clock, grant, trace)

/** Why a request is interrupted: its client has gone, the gateway stops, or an administrator wants it ended. */
export type Interruption = "client" | "stopping" | "cancelled"

/** A request under way, and the one way to end it from outside. */
export interface UnderWay extends SetMember {
  readonly record: RequestRecord
  /** The address it comes from; undefined when its connection has gone. */
  readonly peer: () => string | undefined
  /** Ends it; the first reason counts. */
  readonly interrupt: (why: Interruption) => void
}
