/**
 * Where requests wait for a slot: who goes next is the schedule's to say, where to is the plan's.
 */
import {
  type HeardQueue,
  partFor,
  QueuesElsewhere,
  ServedLately,
  type ToldQueue,
  toldWaiting
} from "../admission/queues-elsewhere.ts"
import { rankOf, Schedule, type Turn, type Waiter } from "../admission/schedule.ts"
import { Overloaded } from "../domain/errors.ts"
import type { PriorityClass } from "../domain/request.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import type { Standing } from "../fleet/standing.ts"
import { type SiblingOf, standingOf } from "../registry/live-state.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import type { Attempt } from "../router/choice.ts"
import { capacityOf, placesAt } from "../router/expected-end.ts"
import type { Plan } from "../router/plan.ts"
import type { QueueCounts } from "../telemetry/queue-counts.ts"
import type { Deadline, Deadlines } from "../upstream/Deadlines.ts"
import { cachedFor, capacityFor, placesInUse, serviceCost, waitedModel } from "./queue-costs.ts"
import { SparedSlots } from "./spared-slots.ts"

/** What bounds the waiting; 0 milliseconds is no limit. */
export interface QueueLimits {
  readonly maxQueue: number
  readonly queueMs: number
  /** Whether there are keys that share the servers. */
  readonly severalKeys: boolean
}

/** One that asks for a slot. */
export interface SlotSeeker {
  /** As it was made; while it waits, that over what there is now. */
  plan: Plan
  readonly priority: PriorityClass
  /** The name of its key; empty where there is none. */
  readonly key: string
  readonly session: number
  /** When it has no more time, in monotonic milliseconds. */
  readonly until: number
  /** Set for one that has had its turn and was refused by a full server: it goes before the others of its conversation. */
  readonly inVain?: boolean
  /** Called once it may ask somebody, who is given the request before this returns. */
  readonly goes: (attempt: Attempt, plan: Plan) => void
  /** Called once instead where no backend is left that could be asked. */
  readonly isOver: (plan: Plan) => void
}

/** Where one that waits stands: how many go before it, and in about how many seconds it may go. */
export interface QueuePlace {
  readonly before: number
  readonly seconds: number
}

/** Where one that waits stands, in words for its client. */
export const queueText = ({ before, seconds }: QueuePlace): string =>
  `queued ${before + 1}${seconds > 0 ? `, about ${Math.ceil(seconds)} s` : ""}`

/** One that waits. */
export interface Waiting extends Waiter, SlotSeeker {
  /** Monotonic milliseconds. */
  readonly since: number
  /** The model that it is counted by. */
  readonly model: string
  /** The share of its prompt that a server was likely to have cached when it came. */
  readonly cached: number
}

// Waiting requests that one pass looks at: more would hold up everything else.
const mostLooked = 128

// Time between two looks while anybody waits, in milliseconds: nobody tells when a cooldown ends, or a request of another process.
const everyMs = 250

// Time between two tellings of how a process stands, in milliseconds, and while anybody waits for a place, here or elsewhere.
const quietMs = 250
const contendedMs = 50

// One look of so many counts as patient: by then it has been waited long enough to try whether a server takes one more.
const patience = 4

// A key that waits at another process goes first when it has had so many seconds of service less: what is known of it is a little old.
const leastOwed = 1

