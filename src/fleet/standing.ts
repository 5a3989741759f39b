/**
 * How one server stands with one model: what it works on now, and what has been learned of it. Times in milliseconds.
 */
import { PromptCache } from "./prompt-cache.ts"
import { bytesOf, type PromptChain } from "./prompt-chain.ts"
import { commonUpTo, readBy, type Running, type Seen, sharedBlocks, type Work } from "./running.ts"
import { type Pinned, type Pinning, type SlotPlace, SlotPins } from "./slot-pins.ts"
import { Slots } from "./slots.ts"
import { Speeds } from "./speeds.ts"
import { awaited, RecentTurns, smooth } from "./recent-turns.ts"

/** What an expected end is made of, in milliseconds. */
export interface ExpectedEnd {
  /** Until there is a slot. */
  wait: number
  /** To load the model, and another one again that is pushed out for it. */
  load: number
  /** To read what is not cached, what others have it read before, and what is pushed out of its cache. */
  read: number
  /** What it counts for that others are kept waiting, now or later. */
  hindrance: number
  /** To write the answer. */
  write: number
  /** Tokens of the prompt that are likely to be cached there. */
  cached: number
}

// Weight of a sample of what is seldom.
const seldom = 0.05

// Half of it is forgotten in so long, in milliseconds.
const forgottenMs = 60_000

// What is waited for in vain counts this share of what was expected, or of how long it has taken, when it takes longer than that.
const overdue = 0.25

// A first token is late that took so many times what was expected, and longer by so many milliseconds.
const lateTimes = 2.5
const leastLateMs = 5

/** How a server stood with a model at a decision that is told again later. */
export interface Recalled {
  readonly end: ExpectedEnd
  readonly baseMs: number | undefined
  readonly isFull: boolean
  readonly places: number
  /** The slots that had been learned of it. */
  readonly seen: number | undefined
}

/** One server with one model. */
export class Standing {
  /** Set where it is told how it stood, and not how it stands. */
  recalled: Recalled | undefined
  /** What it works on, in the order of its beginning. */
  readonly running: Array<Running> = []
  readonly speeds = new Speeds()
  readonly slots = new Slots()
  readonly cache = new PromptCache()
  readonly turns = new RecentTurns()
  /** Whether what one request has it read is there for the next one at once, and not only once its slot is free. */
  sharesCache = true
  /** How many of those that it works on leave slots free. */
  leaving = 0
  /** How many of them have begun to answer. */
  speaking = 0
  /** What its slots hold; of those alone that can be told which one is to take a request. */
  pins: SlotPins | undefined
  // Tokens of those whose answers have not begun.
  private unread = 0
  private answeredAt = 0
  private endedAt = 0
  private tellsCached = false
  // Share of a prompt that is found cached, on average, where that is told.
  private cachedShare: number | undefined
  // Tokens of a prompt for each that was estimated.
  private ratio = 1
  // By how much first tokens were later than was to be expected, on average, when one was last; of models that are hedged.
  private lateMs = 0
  private lateAt = 0
  /** Tokens of an answer, on average; undefined while there was none. */
  answerTokens: number | undefined

  /** Tokens of a prompt as this model counts them. */
  promptTokens({ prompt }: Work): number {
    return prompt * this.ratio
  }

  /** Tokens of a prompt that are likely to be cached here. */
  cachedOf(work: Work): number {
    const { chain } = work
    if (chain === undefined) return 0
    const held = this.cache.depthOf(chain)
    const perByte = this.perByte(work, chain)
    // Nothing is gone of what is held without a bound.
    if (!this.sharesCache && (held === 0 || this.cache.capacity === Infinity)) return bytesOf(chain, held) * perByte
    const shared = sharedBlocks(this.running, chain)
    if (this.sharesCache && shared >= held) return bytesOf(chain, shared) * perByte
    const kept = this.keptOf(chain, held, shared, perByte)
    return this.sharesCache ? Math.max(bytesOf(chain, shared) * perByte, kept) : kept
  }

