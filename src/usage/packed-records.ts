/**
 * Records that wait to be written, packed as numbers in columns: objects that outlive their request by a little are what a collector
 * has most work with, and leave holes behind that make every object after them dearer. They are written from the columns, too.
 */
import { outcomes } from "../domain/request.ts"
import { countSources, isSameSeries, priceSources, type UsageRecord, type UsageSeries } from "./usage-record.ts"

/** The numbers of a record, by their columns; words are their places in their lists, and no first byte is below 0. */
export const packedColumns = {
  at: 0,
  outcome: 1,
  status: 2,
  stream: 3,
  attempts: 4,
  fresh: 5,
  cacheRead: 6,
  cacheWrite: 7,
  output: 8,
  reasoning: 9,
  counted: 10,
  nanos: 11,
  priced: 12,
  durationMs: 13,
  firstByteMs: 14
} as const

const width = 15

// As many as come between two times that some are written; more have the room that they need for as long as they wait.
const usualRoom = 4096

const placesIn = <Word extends string>(words: ReadonlyArray<Word>): ReadonlyMap<Word, number> =>
  new Map(words.map((word, at) => [word, at]))

const outcomePlaces = placesIn(outcomes)
const countPlaces = placesIn(countSources)
const pricePlaces = placesIn(priceSources)

// Series of which it is remembered that some came of late: those of records that wait are few.
const mostLately = 8

const none: UsageSeries = {
  key: "",
  owner: "",
  model: "",
  served: "",
  backend: "",
  dialect: "",
  endpoint: "",
  shadow: false
}

/** Records in the order in which they came. */
export class PackedRecords {
  private numbers = new Float64Array(usualRoom * width)
  private ids = Array.from({ length: usualRoom }, () => "")
  private series = Array.from({ length: usualRoom }, () => none)
  private readonly lately: Array<UsageSeries> = []
  private next = 0
  private from = 0
  private to = 0

  /** How many there are. */
  get size(): number {
    return this.to - this.from
  }

  push(record: UsageRecord): void {
    if (this.to === this.ids.length) this.makeRoom()
    const { cost, tokens } = record
    const { numbers, to } = this
    this.ids[to] = record.requestId
    this.series[to] = this.seriesOf(record)
    let column = to * width
    numbers[column++] = record.at
    numbers[column++] = outcomePlaces.get(record.outcome) ?? 0
    numbers[column++] = record.status
    numbers[column++] = record.stream ? 1 : 0
    numbers[column++] = record.attempts
    numbers[column++] = tokens.fresh
    numbers[column++] = tokens.cacheRead
    numbers[column++] = tokens.cacheWrite
    numbers[column++] = tokens.output
    numbers[column++] = tokens.reasoning
    numbers[column++] = countPlaces.get(record.counted) ?? 0
    numbers[column++] = cost.nanos
    numbers[column++] = pricePlaces.get(cost.by) ?? 0
    numbers[column++] = record.durationMs
    numbers[column] = record.firstByteMs ?? -1
    this.to = to + 1
  }

  /** What the one at a place, counted from the first, has in common with others: the same object where they follow one another. */
  seriesAt(place: number): UsageSeries {
    return this.series[this.from + place] ?? none
  }

  idAt(place: number): string {
    return this.ids[this.from + place] ?? ""
  }

  /** What is no number is 0: the file would refuse it, with all that is to be written together. */
  numberAt(place: number, column: number): number {
    return this.numbers[(this.from + place) * width + column] || 0
  }

  /** Lets so many of the first ones go. */
  drop(count: number): void {
    this.from = Math.min(this.to, this.from + count)
    if (this.size > 0) return
    this.from = 0
    this.to = 0
    if (this.ids.length > usualRoom) this.moveTo(usualRoom)
  }

  private seriesOf(record: UsageSeries): UsageSeries {
    const { lately } = this
    for (let at = 0; at < lately.length; at += 1) {
      const known = lately[at]
      if (known !== undefined && isSameSeries(known, record)) return known
    }
    const { backend, dialect, endpoint, key, model, owner, served, shadow } = record
    const made = { key, owner, model, served, backend, dialect, endpoint, shadow }
    lately[this.next] = made
    this.next = (this.next + 1) % mostLately
    return made
  }

  private makeRoom(): void {
    this.moveTo(this.size * 2 > this.ids.length ? this.ids.length * 2 : this.ids.length)
  }

  private moveTo(room: number): void {
    const { from, size, to } = this
    const numbers = new Float64Array(room * width)
    numbers.set(this.numbers.subarray(from * width, to * width))
    this.numbers = numbers
    this.ids = Array.from({ length: room }, (_, at) => (at < size ? (this.ids[from + at] ?? "") : ""))
    this.series = Array.from({ length: room }, (_, at) => (at < size ? (this.series[from + at] ?? none) : none))
    this.from = 0
    this.to = size
  }
}
