/**
 * Who goes next of those that wait: by class, then by the key with the least service so far, then by the conversation of that
 * key with the least, then by arrival. Plain values in and out; it knows nothing of servers.
 */
import type { Mutable } from "effect/Types"
import { priorityClasses, type PriorityClass } from "../domain/request.ts"

/** One that waits. */
export interface Waiter {
  /** The model that it waits for: those of one group have the same servers. */
  readonly group: string
  readonly priority: PriorityClass
  /** Whose it is. */
  readonly key: string
  /** Its conversation. */
  readonly session: number
  /** What it is likely to take of a server, in seconds. */
  readonly cost: number
}

/** What becomes of one that is looked at: it goes, it stays, or it stays as all others of its key, or of its group, do. */
export type Turn = "goes" | "stays" | "key stays" | "all stay"

// So many of a better class go while one of a lesser class waits, and then that one does: those that go for another model have
// mostly had other servers, and count less.
const mostAhead = 100
const aheadOf = { same: 10, other: 1 } as const

// Keys, and conversations of each, whose service is remembered.
const mostKnown = 10_000

/** Service that was had, in seconds, by whoever had it. */
class Service {
  private readonly had = new Map<string | number, number>()
  // What those who went last had had: who is new has had no less.
  private floor = 0

  of(who: string | number): number {
    return this.had.get(who) ?? this.floor
  }

  /** What it counts as having had that comes back now, where those who wait have had this at least. */
  onReturn(who: string | number, least = Infinity): number {
    return Math.max(this.of(who), Math.min(this.floor, least))
  }

  /** It comes back: before those who have had a turn since, and behind those who came back before it. */
  returns(who: string | number, least: number | undefined): void {
    // Set even where nothing changes: the floor rises while it waits.
    this.set(who, this.onReturn(who, least))
  }

  adds(who: string | number, seconds: number): void {
    const before = this.of(who)
    this.floor = Math.max(this.floor, before)
    this.set(who, before + seconds)
  }

  /** It was served elsewhere, where nobody knows who waits here: whoever is new here comes before none of those. */
  addsElsewhere(who: string | number, seconds: number, waits: boolean, least: number | undefined): void {
    const before = waits ? this.of(who) : this.onReturn(who, least)
    this.floor = Math.max(this.floor, Math.min(before, least ?? before))
    this.set(who, before + seconds)
  }

  private set(who: string | number, seconds: number): void {
    if (this.had.size >= mostKnown && !this.had.has(who)) {
      const [oldest] = this.had.keys()
      if (oldest !== undefined) this.had.delete(oldest)
    }
    this.had.delete(who)
    this.had.set(who, seconds)
  }
}

interface Entry<W extends Waiter> {
  readonly waiter: W
  readonly serial: number
}

/** One class of one group. */
interface Line {
  /** What has gone of better classes since one of it went. */
  passed: number
}

/** What waits of one key in one class of one group: conversations, each in the order of arrival. */
interface Lane<W extends Waiter> {
  readonly key: string
  readonly rank: number
  readonly group: string
  readonly line: Line
  readonly sessions: Map<number, Array<Entry<W>>>
}

/** What goes before one that waits: how many, and what they are likely to take together, in seconds. */
export interface GoneBefore {
  readonly before: number
  readonly cost: number
}

/** What one that waits is likely to take, in seconds. */
type CostOf<W extends Waiter> = (waiter: W) => number

const costAsItCame = ({ cost }: Waiter): number => cost

const goBefore = <W extends Waiter>(
  ahead: Mutable<GoneBefore>,
  waiting: ReadonlyArray<Entry<W>>,
  count: number,
  costOf: CostOf<W>
): void => {
  ahead.before += count
  for (const { waiter } of waiting.slice(0, count)) ahead.cost += costOf(waiter)
}

// Whoever is not there comes last.
const placeIn = (waiting: ReadonlyArray<Entry<Waiter>>, waiter: unknown): number => {
  const at = waiting.findIndex((entry) => entry.waiter === waiter)
  return at < 0 ? waiting.length : at
}

/** The place of a class among all, the first one first. */
export const rankOf = ({ priority }: Pick<Waiter, "priority">): number => priorityClasses.indexOf(priority)

/** All that wait. */
export class Schedule<W extends Waiter> {
  private readonly lanes: Array<Lane<W>> = []
  private readonly keys = new Service()
  private readonly sessions = new Map<string, Service>()
  private readonly sizes = new Map<string, number>()
  // Keys that wait at other processes.
  private elsewhere: ReadonlySet<string> = new Set()
  private readonly served: (key: string, seconds: number) => void
  private serials = 0
  private count = 0

  /** `served` is called with all service that a key has here. */
  constructor(served: (key: string, seconds: number) => void = () => undefined) {
    this.served = served
  }

  /** How many wait. */
  get size(): number {
    return this.count
  }