  /** The share of a prompt that is likely to be cached here, by what is found on average where nobody knows what is held of it. */
  shareCached(work: Work): number {
    if (work.chain === undefined) return this.cachedShare ?? 0
    return work.prompt === 0 ? 0 : Math.min(1, this.cachedOf(work) / this.promptTokens(work))
  }

  // Tokens that are left of those held, beside what was used since and what is being read, which is in the cache before its end. What
  // others have in common with it is there once.
  private keptOf(chain: PromptChain, depth: number, shared: number, perByte: number): number {
    const { cache, running } = this
    const held = bytesOf(chain, depth) * perByte
    if (cache.capacity === Infinity || running.length === 0) return held
    const use = cache.usedAt(chain)
    const common = bytesOf(chain, shared) * perByte
    let left = cache.capacity
    for (const { cached, usedAt, work } of running) {
      const known = usedAt > use ? cached : 0
      const same = known < common ? bytesOf(chain, commonUpTo(work.chain, chain, shared)) * perByte : 0
      left -= this.promptTokens(work) - Math.max(known, same)
    }
    if (left >= cache.tokens) return held
    const others = bytesOf(chain, cache.depthAfter(chain, use)) * perByte
    return Math.min(held, others + Math.max(0, left - cache.usedAfter(use, left)))
  }

  /** The slot that a request would be given, or what it would push out wherever the server puts it; undefined where neither is known. */
  placeOf(work: Work, now: number): SlotPlace | undefined {
    const { pins } = this
    const { chain } = work
    if (pins === undefined || chain === undefined || !pins.tells || pins.isElsewhere(chain)) return undefined
    const place = pins.look(chain, this.perByte(work, chain), now)
    if (place.slot !== undefined) return place
    // The server may have saved one that was there before.
    return place.lost === 0 || this.turns.has(chain.root) ? undefined : place
  }

  /** Tokens that are still to be read before an answer begins whose request would come now. */
  toRead(now: number): number {
    const { unread } = this
    if (unread <= 0) return 0
    const { readMs } = this.speeds
    const since = this.running.find(({ firstAt }) => firstAt === 0)?.at ?? now
    return readMs === undefined ? unread : Math.max(unread / 8, unread - (now - since) / readMs)
  }

  /** Begins to work on a request; `others` are requests that it has of somebody else, `pinning` is how it can be told its slot. */
  begins(work: Work, now: number, others = 0, pinning?: Pinning): Running {
    const pinned = pinning === undefined ? this.unpinned() : this.pinned(work, pinning, now)
    const cached = pinned?.slot === undefined ? this.cachedOf(work) : pinned.cached
    const own = Math.max(0, this.promptTokens(work) - cached)
    const usedAt = work.chain === undefined ? 0 : this.cache.usedAt(work.chain)
    const ahead = this.toRead(now)
    if (work.chain !== undefined) this.turns.begins(work.chain, own, now)
    const { running: all, speaking: most } = this
    const behind = all.length
    const running = {
      work,
      at: now,
      pinned,
      cached,
      usedAt,
      own,
      ahead,
      behind,
      firstAt: 0,
      most,
      isLoading: false,
      afterLoad: false,
      reading: 0,
      blind: this.speeds.readMs === undefined,
      readMs: 0
    }
    this.running.push(running)
    this.unread += own
    if (work.leaves !== undefined) this.leaving += 1
    this.slots.given(this.running.length + others)
    return running
  }

  private pinned(work: Work, pinning: Pinning, now: number): Pinned {
    this.pins ??= new SlotPins()
    const { chain } = work
    return this.pins.begins(chain, chain === undefined ? 0 : this.perByte(work, chain), pinning, now)
  }

  /** Notes whether its model has to be loaded first; who comes while another one waits for that waits as well. */
  loads(running: Running, isLoading: boolean): void {
    running.afterLoad = isLoading || this.running.some((each) => each.isLoading && each.firstAt === 0)
    running.isLoading = isLoading
  }

