/**
 * How long answers took to begin of late: what tells when one is late.
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
