/**
 * Whether the slots of a server keep what they hold from one turn of a conversation to the next: no server tells that, so it is
 * learned by what turns find that are sent to the slot of their last one.
 */

/** Not known, or known to be so or not. */
export type Keeping = "untried" | "keeps" | "forgets"

/** What a request was expected to find in its slot; tokens of its prompt. */
export interface Expected {
  readonly cached: number
  /** Of those what it would have found in the slot of another conversation as well. */
  readonly common: number
  /** Whether there was much more than that: finding it shows that slots keep it. */
  readonly proves: boolean
  /** Whether it was sent to its slot to try that for all others. */
  readonly trial: boolean
}

// Shares of what was expected: whoever finds so much shows that slots keep it, whoever finds less than `missed` that they do not.
const shown = { found: 0.5, missed: 0.1 } as const

// It is tried again after so long, twice as long each time, in milliseconds.
const retryMs = 10 * 60_000
const mostRetryMs = 8 * 60 * 60_000

// So many trials that show nothing are as good as one that shows it.
const mostInVain = 2

/** What is known of that for all slots of one server, which are alike in it. */
export class SlotRetention {
  private keeping: Keeping = "untried"
  private retryAt = 0
  private refusals = 0
  // Trials that found no more than what others have in common with them.
  private inVain = 0
  private trying = false

  /** As it stands, whether or not it is time to try it again. */
  get state(): Keeping {
    return this.keeping
  }

  /** Whether a request may try it: one at a time. */
  get mayTry(): boolean {
    return this.keeping === "untried" && !this.trying
  }

  /** As it counts at a time, in milliseconds. */
  at(now: number): Keeping {
    return this.keeping === "forgets" && now >= this.retryAt ? "untried" : this.keeping
  }

  /** Takes up what has not been tried for long enough; gives whether that was so. */
  retries(now: number): boolean {
    if (this.keeping !== "forgets" || now < this.retryAt) return false
    this.isUnknown()
    return true
  }

  /** A request tries it. */
  tries(): void {
    this.trying = true
  }

  /** The request that tried it has ended, or is no longer one. */
  hasTried(): void {
    this.trying = false
  }

  /** The server was started anew: what it did before shows nothing. */
  restarts(): void {
    this.isUnknown()
    this.refusals = 0
  }

  /** Takes in what a request found in its slot, in tokens; gives whether that shows that no slot holds what it held. */
  hasLost({ cached, common, proves, trial }: Expected, found: number, now: number): boolean {
    if (proves && found - common >= shown.found * (cached - common)) {
      this.keeping = "keeps"
      this.refusals = 0
      this.inVain = 0
      return false
    }
    if (found >= shown.missed * cached) {
      // Another one has been in its slot than was thought: a trial costs as much as one that finds nothing.
      const isInVain = found - common < shown.missed * (cached - common)
      if (trial && isInVain && (this.inVain += 1) >= mostInVain) this.forgets(now)
      return false
    }
    const kept = this.keeping === "keeps"
    // A server that has kept what it held has been started anew: what shows that it does not is the next time.
    this.isUnknown()
    if (!kept) this.forgets(now)
    return true
  }

  private isUnknown(): void {
    this.keeping = "untried"
    this.trying = false
  }

  private forgets(now: number): void {
    if (this.keeping === "forgets") return
    this.keeping = "forgets"
    this.inVain = 0
    this.refusals += 1
    this.retryAt = now + Math.min(mostRetryMs, retryMs * 2 ** (this.refusals - 1))
  }
}