  /** How many of a group wait. */
  sizeOf(group: string): number {
    return this.sizes.get(group) ?? 0
  }

  /** The groups that wait, with how many of each. */
  get groups(): ReadonlyMap<string, number> {
    return this.sizes
  }

  /** One that had its turn `inVain` goes before all of its conversation, and that turn is not counted. */
  enter(waiter: W, inVain = false): void {
    const { cost, group, key, session } = waiter
    if (inVain) {
      this.keys.adds(key, -cost)
      this.served(key, -cost)
      this.serviceIn(key).adds(session, -cost)
    }
    const rank = rankOf(waiter)
    let lane = this.lanes.find((each) => each.key === key && each.rank === rank && each.group === group)
    if (lane === undefined) {
      if (!this.isThere(key)) this.keys.returns(key, this.least())
      const line = this.lanes.find((each) => each.rank === rank && each.group === group)?.line ?? { passed: 0 }
      lane = { key, rank, group, line, sessions: new Map() }
      this.lanes.push(lane)
    }
    const waiting = lane.sessions.get(session)
    const entry = { waiter, serial: inVain ? 0 : (this.serials += 1) }
    if (waiting === undefined) {
      this.serviceIn(key).returns(session, this.leastIn(lane))
      lane.sessions.set(session, [entry])
    } else if (inVain) waiting.unshift(entry)
    else waiting.push(entry)
    this.count += 1
    this.sizes.set(group, this.sizeOf(group) + 1)
  }

  /** Whether it was there to leave. */
  leave(waiter: W): boolean {
    const rank = rankOf(waiter)
    const lane = this.lanes.find((each) => each.key === waiter.key && each.rank === rank && each.group === waiter.group)
    const waiting = lane?.sessions.get(waiter.session)
    const at = waiting?.findIndex((entry) => entry.waiter === waiter) ?? -1
    if (lane === undefined || waiting === undefined || at < 0) return false
    waiting.splice(at, 1)
    this.left(lane, waiter.session, waiting)
    return true
  }

  /** Looks at those that wait, in their order, at most so many, until nobody is left to be looked at. */
  pass(look: (waiter: W) => Turn, most: number): void {
    const stay = new Set<Array<Entry<W>>>()
    const closed = new Set<string>()
    const still = new Set<Lane<W>>()
    for (let looked = 0; looked < most; looked += 1) {
      const found = this.first(stay, still, closed)
      if (found === undefined) return
      const { lane, session, waiting } = found
      const [entry] = waiting
      if (entry === undefined) return
      const verdict = look(entry.waiter)
      if (verdict === "all stay") closed.add(lane.group)
      else if (verdict === "key stays") still.add(lane)
      else if (verdict === "stays") stay.add(waiting)
      else {
        waiting.shift()
        this.goes(lane, entry.waiter)
        this.left(lane, session, waiting)
      }
    }
  }

  /** What of its group is served before one that waits, or would if it came now, as things stand. */
  placeOf(waiter: Omit<Waiter, "cost">, costOf: CostOf<W> = costAsItCame): GoneBefore {
    const mine = rankOf(waiter)
    const service = this.serviceOf(waiter.key)
    const own = this.serialOf(waiter)
    const ahead = { before: 0, cost: 0 }
    for (const lane of this.lanes) {
      const { group, key, rank, sessions } = lane
      if (group !== waiter.group || rank > mine) continue
      if (rank === mine && key === waiter.key) {
        this.goAmongOwn(ahead, lane, waiter, costOf)
        continue
      }
      for (const waiting of sessions.values()) {
        if (rank < mine) goBefore(ahead, waiting, waiting.length, costOf)
        else if (this.isBefore(key, waiting, service, own)) goBefore(ahead, waiting, 1, costOf)
      }
    }
    return ahead
  }

  // The conversations of a key take turns.
  private goAmongOwn(ahead: Mutable<GoneBefore>, lane: Lane<W>, waiter: Omit<Waiter, "cost">, costOf: CostOf<W>): void {
    const { key, sessions } = lane
    const service = this.serviceIn(key)
    const own = sessions.get(waiter.session)
    const turn = own === undefined ? 0 : placeIn(own, waiter)
    const had = own === undefined ? service.onReturn(waiter.session, this.leastIn(lane)) : service.of(waiter.session)
    const serial = own?.[turn]?.serial ?? Infinity
    if (own !== undefined) goBefore(ahead, own, turn, costOf)
    for (const [session, waiting] of sessions) {
      if (session === waiter.session) continue
      const its = service.of(session)
      const isFirst = its < had || (its === had && (waiting[turn]?.serial ?? Infinity) < serial)
      goBefore(ahead, waiting, Math.min(waiting.length, turn + (isFirst ? 1 : 0)), costOf)
    }
  }

