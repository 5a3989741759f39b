/**
 * What the queues of several processes tell each other, whom they have served and who waits: so that a key is one key, wherever
 * its requests come in.
 */
import * as Schema from "effect/Schema"

/** What one process tells of its queue. */
export const ToldQueue = Schema.Struct({
  /**
   * Seconds of service that each key has had there since its count began: which of its counts that is, and how old it is, in
   * milliseconds. A key that is not served for a while begins a new one.
   */
  served: Schema.Array(
    Schema.Struct({ key: Schema.String, seconds: Schema.Finite, count: Schema.Int, age_ms: Schema.Finite })
  ),
  /** The keys that wait for a model, each with the rank of its best class; `took` is another number each time that one takes a place. */
  waiting: Schema.Array(
    Schema.Struct({
      group: Schema.String,
      keys: Schema.Array(Schema.Tuple([Schema.String, Schema.Int])),
      took: Schema.optionalKey(Schema.Int)
    })
  )
})

/** Type of {@link ToldQueue}. */
export type ToldQueue = typeof ToldQueue.Type

/** What another process told last. */
export interface HeardQueue {
  /** The process; one that is started anew is another one. */
  readonly from: string
  readonly told: ToldQueue
}

/** Keys that are told of at most, as served, and as waiting for one of so many models. */
const mostTold = { served: 1000, keys: 100, groups: 100 } as const

// Whoever has not been served for so long is told of no more, in milliseconds: what was told is heard by then.
const latelyMs = 3000

interface Count {
  readonly seconds: number
  /** Which one it is. */
  readonly count: number
  readonly since: number
  readonly at: number
}

/** What this process has served, by key. */
export class ServedLately {
  // In the order in which they were served last.
  private readonly counts = new Map<string, Count>()
  private begun = 0

  adds(key: string, seconds: number, now: number): void {
    const known = this.counts.get(key)
    this.counts.delete(key)
    if (known === undefined || now - known.at >= latelyMs)
      this.counts.set(key, { seconds, count: (this.begun += 1), since: now, at: now })
    else this.counts.set(key, { ...known, seconds: known.seconds + seconds, at: now })
    if (this.counts.size <= mostTold.served) return
    const [oldest] = this.counts.keys()
    if (oldest !== undefined) this.counts.delete(oldest)
  }

  /** What is to be told of it. */
  told(now: number): ToldQueue["served"] {
    for (const [key, { at }] of this.counts) {
      if (now - at < latelyMs) break
      this.counts.delete(key)
    }
    return [...this.counts].map(([key, { count, seconds, since }]) => ({ key, seconds, count, age_ms: now - since }))
  }
}

/** The keys that wait, as they are told; `tookOf` gives another number each time that one of a group takes a place. */
export const toldWaiting = (
  groups: Iterable<readonly [group: string, keys: ReadonlyMap<string, number>]>,
  tookOf: (group: string) => number = () => 0
): ToldQueue["waiting"] =>
  [...groups]
    .slice(0, mostTold.groups)
    .map(([group, keys]) => ({ group, keys: [...keys].slice(0, mostTold.keys), took: tookOf(group) }))

/** A key that waits at other processes. */
interface WaitingKey {
  rank: number
  processes: number
}

/** Those who wait for a model at other processes, by key. */
export type WaitingElsewhere = ReadonlyMap<string, Readonly<WaitingKey>>

/** How long a place is left to others of whom nobody takes it, and how long it is not left to them then, in milliseconds. */
const inVain = { lastsMs: 1000, restsMs: 10_000 } as const

/** Places that are left to others, of one model. */
interface Leaving {
  readonly since: number
  /** What they had when that began. */
  readonly taken: number
  /** How often it had been heard by then that they took one. */
  readonly took: number
  lookedAt: number
  restsUntil: number
}

/** The queues of all other processes. */
export class QueuesElsewhere {
  private readonly counted = new Map<string, ReadonlyMap<string, Pick<Count, "count" | "seconds">>>()
  private groups: ReadonlyMap<string, WaitingElsewhere> = new Map()
  private keys: ReadonlySet<string> = new Set()
  // How often it was heard that one was taken of a model, and what each process told of it last.
  private readonly took = new Map<string, { times: number; readonly last: Map<string, number> }>()
  private readonly leaving = new Map<string, Leaving>()