  private unpinned(): undefined {
    // Nobody says any more what is in which slot.
    this.pins?.stops()
    return undefined
  }

  /** The answer has begun; gives by how much later than was to be expected of a model that is in memory. */
  answers(running: Running, now: number, others = 0): number {
    const place = this.running.indexOf(running)
    if (place >= 0 && running.firstAt === 0) this.unread -= running.own
    running.readMs = now - Math.max(running.at, this.answeredAt)
    this.answeredAt = now
    running.firstAt = now
    this.lateMs *= 1 - seldom
    this.speaking += 1
    let working = 0
    for (let at = 0; at < this.running.length; at += 1) {
      const each = this.running[at]
      if (each === undefined) continue
      if (each.firstAt !== 0 || at < place) working += 1
      if (each.firstAt === 0) each.most = Math.max(each.most, this.speaking)
    }
    const took = now - running.at
    const expected = this.expectedFirst(running)
    const beyond = Math.max(0, took - (expected ?? 0))
    // How long a load takes says nothing of how fast it reads.
    if (running.afterLoad) return beyond
    // It began when another had ended: until then there was no slot for it, and those whose answers were under way had all.
    const isLate =
      expected !== undefined &&
      took > lateTimes * expected + leastLateMs &&
      now - this.endedAt < expected * lateTimes + leastLateMs
    if (isLate && this.endedAt > running.at) this.slots.waited(Math.max(1, running.most) + others)
    else this.slots.begins(working, others)
    if (!isLate)
      running.reading = this.speeds.reads(readBy(running, this.promptTokens(running.work) - running.cached), took)
    return beyond
  }

  /** It had no slot for one: that shows how many it has, by those that were there for long enough not to be refused as well. */
  refuses(running: Running, now: number, others: number): void {
    const settled = lateTimes * (now - running.at) + leastLateMs
    let working = others
    for (const each of this.running) {
      if (each !== running && (each.firstAt !== 0 || now - each.at > settled)) working += 1
    }
    this.slots.refused(working)
  }

  /** Its first token is late, or was. */
  isLate(running: Running, now: number): void {
    // Nobody waits for the end of it: of what takes long already, as much again is to be expected.
    const beyond = 2 * (now - running.at - (this.expectedFirst(running) ?? 0))
    const known = this.lateBy(now)
    this.lateMs = known + seldom * Math.max(0, beyond - known)
    this.lateAt = now
  }

  /** By how much a first token is late on average; what nobody has seen for a while counts for less. */
  lateBy(now: number): number {
    return this.lateMs === 0 ? 0 : this.lateMs * 0.5 ** ((now - this.lateAt) / forgottenMs)
  }

