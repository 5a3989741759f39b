/**
 * Records that wait to be written, in batches: the bytes of the text that the file has of them, and their sums. Objects and texts that
 * outlive their request by a little are what a collector has most work with, and rows of their own take SQLite longer than all else.
 */
import { outcomes } from "../domain/request.ts"
import { countSources, isSameSeries, priceSources, type UsageRecord, type UsageSeries } from "./usage-record.ts"

/** Milliseconds of an hour. */
export const hourMs = 3_600_000

/** Records of one batch at most, which is what one transaction takes: longer ones would hold up the requests of this process. */
export const mostTogether = 1000

// What is in the text of a record beside its id: 10 numbers of 17 characters at most, and what is between them.
const longestRest = 200

// A character of an id that JSON has no place for is written as its number.
const longestCharacter = 6

// As much as a batch has of ids of the usual length.
const usualBytes = 64 * 1024

const [comma, quote, open, close, minus, zero, backslash, letterU] = [44, 34, 91, 93, 45, 48, 92, 117] as const

const hexDigits = new TextEncoder().encode("0123456789abcdef")

// What is no number is 0: the file would refuse it, with all that is to be written together.
const nearest = (value: number): number =>
  Number.isFinite(value) ? Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.round(value))) : 0

const whole = (value: number): number => (Number.isSafeInteger(value) ? value : nearest(value))

/** Writes a whole number; gives where what follows begins. */
const putNumber = (bytes: Uint8Array, from: number, value: number): number => {
  let at = from
  let rest = value
  if (rest < 0) {
    bytes[at++] = minus
    rest = -rest
  }
  if (rest < 10) {
    bytes[at] = zero + rest
    return at + 1
  }
  let end = at + 1
  for (let power = 10; power <= rest; power *= 10) end += 1
  for (let place = end - 1; place >= at; place -= 1) {
    const next = rest < 0x7fff_ffff ? (rest / 10) | 0 : Math.floor(rest / 10)
    bytes[place] = zero + (rest - next * 10)
    rest = next
  }
  return end
}

const putNext = (bytes: Uint8Array, from: number, value: number): number => {
  bytes[from] = comma
  return putNumber(bytes, from + 1, value)
}

const putText = (bytes: Uint8Array, from: number, text: string): number => {
  let at = from
  bytes[at++] = quote
  for (let place = 0; place < text.length; place += 1) {
    const code = text.charCodeAt(place)
    if (code >= 0x20 && code < 0x7f && code !== quote && code !== backslash) {
      bytes[at++] = code
      continue
    }
    bytes[at++] = backslash
    bytes[at++] = letterU
    for (let shift = 12; shift >= 0; shift -= 4) bytes[at++] = hexDigits[(code >> shift) & 15] ?? zero
  }
  bytes[at++] = quote
  return at
}

/** Records of one series and hour that ended alike, and the sums of what they differ in. */
export class RecordKind {
  readonly series: UsageSeries
  readonly outcome: UsageRecord["outcome"]
  readonly status: number
  readonly stream: boolean
  readonly attempts: number
  readonly counted: UsageRecord["counted"]
  readonly priced: UsageRecord["cost"]["by"]
  /** When its hour begins, in milliseconds since 1970. */
  readonly from: number
  requests = 0
  fresh = 0
  cacheRead = 0
  cacheWrite = 0
  output = 0
  reasoning = 0
  nanos = 0
  durationMs = 0

  constructor(record: UsageRecord) {
    const { backend, dialect, endpoint, key, model, owner, served, shadow } = record
    this.series = { key, owner, model, served, backend, dialect, endpoint, shadow }
    this.outcome = record.outcome
    this.status = record.status
    this.stream = record.stream
    this.attempts = record.attempts
    this.counted = record.counted
    this.priced = record.cost.by
    this.from = Math.floor(record.at / hourMs) * hourMs
  }

  isOf(record: UsageRecord): boolean {
    const sinceHour = record.at - this.from
    return (
      sinceHour >= 0 &&
      sinceHour < hourMs &&
      this.status === record.status &&
      this.stream === record.stream &&
      this.attempts === record.attempts &&
      this.outcome === record.outcome &&
      this.counted === record.counted &&
      this.priced === record.cost.by &&
      isSameSeries(this.series, record)
    )
  }

  /** What its records have in common beside their series, as the file has it: words are their places in their lists. */
  get shared(): string {
    const { attempts, counted, outcome, priced, status, stream } = this
    return [
      outcomes.indexOf(outcome),
      whole(status),
      stream ? 1 : 0,
      whole(attempts),
      countSources.indexOf(counted),
      priceSources.indexOf(priced)
    ].join(",")
  }
}