/** All that wait for a slot. */
export class SlotQueue implements Deadline {
  place = -1
  at = Infinity
  totalAt = Infinity
  private readonly schedule = new Schedule<Waiting>((key, seconds) =>
    this.served?.adds(key, seconds, performance.now())
  )
  // What keys have had of late, kept from when other processes are first told of it.
  private served: ServedLately | undefined
  // By model, the number of the last place that was taken by one who had waited: other processes see by it that the queue moves.
  private readonly took = new Map<string, number>()
  private places = 0
  private readonly elsewhere = new QueuesElsewhere()
  /** The slots that are left free for others. */
  readonly spared: SparedSlots
  private readonly heard = new Map<SiblingOf, ReadonlyArray<HeardQueue>>()
  private readonly deadlines: Deadlines["Service"]
  private readonly snapshot: () => Snapshot
  private readonly limits: () => QueueLimits
  private readonly random: () => number
  private readonly counts: QueueCounts
  // Of the pass under way: how many wait for each server before the one that is looked at.
  private readonly ahead = new Map<Standing, number>()
  // Servers that have been given more at a time by the look under way, and whether it is one that may give them more.
  private readonly widened = new Set<Standing>()
  private widens = false
  // Looks so far, one each {@link everyMs}.
  private beats = 0
  // Whether a pass has been asked for in this turn, and whether one is under way.
  private isDue = false
  private isPassing = false

  constructor(
    deadlines: Deadlines["Service"],
    snapshot: () => Snapshot,
    limits: () => QueueLimits,
    random: () => number,
    counts: QueueCounts
  ) {
    this.snapshot = snapshot
    this.counts = counts
    this.deadlines = deadlines
    this.limits = limits
    this.spared = new SparedSlots(() => limits().severalKeys)
    this.random = random
  }

  /** Who is asked at once; undefined where nobody can be, and "wait" where somebody is to be waited for. */
  choose(plan: Plan, now: number): Attempt | "wait" | undefined {
    if (this.schedule.size > 0) return "wait"
    this.spared.shares(plan, now)
    const choice = plan.choose(now)
    if (choice === undefined) return undefined
    // Beside those who wait at other processes it goes in their order.
    if (this.elsewhere.waitingFor(plan.requested) !== undefined && this.limits().maxQueue > 0) return "wait"
    if (choice._tag === "Wait" || this.spared.isLeft(plan, choice.attempt, now)) return "wait"
    return plan.takes(choice.attempt)
  }

  /** Takes in one that waits; or why it may not. It may go before this returns. */
  enter(seeker: SlotSeeker, now: number): Waiting | Overloaded {
    const group = seeker.plan.requested
    const { maxQueue, queueMs } = this.limits()
    const { schedule } = this
    const { plan } = seeker
    const about = { model: waitedModel(plan), cost: serviceCost(plan), cached: cachedFor(plan) }
    const waiting: Waiting = { ...seeker, ...about, group, since: now }
    const { inVain = false } = seeker
    if (!inVain && schedule.sizeOf(group) >= maxQueue + this.leftFree(group, seeker.plan)) {
      return this.refusal(waiting, this.placeOf(waiting), `${maxQueue} requests for it wait already (queue.max_queue)`)
    }
    schedule.enter(waiting, inVain)
    this.counts.enters(waiting.model, waiting.priority, waiting)
    this.pass(now)
    const place = this.placeOf(waiting)
    const { seconds } = place
    const mostMs = Math.min(queueMs === 0 ? Infinity : queueMs, waiting.until - now)
    // Nobody is sent away for a guess.
    if (seconds * 1000 > mostMs && !capacityFor(waiting.plan).isGuess && schedule.leave(waiting)) {
      this.left(waiting, now)
      return this.refusal(
        waiting,
        place,
        `its turn would come in about ${Math.ceil(seconds)} s, which is too late for it`
      )
    }
    if (schedule.size > 0 && this.at === Infinity) {
      this.at = now + everyMs
      this.deadlines.add(this)
    }
    return waiting
  }

  /** Lets one go that waits no longer. */
  leave(waiting: Waiting): void {
    this.schedule.leave(waiting)
    this.left(waiting, performance.now())
    this.changed()
  }

  /** Where one that waits stands now. */
  placeOf(waiting: Waiting): QueuePlace {
    return this.expects(waiting.plan, waiting)
  }