  /** It is over; undefined where nothing was seen of an answer. */
  ends(running: Running, now: number, seen: Seen | undefined, others = 0): void {
    const place = this.running.indexOf(running)
    if (place < 0) return
    const atOnce = this.running.length
    if (atOnce === 1) this.running.pop()
    else this.running.splice(place, 1)
    // What was added up of fractions is not to be left over.
    if (atOnce === 1) this.unread = 0
    else if (running.firstAt === 0) this.unread -= running.own
    this.endedAt = now
    if (running.firstAt !== 0) this.speaking -= 1
    if (running.work.leaves !== undefined) this.leaving -= 1
    this.slots.ended(atOnce + others)
    const { pinned } = running
    if (pinned !== undefined && this.pins !== undefined) this.leaves(this.pins, pinned, now, seen)
    const { chain, output, prompt } = running.work
    // After one that failed the same turn comes again.
    if (chain !== undefined && seen !== undefined) this.turns.ends(chain, now)
    if (seen === undefined) {
      // It has been read, whoever left since.
      const isRead = running.firstAt !== 0 && pinned === undefined
      if (isRead && chain !== undefined) this.cache.holds(chain, this.perByte(running.work, chain))
      return
    }
    const { tokens, whole, written } = seen
    if (tokens !== undefined && tokens.prompt > 0) {
      if (prompt > 0) {
        const ratio = Math.min(8, Math.max(0.125, tokens.prompt / prompt))
        this.ratio = this.ratio === 1 ? ratio : smooth(this.ratio, ratio)
      }
      if (tokens.cached > 0) this.tellsCached = true
      if (this.tellsCached) this.cachedShare = smooth(this.cachedShare, Math.min(1, tokens.cached / tokens.prompt))
    }
    const count = tokens !== undefined && tokens.completion > 0 ? tokens.completion : written
    if (count > 0) this.answerTokens = smooth(this.answerTokens, count)
    const took = now - running.at
    if (whole && !running.afterLoad) {
      // Those that came before it have been begun.
      this.slots.begins(place + 1, others)
      const cached = this.tellsCached && tokens !== undefined ? tokens.cached : running.cached
      const read = running.ahead + this.promptTokens(running.work) - cached
      if (output === 0) this.speeds.reads(read, took)
      else this.speeds.answersWhole(read, Math.max(1, count), took)
    } else if (!whole && count > 4) {
      if (this.tellsCached && tokens !== undefined && tokens.prompt > 0) {
        const { at, firstAt, reading } = running
        this.speeds.corrects(reading, readBy(running, tokens.prompt - tokens.cached), firstAt - at)
      }
      this.speeds.writes((now - running.firstAt) / count, (atOnce + running.behind + 1) / 2)
    }
    if (chain === undefined) return
    const perByte = this.perByte(running.work, chain)
    if (this.tellsCached && tokens !== undefined) this.cache.corrects(chain, perByte, running.cached, tokens.cached)
    this.cache.holds(chain, perByte)
  }

  /** By how much later a whole answer came than was to be expected of a model that is in memory; undefined where that is not known. */
  wholeBeyond(running: Running, { tokens }: Seen, now: number): number | undefined {
    const took = now - running.at
    const first = this.expectedFirst(running)
    if (running.work.output === 0) return first === undefined ? undefined : Math.max(0, took - first)
    const writeMs = this.speeds.writeMs(this.running.length)
    const count = tokens !== undefined && tokens.completion > 0 ? tokens.completion : this.answerTokens
    if (writeMs === undefined || count === undefined) return undefined
    return Math.max(0, took - (first ?? 0) - count * writeMs)
  }

  private leaves(pins: SlotPins, pinned: Pinned, now: number, seen: Seen | undefined): void {
    const tokens = seen?.tokens
    const told = tokens && { cached: tokens.cached, tokens: tokens.prompt + tokens.completion }
    // Where the slots have forgotten all they held, so has all else there.
    if (pins.ends(pinned, told, seen?.whole ?? false, now)) this.cache.clear()
  }

  /** Another process had it compute a prompt; `perByte` is tokens for each byte of its chain. */
  hears(chain: Pick<PromptChain, "ends" | "hashes" | "root">, perByte: number): void {
    this.cache.holds(chain, perByte)
    this.turns.isHere(chain.root)
    this.pins?.isGivenElsewhere(chain.root)
  }

  /** Forgets what is gone when a server has been away. */
  restarts(): void {
    this.cache.clear()
    this.pins?.restarts()
    this.slots.clear()
  }

  /**
   * Gives it more at a time. Where somebody waits longer for the beginning of a stream than was to be expected, there is no slot
   * for more, and where the model is being loaded nothing is. Answers in one piece show nothing before their end, and may just be
   * long: while nothing is known of its slots it is given more all the same when it has been `patient`, a little once it is
   * known how long they take.
   */
  widens(now: number, patient: boolean): void {
    const { running, slots } = this
    let late = 0
    let unseen = 0
    for (const each of running) {
      if (each.firstAt !== 0) continue
      if (each.isLoading) return
      const { whole = false } = each.work
      const expected = this.expectedSeen(each)
      if (expected === undefined) unseen += 1
      else if (now - each.at > lateTimes * expected) {
        if (!whole) return
        late += 1
      }
    }
    if (late + unseen === 0) {
      if (slots.seen === undefined || patient) slots.widens()
    } else if (patient && slots.seen === undefined) slots.gropes(running.length, late > 0)
  }

