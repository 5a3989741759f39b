/**
 * How one server stands with one model: what it works on now, and what has been learned of it. Times in milliseconds.
 */
import { Lateness } from "./first-tokens.ts"
import { Forecast } from "./forecast.ts"
import { PromptCache } from "./prompt-cache.ts"
import { bytesOf, type PromptChain } from "./prompt-chain.ts"
import { RecentTurns } from "./recent-turns.ts"
import { commonUpTo, readBy, type Running, type Seen, sharedBlocks, type Work } from "./running.ts"
import { type Pinned, type Pinning, type SlotPlace, SlotPins } from "./slot-pins.ts"
import { Slots } from "./slots.ts"
import { Speeds } from "./speeds.ts"
import { answerTokensOf, TokenAverages } from "./token-averages.ts"

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

// A first token is late that took so many times what was expected, and longer by so many milliseconds.
const lateTimes = 2.5
const leastLateMs = 5

// An answer with no more tokens than that shows nothing of how fast a server writes.
const fewTokens = 4

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
  readonly tokens = new TokenAverages()
  /** Of what it works on. */
  readonly forecast = new Forecast(this.running, this.speeds, this.tokens, this.turns)
  /** Of its first tokens. */
  readonly lateness = new Lateness()
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

  /** Tokens of a prompt that are likely to be cached here. */
  cachedOf(work: Work): number {
    const { chain } = work
    if (chain === undefined) return 0
    const held = this.cache.depthOf(chain)
    const perByte = this.tokens.perByte(work, chain)
    // Nothing is gone of what is held without a bound.
    if (!this.sharesCache && (held === 0 || this.cache.capacity === Infinity)) return bytesOf(chain, held) * perByte
    const shared = sharedBlocks(this.running, chain)
    if (this.sharesCache && shared >= held) return bytesOf(chain, shared) * perByte
    const kept = this.keptOf(chain, held, shared, perByte)
    return this.sharesCache ? Math.max(bytesOf(chain, shared) * perByte, kept) : kept
  }

  /** The share of a prompt that is likely to be cached here, by what is found on average where nobody knows what is held of it. */
  shareCached(work: Work): number {
    if (work.chain === undefined) return this.tokens.cachedShare ?? 0
    return work.prompt === 0 ? 0 : Math.min(1, this.cachedOf(work) / this.tokens.ofPrompt(work))
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
      left -= this.tokens.ofPrompt(work) - Math.max(known, same)
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
    const place = pins.look(chain, this.tokens.perByte(work, chain), now)
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
    const own = Math.max(0, this.tokens.ofPrompt(work) - cached)
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
    return this.pins.begins(chain, chain === undefined ? 0 : this.tokens.perByte(work, chain), pinning, now)
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
    this.lateness.fades()
    this.speaking += 1
    let working = 0
    for (let at = 0; at < this.running.length; at += 1) {
      const each = this.running[at]
      if (each === undefined) continue
      if (each.firstAt !== 0 || at < place) working += 1
      if (each.firstAt === 0) each.most = Math.max(each.most, this.speaking)
    }
    const took = now - running.at
    const expected = this.forecast.firstToken(running)
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
      running.reading = this.speeds.reads(readBy(running, this.tokens.ofPrompt(running.work) - running.cached), took)
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
    this.lateness.adds(2 * (now - running.at - (this.forecast.firstToken(running) ?? 0)), now)
  }

  /** A request is over; `seen` is what was seen of its answer, undefined where that is nothing. */
  ends(running: Running, now: number, seen: Seen | undefined, others = 0): void {
    const place = this.running.indexOf(running)
    if (place < 0) return
    const atOnce = this.running.length
    this.removes(running, place)
    this.endedAt = now
    this.slots.ended(atOnce + others)
    const { pinned, work } = running
    const { chain } = work
    if (pinned !== undefined && this.pins !== undefined) this.leaves(this.pins, pinned, now, seen)
    if (seen === undefined) {
      // It has been read, whoever left since.
      const isRead = running.firstAt !== 0 && pinned === undefined
      if (isRead && chain !== undefined) this.cache.holds(chain, this.tokens.perByte(work, chain))
      return
    }
    // After one that failed the same turn comes again.
    if (chain !== undefined) this.turns.ends(chain, now)
    this.tokens.learns(work, seen)
    if (!seen.whole) this.learnsFromStream(running, seen, atOnce, now)
    else if (!running.afterLoad) this.learnsFromWhole(running, seen, place, now, others)
    if (chain === undefined) return
    const perByte = this.tokens.perByte(work, chain)
    const told = this.tokens.tellsCached ? seen.tokens : undefined
    if (told !== undefined) this.cache.corrects(chain, perByte, running.cached, told.cached)
    this.cache.holds(chain, perByte)
  }

  private removes(running: Running, place: number): void {
    const isLast = this.running.length === 1
    if (isLast) this.running.pop()
    else this.running.splice(place, 1)
    // What was added up of fractions is not to be left over.
    if (isLast) this.unread = 0
    else if (running.firstAt === 0) this.unread -= running.own
    if (running.firstAt !== 0) this.speaking -= 1
    if (running.work.leaves !== undefined) this.leaving -= 1
  }

  // An answer in one piece shows how long reading and writing took together.
  private learnsFromWhole(running: Running, seen: Seen, place: number, now: number, others: number): void {
    const { tokens } = seen
    const { ahead, at, work } = running
    // Those that came before it have been begun.
    this.slots.begins(place + 1, others)
    const cached = this.tokens.tellsCached && tokens !== undefined ? tokens.cached : running.cached
    const read = ahead + this.tokens.ofPrompt(work) - cached
    if (work.output === 0) this.speeds.reads(read, now - at)
    else this.speeds.answersWhole(read, Math.max(1, answerTokensOf(seen)), now - at)
  }

  // A stream shows how long each took; few tokens show nothing of either.
  private learnsFromStream(running: Running, seen: Seen, atOnce: number, now: number): void {
    const { tokens } = seen
    const count = answerTokensOf(seen)
    if (count <= fewTokens) return
    const { at, behind, firstAt, reading } = running
    if (this.tokens.tellsCached && tokens !== undefined && tokens.prompt > 0)
      this.speeds.corrects(reading, readBy(running, tokens.prompt - tokens.cached), firstAt - at)
    this.speeds.writes((now - firstAt) / count, (atOnce + behind + 1) / 2)
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
      const expected = this.forecast.firstSeen(each)
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
}
