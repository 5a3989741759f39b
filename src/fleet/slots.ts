/**
 * How many requests a server works on at once, as far as it can be seen from outside.
 */

// Requests in a row that waited behind fewer than it was thought to work on, before it is believed to have fewer.
const contradictions = 3

// Requests that a server is given at a time while nothing is known, and by how much more at each step.
const search = { from: 4, times: 1.5 } as const

// Answers that begin for each slot, before a further one is looked for.
const tryAfter = 4

/** The slots of one server with one model, learned from when answers begin. */
export class Slots {
  /** The most that it was seen to work on at once. */
  private peak = 0
  private isKnown = false
  private fewer = 0
  private fewest = 0
  private limit: number = search.from
  // Answers that have begun since it was given more than its slots.
  private begun = 0

  /** The slots that were seen; undefined while nothing has waited inside of the server. */
  get seen(): number | undefined {
    return this.isKnown ? this.peak : undefined
  }

  /** Requests that it may be given at a time; now and then one more, which shows whether there is a further slot. */
  get places(): number {
    if (!this.isKnown) return this.limit
    return this.begun >= tryAfter * this.peak ? this.peak + 1 : this.peak
  }

  /** It has been given so many. */
  given(running: number): void {
    if (running > this.peak) this.begun = 0
  }

  /** It is given all that it may be, and more wait for it: it may have half as many more, or one more than its slots. */
  widens(running: number): void {
    if (this.isKnown) this.begun = tryAfter * this.peak
    else this.limit = Math.ceil(Math.max(this.limit, running) * search.times)
  }

  /** An answer has begun while so many were worked on, it included. */
  begins(working: number): void {
    this.begun += 1
    this.limit = Math.max(this.limit, working + 1)
    if (working <= this.peak) return
    this.peak = working
    this.fewer = 0
    // Where there was a further one there may be more.
    this.begun = tryAfter * working
  }

  /** An answer has begun only when another had ended: so many are worked on at once, it included. */
  waited(working: number): void {
    this.begun += 1
    if (working >= this.peak) {
      this.peak = working
      this.isKnown = true
      this.fewer = 0
      return
    }
    this.fewest = this.fewer === 0 ? working : Math.max(this.fewest, working)
    this.fewer += 1
    if (this.fewer < contradictions) return
    this.peak = this.fewest
    this.isKnown = true
    this.fewer = 0
  }

  /** Forgets everything: the server has been away. */
  clear(): void {
    this.peak = 0
    this.limit = search.from
    this.isKnown = false
    this.fewer = 0
  }
}