  /** Where a request would stand that came now, by a plan of its own; undefined where it would not have to wait. */
  placeFor(plan: Plan, from: Pick<SlotSeeker, "key" | "priority" | "session">, now: number): QueuePlace | undefined {
    const group = plan.requested
    const choice = plan.choose(now)
    if (choice === undefined || (choice._tag === "Ask" && this.schedule.sizeOf(group) === 0)) return undefined
    return this.expects(plan, { ...from, group })
  }

  /** Why one that has waited too long is told so. */
  late(waiting: Waiting, afterMs: number): Overloaded {
    return this.refusal(
      waiting,
      this.placeOf(waiting),
      `it has waited ${Math.round(afterMs / 1000)} s for a slot (queue.queue_timeout_seconds)`
    )
  }

  /** What other processes are to know of it; undefined where that is nothing. */
  tells(now: number): ToldQueue | undefined {
    this.served ??= new ServedLately()
    const served = this.served.told(now)
    const { schedule } = this
    if (served.length === 0 && schedule.size === 0) return undefined
    const groups = [...schedule.groups.keys()].map((group) => [group, schedule.keysOf(group)] as const)
    for (const group of this.took.keys()) if (!schedule.groups.has(group)) this.took.delete(group)
    return { served, waiting: toldWaiting(groups, (group) => this.took.get(group) ?? 0) }
  }

  /** Takes over what all others of a sort told last. */
  hears(of: SiblingOf, all: ReadonlyArray<HeardQueue>): void {
    if (all.length === 0 && (this.heard.get(of)?.length ?? 0) === 0) return
    this.heard.set(of, all)
    const { elsewhere, schedule } = this
    const had = elsewhere.hears([...this.heard.values()].flat())
    schedule.waitElsewhere(elsewhere.waitingKeys)
    schedule.servedElsewhere(had)
    this.changed()
  }

  /** Whether anybody waits, here or at another process: then all are to hear of each other soon. */
  get isContended(): boolean {
    return this.schedule.size > 0 || this.elsewhere.waitingKeys.size > 0
  }

  /** Time between two tellings of how this process stands, in milliseconds. */
  get tellMs(): number {
    return this.isContended ? contendedMs : quietMs
  }

  /** Something has changed that may have freed a slot; looked at once for all that happens in a turn. */
  changed(): void {
    if (this.isDue || this.schedule.size === 0) return
    this.isDue = true
    queueMicrotask(() => {
      this.isDue = false
      this.pass(performance.now())
    })
  }

  shift(): void {
    // Nothing of it is a limit.
  }

  expire(): void {
    if (this.schedule.size === 0) {
      this.deadlines.remove(this)
      return
    }
    const now = performance.now()
    this.at = now + everyMs
    this.beats += 1
    this.widened.clear()
    this.widens = true
    this.pass(now)
    this.widens = false
    if (this.widened.size > 0) this.pass(now)
  }

  private pass(now: number): void {
    if (this.isPassing) return
    this.isPassing = true
    this.ahead.clear()
    try {
      this.schedule.pass((waiting) => this.look(waiting, now), mostLooked)
    } finally {
      this.isPassing = false
    }
  }

  private look(waiting: Waiting, now: number): Turn {
    const snapshot = this.snapshot()
    // Those who have come, gone or changed since.
    if (waiting.plan.snapshot !== snapshot) waiting.plan = waiting.plan.over(snapshot, now)
    const { plan } = waiting
    const isShared = this.spared.shares(plan, now)
    const choice = plan.chooseAnew(now, (standing) => this.ahead.get(standing) ?? 0)
    if (choice === undefined) {
      this.left(waiting, now)
      waiting.isOver(plan)
      return "goes"
    }
    if (choice._tag === "Ask") {
      if (this.isForOthers(waiting, now) || this.spared.isLeft(plan, choice.attempt, now))
        return isShared ? "key stays" : "all stay"
      this.left(waiting, now)
      if (this.served !== undefined) this.took.set(waiting.group, (this.places += 1))
      waiting.goes(plan.takes(choice.attempt), plan)
      return "goes"
    }
    const { model, state } = choice.candidate
    const standing = standingOf(state.live, model.id)
    if (this.widens) this.widen(plan, now)
    this.ahead.set(standing, (this.ahead.get(standing) ?? 0) + 1)
    if (!choice.all) return "stays"
    return isShared ? "key stays" : "all stay"
  }