  /**
   * Takes in what all others told last, in place of what they told before. Gives the seconds that each key has had since: what
   * is told again counts once, and what one had served long before it was heard does not count.
   */
  hears(all: ReadonlyArray<HeardQueue>): ReadonlyMap<string, number> {
    const fresh = new Map<string, number>()
    const there = new Set(all.map(({ from }) => from))
    for (const from of this.counted.keys()) if (!there.has(from)) this.counted.delete(from)
    for (const { from, told } of all) {
      const before = this.counted.get(from)
      this.counted.set(from, new Map(told.served.map((each) => [each.key, each])))
      for (const { age_ms: age, count, key, seconds } of told.served) {
        const known = before?.get(key)
        // Whoever was quiet is heard for the first time as well.
        const had = known?.count === count ? known.seconds : before === undefined && age > latelyMs ? seconds : 0
        const added = seconds - had
        if (added !== 0) fresh.set(key, (fresh.get(key) ?? 0) + added)
      }
    }
    this.waits(all)
    return fresh
  }

  private waits(all: ReadonlyArray<HeardQueue>): void {
    const groups = new Map<string, Map<string, WaitingKey>>()
    for (const { from, told } of all) {
      for (const { group, keys, took = 0 } of told.waiting) {
        const known = groups.get(group) ?? new Map<string, WaitingKey>()
        groups.set(group, known)
        const heard = this.took.get(group) ?? { times: 0, last: new Map<string, number>() }
        this.took.set(group, heard)
        if ((heard.last.get(from) ?? took) !== took) heard.times += 1
        heard.last.set(from, took)
        for (const [key, rank] of keys) {
          const other = known.get(key)
          known.set(key, { rank: Math.min(rank, other?.rank ?? rank), processes: 1 + (other?.processes ?? 0) })
        }
      }
    }
    this.groups = groups
    for (const group of this.took.keys()) if (!groups.has(group)) this.took.delete(group)
    const everyone = new Set<string>()
    for (const keys of groups.values()) for (const key of keys.keys()) everyone.add(key)
    this.keys = everyone
    for (const group of this.leaving.keys()) if (!groups.has(group)) this.leaving.delete(group)
  }

  /** All keys that wait there, for whatever. */
  get waitingKeys(): ReadonlySet<string> {
    return this.keys
  }

  /** Those who wait there for a model; undefined where nobody does. */
  waitingFor(group: string): WaitingElsewhere | undefined {
    return this.groups.get(group)
  }

  /**
   * Whether a place may be left to those who wait there: not for long where they do not take it. `taken` are the places that other
   * processes have; one that was taken and is free again was taken as well.
   */
  mayTake(group: string, taken: number, now: number): boolean {
    const known = this.leaving.get(group)
    const took = this.took.get(group)?.times ?? 0
    if (known !== undefined && now < known.restsUntil) return false
    const isTaken = known === undefined || taken > known.taken || took !== known.took
    if (isTaken || now - known.lookedAt > inVain.lastsMs) {
      this.leaving.set(group, { since: now, taken, took, lookedAt: now, restsUntil: 0 })
      return true
    }
    known.lookedAt = now
    if (now - known.since < inVain.lastsMs) return true
    known.restsUntil = now + inVain.restsMs
    return false
  }
}

/**
 * The part of all places that is for the keys that wait here: each key has as much as any other, in equal parts wherever it
 * waits; those of lesser classes than `rank` do not count.
 */
export const partFor = (here: ReadonlyMap<string, number>, elsewhere: WaitingElsewhere, rank: number): number => {
  let own = 0
  let keys = 0
  for (const [key, its] of here) {
    if (its > rank) continue
    keys += 1
    own += 1 / (1 + (elsewhere.get(key)?.processes ?? 0))
  }
  for (const [key, { rank: its }] of elsewhere) {
    const mine = here.get(key)
    if (its <= rank && (mine === undefined || mine > rank)) keys += 1
  }
  return keys === 0 ? 1 : own / keys
}
