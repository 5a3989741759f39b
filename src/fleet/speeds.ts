/**
 * How fast a server reads prompts and writes answers, learned from what it does.
 */

// Samples of reading that are kept: the last ones.
const kept = 24

// Prompts with fewer tokens to read show what every request costs, not how fast it reads.
const leastRead = 64

// No token is read faster than that, in milliseconds.
const leastMs = 0.0001

// Waiting only makes a reading look slower than it is: the faster ones are nearer to the truth.
const truthful = 0.7

// So many times faster than before is news, and no accident.
const recovered = 4

// Weight of a new sample.
const fresh = 0.2

/** What answers that come in one piece show. */
interface WholeSpeeds {
  readonly readMs: number | undefined
  readonly writeMs: number
}

/** Speeds of one server with one model; times in milliseconds. */
export class Speeds {
  // Milliseconds for a token, in the order of the readings.
  private readonly readings: Array<{ readonly nth: number; readonly ms: number }> = []
  private noted = 0
  // What they come to; undefined until somebody asks.
  private perRead: number | undefined
  private base: number | undefined
  // Writing as a line over how many were written at once, by weighted sums.
  private weight = 0
  private sumN = 0
  private sumNN = 0
  private sumMs = 0
  private sumNMs = 0
  // Whole answers, which do not tell when they begin: as a plane over what was read and written.
  private wholes = 0
  private wholeRR = 0
  private wholeRW = 0
  private wholeWW = 0
  private wholeRMs = 0
  private wholeWMs = 0
  // What they come to; undefined until somebody asks.
  private solved: WholeSpeeds | undefined

  /** Milliseconds for a token that is read; undefined while none was measured. */
  get readMs(): number | undefined {
    if (this.readings.length === 0) return this.ofWhole()?.readMs
    return (this.perRead ??= this.truest())
  }

  /** Milliseconds that the smallest request takes to its first token; undefined while none was measured. */
  get baseMs(): number | undefined {
    return this.base
  }

  /**
   * Notes that it took so long to the first token, with so many tokens to read before it, those of others included. Gives which
   * reading that was, to be corrected; 0 where it shows no more than what every request costs.
   */
  reads(tokens: number, ms: number): number {
    if (tokens < leastRead) {
      // Whatever made it many times slower is over.
      const isOver = this.base === undefined || ms * recovered < this.base
      this.base = isOver || this.base === undefined ? ms : this.base + fresh * (ms - this.base)
      return 0
    }
    this.noted += 1
    this.readings.push({ nth: this.noted, ms: this.perToken(tokens, ms) })
    if (this.readings.length > kept) this.readings.shift()
    this.perRead = undefined
    return this.noted
  }

  /** Notes how many tokens a reading had to read, once that is told; one that shows nothing takes no other's place. */
  corrects(reading: number, tokens: number, ms: number): void {
    const at = this.readings.findIndex(({ nth }) => nth === reading)
    if (at < 0) return
    if (tokens < leastRead) this.readings.splice(at, 1)
    else this.readings[at] = { nth: reading, ms: this.perToken(tokens, ms) }
    this.perRead = undefined
  }

  private perToken(tokens: number, ms: number): number {
    return Math.max(leastMs, ms - Math.min(this.base ?? 0, ms / 2)) / tokens
  }

  private truest(): number | undefined {
    const sorted = this.readings.map(({ ms }) => ms).toSorted((a, b) => a - b)
    return sorted[Math.floor((sorted.length - 1) * (1 - truthful))]
  }

  /** Notes that a token of an answer took so long while so many were written. */
  writes(msPerToken: number, atOnce: number): void {
    const known = this.weight === 0 ? 0 : this.sumMs / this.weight
    const keep = msPerToken * recovered < known ? 0 : 1 - fresh / 4
    this.weight = this.weight * keep + 1
    this.sumN = this.sumN * keep + atOnce
    this.sumNN = this.sumNN * keep + atOnce * atOnce
    this.sumMs = this.sumMs * keep + msPerToken
    this.sumNMs = this.sumNMs * keep + atOnce * msPerToken
  }

  /** Notes that a whole answer took so long, with so many tokens to read before it and so many written. */
  answersWhole(read: number, written: number, ms: number): void {
    const known = this.ofWhole()
    const expected = known === undefined ? 0 : read * (known.readMs ?? 0) + written * known.writeMs
    const keep = ms * recovered < expected ? 0 : 1 - fresh / 4
    this.wholes = this.wholes * keep + 1
    this.wholeRR = this.wholeRR * keep + read * read
    this.wholeRW = this.wholeRW * keep + read * written
    this.wholeWW = this.wholeWW * keep + written * written
    this.wholeRMs = this.wholeRMs * keep + read * ms
    this.wholeWMs = this.wholeWMs * keep + written * ms
    this.solved = undefined
  }

  private ofWhole(): WholeSpeeds | undefined {
    return this.wholeWW === 0 ? undefined : (this.solved ??= this.solve())
  }

  private solve(): WholeSpeeds {
    const { wholeRMs, wholeRR, wholeRW, wholeWMs, wholeWW } = this
    const spread = wholeRR * wholeWW - wholeRW * wholeRW
    // Where one is always the same multiple of the other, nothing tells them apart.
    if (spread <= 0.001 * wholeRR * wholeWW) return { readMs: undefined, writeMs: wholeWMs / wholeWW }
    const readMs = (wholeRMs * wholeWW - wholeWMs * wholeRW) / spread
    const writeMs = (wholeWMs * wholeRR - wholeRMs * wholeRW) / spread
    return readMs <= 0 ? { readMs: undefined, writeMs: wholeWMs / wholeWW } : { readMs, writeMs: Math.max(0, writeMs) }
  }

  /** By how many prompts it is borne out how fast it reads. */
  get read(): number {
    return this.readings.length === 0 ? this.wholes : this.readings.length
  }

  /** By how many answers it is borne out how fast it writes, those long ago counting for less. */
  get written(): number {
    return this.weight === 0 ? this.wholes : this.weight
  }

  /** Milliseconds for a token of one of so many answers; undefined while none was measured. */
  writeMs(atOnce: number): number | undefined {
    const { sumMs, sumN, sumNMs, sumNN, weight } = this
    if (weight === 0) return this.ofWhole()?.writeMs
    const mean = sumMs / weight
    const meanN = sumN / weight
    const spread = sumNN / weight - meanN * meanN
    // Without a spread nothing is known of how it depends.
    const slope = spread < 0.05 ? 0 : Math.max(0, (sumNMs / weight - mean * meanN) / spread)
    // However many there are, it is not better to write one after the other.
    const most = mean * Math.max(1, atOnce / meanN)
    return Math.min(most, Math.max(mean / 8, mean + slope * (atOnce - meanN)))
  }
}
