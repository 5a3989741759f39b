/**
 * How long answers took to begin of late, which tells when one is late, and how late they are on average. Times in milliseconds.
 */

// Times that are kept of one server with one model.
const kept = 128

/** The last times to the first token of one server with one model, in milliseconds. */
export class FirstTokens {
  private readonly times = new Float64Array(kept)
  private next = 0
  private held = 0

  /** How many are kept. */
  get size(): number {
    return this.held
  }

  /** Those that are kept, in no order. */
  get all(): Float64Array {
    return this.times.subarray(0, this.held)
  }

  /** Takes in another one, in place of the oldest. */
  add(ms: number): void {
    this.times[this.next] = ms
    this.next = (this.next + 1) % kept
    this.held = Math.min(kept, this.held + 1)
  }
}

/** The time within which a share of all these answers began, 0 to 1, in milliseconds; undefined where there are none. */
export const quantileOf = (several: ReadonlyArray<FirstTokens>, share: number): number | undefined => {
  const times = new Float64Array(several.reduce((sum, { size }) => sum + size, 0))
  let at = 0
  for (const { all } of several) {
    times.set(all, at)
    at += all.length
  }
  return times.sort()[Math.max(0, Math.ceil(share * times.length) - 1)]
}

// Weight of a first token that was late: few are.
const seldom = 0.05

// After so long half of it is forgotten.
const halfLifeMs = 60_000

/** By how much first tokens of one server with one model come later than was to be expected, on average; of models that are hedged. */
export class Lateness {
  private ms = 0
  private at = 0

  /** The average now; what was seen a while ago counts for less. */
  by(now: number): number {
    return this.ms === 0 ? 0 : this.ms * 0.5 ** ((now - this.at) / halfLifeMs)
  }

  /** Takes in a first token that is late by so much. */
  adds(beyondMs: number, now: number): void {
    const known = this.by(now)
    this.ms = known + seldom * Math.max(0, beyondMs - known)
    this.at = now
  }

  /** Another answer has begun: those that were late before it count for less. */
  fades(): void {
    this.ms *= 1 - seldom
  }
}
