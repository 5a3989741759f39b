/**
 * Which conversations have been at one server of late, and what one of their turns takes there: a new one is better off where
 * there are few, since it comes back.
 */
import type { PromptChain } from "./prompt-chain.ts"

// A conversation was there of late that has been among so many last requests of all servers.
const lately = 256

// Conversations that are remembered of one server at most: others may tell of any number.
const mostKept = 1000

// Among so many first requests nobody can have come back yet.
const early = 32

// Weight of a new sample.
const fresh = 0.2

/** Exponential smoothing; the first sample is taken as it is. */
export const smooth = (before: number | undefined, sample: number): number =>
  before === undefined ? sample : before + fresh * (sample - before)

/** How long one waits on average for what takes so long from now on that comes after a pause, as likely to end at any time as at another. */
export const awaited = (ms: number, pauseMs: number): number =>
  ms <= 0 ? 0 : pauseMs <= 0 ? ms : ms - pauseMs * (1 - Math.exp(-ms / pauseMs))

/** What is known of one conversation. */
interface Last {
  /** The request of it that was there last. */
  nth: number
  /** When the answer to that ended, in milliseconds; 0 while it has not. */
  endedAt: number
  /** Whether it is known to go on: it has had a further turn, here or elsewhere. */
  goesOn: boolean
}

/** The last turns of conversations at one server. */
export class RecentTurns {
  // By their roots, in the order in which they were there last.
  private readonly last = new Map<number, Last>()
  private newest = 0
  // How many of them are known to go on.
  private goingOn = 0
  /** Tokens that a further turn of one has to read, on average; undefined while none was seen. */
  tokens: number | undefined
  /** How long it is from an answer to the next turn of its conversation, on average, in milliseconds; undefined while none was seen. */
  pauseMs: number | undefined

  /** A turn begins of which so many tokens have to be read. */
  begins({ known = false, nth, root }: PromptChain, tokens: number, now: number): void {
    const last = this.last.get(root)
    if (last !== undefined) {
      this.tokens = smooth(this.tokens, tokens)
      if (last.endedAt > 0) this.pauseMs = smooth(this.pauseMs, now - last.endedAt)
    }
    if (nth === undefined) return
    this.newest = Math.max(this.newest, nth)
    this.isHere(root, known)
  }

  /** The answer to a turn has ended. */
  ends({ root }: PromptChain, now: number): void {
    const last = this.last.get(root)
    if (last !== undefined) last.endedAt = now
  }

  /** It was given a turn of this conversation, by another process unless it `begins` here; whether that is known to be a further one. */
  isHere(root: number, isFurther = false): void {
    const last = this.last.get(root)
    const goesOn = isFurther || last !== undefined
    this.forget(root)
    this.last.set(root, { nth: this.newest, endedAt: 0, goesOn })
    if (goesOn) this.goingOn += 1
    if (this.last.size <= mostKept) return
    const [oldest] = this.last.keys()
    if (oldest !== undefined) this.forget(oldest)
  }

  private forget(root: number): void {
    if (this.last.get(root)?.goesOn === true) this.goingOn -= 1
    this.last.delete(root)
  }

  /** How many conversations have been there of late. */
  get size(): number {
    return this.last.size
  }

  /** How many others than this one have been there of late. */
  others({ nth = 0, root }: PromptChain): number {
    const count = this.countBy(nth)
    return this.has(root) ? count - 1 : count
  }

  /**
   * How many others than this one are likely to come back: those that went on, and of those that asked once as many as
   * requests go on with a conversation.
   */
  likelyBack(chain: PromptChain): number {
    const { continuing = 1, nth = 0, root } = chain
    const others = this.others(chain)
    const goingOn = this.goingOn - (this.last.get(root)?.goesOn === true ? 1 : 0)
    return goingOn + Math.max(continuing, Math.min(1, early / Math.max(1, nth))) * (others - goingOn)
  }

  /** Whether a conversation has been there. */
  has(root: number): boolean {
    return this.last.has(root)
  }

  /** How many conversations were there of late when so many requests have been seen. */
  countBy(nth: number): number {
    // What others tell of from now on is as late as this, though this process had it do nothing for long.
    this.newest = Math.max(this.newest, nth)
    for (const [root, last] of this.last) {
      if (last.nth >= nth - lately) break
      this.forget(root)
    }
    return this.last.size
  }
}