  /** The keys that wait for a group, each with the rank of its best class. */
  keysOf(group: string): ReadonlyMap<string, number> {
    const keys = new Map<string, number>()
    for (const { group: its, key, rank } of this.lanes)
      if (its === group) keys.set(key, Math.min(rank, keys.get(key) ?? rank))
    return keys
  }

  /** Service that a key has had, in seconds, as it would count if it came now. */
  serviceOf(key: string): number {
    return this.isThere(key) ? this.keys.of(key) : this.keys.onReturn(key, this.least())
  }

  /** These wait elsewhere: for as long as they do they are owed what others are given here. */
  waitElsewhere(keys: ReadonlySet<string>): void {
    const least = this.least()
    for (const key of keys) if (!this.isThere(key)) this.keys.returns(key, least)
    this.elsewhere = keys
  }

  /** Keys have been served elsewhere, in seconds. */
  servedElsewhere(seconds: ReadonlyMap<string, number>): void {
    const least = this.least()
    for (const [key, had] of seconds) this.keys.addsElsewhere(key, had, this.isThere(key), least)
  }

  private isBefore(key: string, [first]: ReadonlyArray<Entry<W>>, service: number, serial: number): boolean {
    const had = this.keys.of(key)
    return had < service || (had === service && (first?.serial ?? serial) < serial)
  }

  // Whoever is not there comes last.
  private serialOf(waiter: Omit<Waiter, "cost">): number {
    for (const { sessions } of this.lanes) {
      const found = sessions.get(waiter.session)?.find((entry) => entry.waiter === waiter)
      if (found !== undefined) return found.serial
    }
    return Infinity
  }

  private first(
    stay: ReadonlySet<Array<Entry<W>>>,
    still: ReadonlySet<Lane<W>>,
    closed: ReadonlySet<string>
  ): { readonly lane: Lane<W>; readonly session: number; readonly waiting: Array<Entry<W>> } | undefined {
    let best: { lane: Lane<W>; session: number; waiting: Array<Entry<W>> } | undefined
    let bestOf: readonly [number, number, number, number] | undefined
    for (const lane of this.lanes) {
      if (closed.has(lane.group) || still.has(lane)) continue
      // Of those that have waited long enough, the last class has waited the longest.
      const rank = lane.line.passed >= mostAhead ? -lane.rank : lane.rank
      const had = this.keys.of(lane.key)
      if (bestOf !== undefined && (rank > bestOf[0] || (rank === bestOf[0] && had > bestOf[1]))) continue
      const service = this.serviceIn(lane.key)
      for (const [session, waiting] of lane.sessions) {
        const [entry] = waiting
        if (entry === undefined || stay.has(waiting)) continue
        const order = [rank, had, service.of(session), entry.serial] as const
        if (bestOf !== undefined && !isBefore(order, bestOf)) continue
        best = { lane, session, waiting }
        bestOf = order
      }
    }
    return best
  }

  private goes(lane: Lane<W>, waiter: W): void {
    const counted = new Set<Line>()
    for (const { group, line, rank } of this.lanes) {
      if (rank <= lane.rank || counted.has(line)) continue
      counted.add(line)
      line.passed += group === lane.group ? aheadOf.same : aheadOf.other
    }
    lane.line.passed = 0
    this.keys.adds(waiter.key, waiter.cost)
    this.served(waiter.key, waiter.cost)
    this.serviceIn(waiter.key).adds(waiter.session, waiter.cost)
  }

  private left(lane: Lane<W>, session: number, waiting: ReadonlyArray<unknown>): void {
    this.count -= 1
    const size = this.sizeOf(lane.group) - 1
    if (size === 0) this.sizes.delete(lane.group)
    else this.sizes.set(lane.group, size)
    if (waiting.length > 0) return
    lane.sessions.delete(session)
    if (lane.sessions.size === 0) this.lanes.splice(this.lanes.indexOf(lane), 1)
  }

  private isThere(key: string): boolean {
    return this.elsewhere.has(key) || this.lanes.some((lane) => lane.key === key)
  }

  private least(): number | undefined {
    let least: number | undefined
    for (const { key } of this.lanes) least = Math.min(least ?? Infinity, this.keys.of(key))
    return least
  }

  private leastIn({ key, sessions }: Lane<W>): number | undefined {
    const service = this.serviceIn(key)
    let least: number | undefined
    for (const session of sessions.keys()) least = Math.min(least ?? Infinity, service.of(session))
    return least
  }

  private serviceIn(key: string): Service {
    const known = this.sessions.get(key)
    if (known !== undefined) return known
    if (this.sessions.size >= mostKnown) this.sessions.clear()
    const made = new Service()
    this.sessions.set(key, made)
    return made
  }
}

const isBefore = (a: readonly [number, number, number, number], b: readonly [number, number, number, number]) => {
  for (let at = 0; at < a.length; at += 1) {
    const mine = a[at] ?? 0
    const its = b[at] ?? 0
    if (mine !== its) return mine < its
  }
  return false
}
