/**
 * How many requests a server works on at once, as far as it can be seen from outside.
 */

// Requests in a row that waited behind fewer than it was thought to work on, before it is believed to have fewer.
const contradictions = 3

/** The slots of one server with one model, learned from when answers begin. */
export class Slots {
  /** The most that it was seen to work on at once. */
  private peak = 0
  private isKnown = false
  private fewer = 0
  private fewest = 0

  /** The slots that were seen; undefined while nothing has waited inside of the server. */
  get seen(): number | undefined {
    return this.isKnown ? this.peak : undefined
  }

  /** An answer has begun while so many were worked on, it included. */
  begins(working: number): void {
    if (working <= this.peak) return
    this.peak = working
    this.fewer = 0
  }

  /** An answer has begun only when another had ended: it waited behind so many. */
  waited(behind: number): void {
    if (behind === 0) return
    if (behind >= this.peak) {
      this.peak = behind
      this.isKnown = true
      this.fewer = 0
      return
    }
    this.fewest = this.fewer === 0 ? behind : Math.max(this.fewest, behind)
    this.fewer += 1
    if (this.fewer < contradictions) return
    this.peak = this.fewest
    this.isKnown = true
    this.fewer = 0
  }

  /** Forgets everything: the server has been away. */
  clear(): void {
    this.peak = 0
    this.isKnown = false
    this.fewer = 0
  }
}