  /** Whether the place that one could have is left to a key that waits at another process. */
  private isForOthers(waiting: Waiting, now: number): boolean {
    const { group, key, plan } = waiting
    const elsewhere = this.elsewhere.waitingFor(group)
    if (elsewhere === undefined) return false
    const candidates = plan.targets[0]?.candidates ?? []
    const { places } = capacityOf(candidates, plan.needs)
    if (places === Infinity) return false
    const { own, taken } = placesInUse(candidates)
    const { schedule } = this
    const rank = rankOf(waiting)
    const part = places * partFor(schedule.keysOf(group), elsewhere, rank)
    if (own < Math.floor(part)) return false
    const had = schedule.serviceOf(key) - leastOwed
    const isFirst = ([other, { rank: its }]: readonly [string, { readonly rank: number }]): boolean =>
      its < rank || (its === rank && other !== key && schedule.serviceOf(other) < had)
    if (own < Math.ceil(part) && ![...elsewhere].some(isFirst)) return false
    return this.elsewhere.mayTake(group, taken, now)
  }

  /** Free places of a model that are left to others for a moment: so many of those who wait for it would have gone. */
  private leftFree(group: string, { needs, targets }: Plan): number {
    if (this.elsewhere.waitingFor(group) === undefined) return 0
    const candidates = targets[0]?.candidates ?? []
    const { places } = capacityOf(candidates, needs)
    const { own, taken } = placesInUse(candidates)
    return places === Infinity ? 0 : Math.max(0, places - own - taken)
  }

  /** Gives all that somebody waits for more at a time, where they are given all that they may be. */
  private widen({ needs, targets }: Plan, now: number): void {
    for (const candidate of targets.flatMap(({ candidates }) => candidates)) {
      const standing = standingOf(candidate.state.live, candidate.model.id)
      if (this.widened.has(standing)) continue
      this.widened.add(standing)
      const taken = standing.running.length + candidate.state.live.siblings.inFlight
      const isFull = taken >= placesAt(candidate, standing, needs)
      const isPatient = this.beats % patience === 0
      if (isFull) standing.widens(now, isPatient)
      else if (isPatient && candidate.model.slots !== undefined) standing.slots.eases(taken)
      else if (isPatient && !this.spared.isShared(now)) standing.eases()
    }
  }

  private left(waiting: Waiting, now: number): void {
    this.counts.leaves(waiting.model, waiting.priority, waiting, now)
  }

  // Behind what goes before it, and the end of one of those that have a slot now.
  private expects(plan: Plan, waiter: Omit<Waiter, "cost">): QueuePlace {
    const can = capacityFor(plan)
    const { answer, places, writeMs } = can
    // By what is measured now: what those cost that came before that is a guess.
    const { before, cost } = this.schedule.placeOf(waiter, (each) => serviceCost(each.plan, can, each.cached))
    if (places === 0 || places === Infinity || writeMs === 0) return { before, seconds: 0 }
    return { before, seconds: (cost + (Math.min(plan.work.output, answer) * writeMs) / 1000) / places }
  }

  private refusal({ plan }: Waiting, { before, seconds: expected }: QueuePlace, why: string): Overloaded {
    const seconds = Math.max(1, expected)
    const wait = jitteredWait(Math.min(60, seconds), this.random)
    return new Overloaded({
      message: `Every backend for model '${plan.requested}' has all it can take, and ${why}; try again in ${wait} s`,
      retryAfterSeconds: wait,
      queued: { before, seconds: Math.round(seconds * 10) / 10 }
    })
  }
}