  /** Nobody else comes for long: who has half of it may have one more, unless an answer has yet to begin there. */
  eases(): void {
    if (this.running.every(({ firstAt }) => firstAt !== 0)) this.slots.eases(this.running.length)
  }

  /** How long from now until one of `places` that are all taken is free for the one that waits behind `before` others. */
  freeIn(places: number, before: number, now: number): number {
    const { running } = this
    const which = running.length - places + before
    if (which < 0) return 0
    const left = running.map((each) => this.leftOf(each, now)).toSorted((a, b) => a - b)
    const round = left.at(-1) ?? 0
    return (left[which % left.length] ?? 0) + Math.floor(which / Math.max(1, left.length)) * round
  }

  /**
   * How long the next turns of `count` conversations that are here are likely to wait because a prompt is read from `from` to `to`,
   * in milliseconds from now, when they come `pauseMs` after the answers to the last ones, on average.
   */
  keepsWaiting(count: number, from: number, to: number, pauseMs: number, now: number): number {
    const { running, turns } = this
    const writeMs = this.speeds.writeMs(running.length)
    const writing = this.answerTokens === undefined || writeMs === undefined ? Infinity : this.answerTokens * writeMs
    let sum = 0
    let idle = count
    for (const { firstAt, work } of running) {
      // Of those whose answers are not over by then it only matters how many they are.
      if (idle <= 0 && overdue * writing >= to) break
      const left = firstAt === 0 ? from + writing : Math.max(overdue * writing, firstAt + writing - now)
      if (work.chain === undefined || (left >= to && idle <= 0) || !turns.has(work.chain.root)) continue
      idle -= 1
      if (left < to) sum += awaited(to - left, pauseMs) - awaited(from - left, pauseMs)
    }
    return idle <= 0 ? sum : sum + idle * (awaited(to, pauseMs) - awaited(from, pauseMs))
  }

  /** How long from now until everything here is done. */
  idleIn(now: number): number {
    let most = 0
    for (const each of this.running) most = Math.max(most, this.leftOf(each, now))
    return most
  }

  private leftOf({ ahead, at, cached, firstAt, work }: Running, now: number): number {
    const { readMs = 0 } = this.speeds
    const reading = (ahead + this.promptTokens(work) - cached) * readMs + (this.speeds.baseMs ?? 0)
    // How many tokens an answer may have says little of how many it has.
    const writing =
      Math.min(work.output, this.answerTokens ?? Infinity) * (this.speeds.writeMs(this.running.length) ?? 0)
    const since = now - (firstAt === 0 ? at : firstAt)
    const whole = firstAt === 0 ? reading + writing : writing
    // What has taken for long beyond what was expected is likely to go on for longer, the longer it has.
    return Math.max(whole - since, overdue * Math.max(whole, since))
  }

  /** How long its first token is expected to take from its beginning; undefined where nothing was measured. */
  expectedFirst({ ahead, cached, work }: Running): number | undefined {
    const { baseMs, readMs } = this.speeds
    if (readMs === undefined && baseMs === undefined) return undefined
    return (ahead + this.promptTokens(work) - cached) * (readMs ?? 0) + (baseMs ?? 0)
  }

  /** How long it is expected to take until anything is seen of its answer. */
  private expectedSeen(running: Running): number | undefined {
    const { output, whole = false } = running.work
    const first = this.expectedFirst(running)
    if (first === undefined || !whole) return first
    const writeMs = this.speeds.writeMs(this.running.length)
    return writeMs === undefined ? undefined : first + output * writeMs
  }

  /** Tokens for each byte of a chain. */
  perByte(work: Work, { bytes }: PromptChain): number {
    return bytes === 0 ? 0 : this.promptTokens(work) / bytes
  }
}
