/**
 * What has happened lately, counted by the second: rates that need neither a timer nor a memory of single events.
 */

// A power of two beyond the longest look back.
const slots = 64

/** Sums over the last seconds. */
export class RecentCounts {
  private readonly counted: Float64Array
  private readonly width: number
  private second = 0

  /** For `width` things that are counted. */
  constructor(width: number) {
    this.width = width
    this.counted = new Float64Array(slots * width)
  }

  /** Counts `amount` of one of the things; `now` in monotonic milliseconds, never before an earlier one. */
  add(thing: number, amount: number, now: number): void {
    const second = Math.floor(now / 1000)
    if (second !== this.second) this.turn(second)
    const place = (second & (slots - 1)) * this.width + thing
    this.counted[place] = (this.counted[place] ?? 0) + amount
  }

  /** How much of one of the things there was in this second and the `seconds` before it, at most 62. */
  sum(thing: number, seconds: number, now: number): number {
    const second = Math.floor(now / 1000)
    if (second !== this.second) this.turn(second)
    let sum = 0
    for (let back = 0; back <= seconds; back += 1) {
      sum += this.counted[((second - back) & (slots - 1)) * this.width + thing] ?? 0
    }
    return sum
  }

  // Seconds in which nothing happened are empty.
  private turn(second: number): void {
    const from = Math.max(this.second + 1, second - slots + 1)
    for (let each = from; each <= second; each += 1) {
      const place = (each & (slots - 1)) * this.width
      this.counted.fill(0, place, place + this.width)
    }
    this.second = second
  }
}

/** The time that {@link RecentCounts.sum} looks back over, in seconds; less while the process is young. */
export const coveredSeconds = (seconds: number, now: number): number =>
  Math.min(seconds + ((now / 1000) % 1), now / 1000)
