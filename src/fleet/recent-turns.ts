/**
 * Which conversations have been at one server of late, and what one of their turns takes there: a new one is better off where
 * there are few, since it comes back.
 */
import type { PromptChain } from "./prompt-chain.ts"

// A conversation was there of late that has been among so many last requests of all servers.
const lately = 256

// Of more than that, it is no matter how many there are.
const most = 8

// Conversations that are remembered of one server at most: others may tell of any number.
const mostKept = 1000

// Weight of a new sample.
const fresh = 0.2

/** The last turns of conversations at one server. */
export class RecentTurns {
  // By their roots, with the request of each that was there last, in that order.
  private readonly last = new Map<number, number>()
  private tokens = 0
  private newest = 0

  /** A turn begins of which so many tokens have to be read. */
  begins({ nth, root }: PromptChain, tokens: number): void {
    this.tokens = this.tokens === 0 ? tokens : this.tokens + fresh * (tokens - this.tokens)
    if (nth === undefined) return
    this.newest = Math.max(this.newest, nth)
    this.isHere(root)
  }

  /** Another process gave it a turn of this conversation. */
  isHere(root: number): void {
    this.last.delete(root)
    this.last.set(root, this.newest)
    if (this.last.size <= mostKept) return
    const [oldest] = this.last.keys()
    if (oldest !== undefined) this.last.delete(oldest)
  }

  /** Whether a conversation has been there. */
  has(root: number): boolean {
    return this.last.has(root)
  }

  /** Tokens that those that were there of late have read with a turn each, when so many requests have been seen. */
  tokensBy(nth: number): number {
    // What others tell of from now on is as late as this, though this process had it do nothing for long.
    this.newest = Math.max(this.newest, nth)
    for (const [root, seen] of this.last) {
      if (seen >= nth - lately) break
      this.last.delete(root)
    }
    return Math.min(most, this.last.size) * this.tokens
  }
}