// Kinds that are looked through for the one of a record: those of records that come one after the other are few.
const mostLately = 8

/** Records that are written together, in the order in which they came. */
export class RecordBatch {
  readonly kinds: Array<RecordKind> = []
  /** When the first one ended, and the one that ended last, in milliseconds since 1970. */
  at = 0
  last = 0
  count = 0
  private bytes = new Uint8Array(usualBytes)
  private to = 0
  private lately = 0

  /**
   * Its records as JSON, an array of arrays: milliseconds from `at` to its end, id, the place of its kind, tokens (fresh, read from the
   * cache, written to it, output, reasoning), billionths of a dollar, how long it took in milliseconds, and to its first byte, which is
   * absent where none came. It is good until something else is done with the batch.
   */
  get text(): Uint8Array {
    this.bytes[this.to] = close
    return this.bytes.subarray(0, this.to + 1)
  }

  add(record: UsageRecord): void {
    const { at: ended, cost, firstByteMs, requestId, tokens } = record
    if (this.count === 0) this.at = this.last = ended
    else if (ended > this.last) this.last = ended
    const kind = this.kindOf(record)
    const { bytes } = this.withRoom(requestId.length * longestCharacter + longestRest)
    const fresh = whole(tokens.fresh)
    const cacheRead = whole(tokens.cacheRead)
    const cacheWrite = whole(tokens.cacheWrite)
    const output = whole(tokens.output)
    const reasoning = whole(tokens.reasoning)
    const nanos = whole(cost.nanos)
    const durationMs = whole(record.durationMs)
    let { to } = this
    bytes[to++] = this.count === 0 ? open : comma
    bytes[to++] = open
    to = putNumber(bytes, to, whole(ended - this.at))
    bytes[to++] = comma
    to = putText(bytes, to, requestId)
    to = putNext(bytes, to, this.lately)
    to = putNext(bytes, to, fresh)
    to = putNext(bytes, to, cacheRead)
    to = putNext(bytes, to, cacheWrite)
    to = putNext(bytes, to, output)
    to = putNext(bytes, to, reasoning)
    to = putNext(bytes, to, nanos)
    to = putNext(bytes, to, durationMs)
    if (firstByteMs !== undefined) {
      to = putNext(bytes, to, whole(firstByteMs))
    }
    bytes[to++] = close
    this.to = to
    this.count += 1
    kind.requests += 1
    kind.fresh += fresh
    kind.cacheRead += cacheRead
    kind.cacheWrite += cacheWrite
    kind.output += output
    kind.reasoning += reasoning
    kind.nanos += nanos
    kind.durationMs += durationMs
  }

  /** Has it begin anew. */
  clear(): void {
    this.kinds.length = 0
    this.count = 0
    this.to = 0
    this.lately = 0
  }

  /** The kind of a record, at `lately`. */
  private kindOf(record: UsageRecord): RecordKind {
    const { kinds, lately } = this
    const before = kinds[lately]
    if (before?.isOf(record) === true) return before
    const least = Math.max(0, kinds.length - mostLately)
    for (let at = kinds.length - 1; at >= least; at -= 1) {
      const known = kinds[at]
      if (known?.isOf(record) !== true) continue
      this.lately = at
      return known
    }
    const made = new RecordKind(record)
    this.lately = kinds.length
    kinds.push(made)
    return made
  }

  private withRoom(more: number): this {
    const needed = this.to + more
    if (needed <= this.bytes.length) return this
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    larger.set(this.bytes.subarray(0, this.to))
    this.bytes = larger
    return this
  }
}

// As many as fill up between two times that some are written.
const mostSpare = 8

/** Batches in the order in which they came, of which the last one grows. */
export class PackedRecords {
  readonly batches: Array<RecordBatch> = []
  private readonly spare: Array<RecordBatch> = []
  private growing: RecordBatch | undefined
  private waiting = 0

  /** How many records there are. */
  get size(): number {
    return this.waiting
  }

  push(record: UsageRecord): void {
    const { growing } = this
    const batch = growing === undefined || growing.count >= mostTogether ? this.begin() : growing
    batch.add(record)
    this.waiting += 1
  }

  /** Lets the first batch go; gives how many records it had. */
  drop(): number {
    const batch = this.batches.shift()
    if (batch === undefined) return 0
    const { count } = batch
    this.waiting -= count
    if (batch === this.growing) this.growing = undefined
    if (this.spare.length < mostSpare) {
      batch.clear()
      this.spare.push(batch)
    }
    return count
  }

  private begin(): RecordBatch {
    const begun = this.spare.pop() ?? new RecordBatch()
    this.batches.push(begun)
    this.growing = begun
    return begun
  }
}
