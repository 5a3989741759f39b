/**
 * The ledger in a file of SQLite: a row for each request, and the sums of each hour. All calls are plain, short and made by
 * one fiber; what fails throws and has changed nothing.
 */
import { outcomes } from "../domain/request.ts"
import { type FigureSums, type ReportGroup, summedFigures } from "../domain/usage-words.ts"
import type { Database, Migrations, Statement } from "../store/Database.ts"
import { packedColumns as column, type PackedRecords } from "./packed-records.ts"
import { countSources, priceSources, type UsageSeries } from "./usage-record.ts"
import { BatchSums, hourMs, type UsageSums } from "./usage-sums.ts"

/** What a report is of: whole hours from `from` to before `to`, in milliseconds since 1970. */
export interface ReportQuery {
  readonly by: ReadonlyArray<ReportGroup>
  readonly from: number
  readonly to: number
  /** Whether it is of the copies that rules sent elsewhere, in place of the requests. */
  readonly shadows: boolean
}

/** The tables of the ledger. */
export const usageMigrations: Migrations = {
  part: "usage",
  steps: [
    `create table usage_series (
    id integer primary key,
    key text not null, owner text not null, model text not null, served text not null,
    backend text not null, dialect text not null, endpoint text not null, shadow integer not null,
    unique (key, owner, model, served, backend, dialect, endpoint, shadow)
  );
  create table usage_records (
    id integer primary key,
    at integer not null, request_id text not null, series integer not null,
    outcome integer not null, status integer not null, stream integer not null, attempts integer not null,
    fresh integer not null, cache_read integer not null, cache_write integer not null,
    output integer not null, reasoning integer not null, counted integer not null,
    cost_nanos integer not null, priced integer not null,
    duration_ms integer not null, first_byte_ms integer
  );
  create table usage_hours (
    hour integer not null, series integer not null,
    ${summedFigures.map((figure) => `${figure} integer not null`).join(", ")},
    primary key (hour, series)
  ) without rowid;
  create view usage as select
    datetime(r.at / 1000, 'unixepoch') ended, r.request_id,
    s.key, s.owner, s.model, s.served, s.backend, s.dialect, s.endpoint, s.shadow,
    case r.outcome ${outcomes.map((name, at) => `when ${at} then '${name}'`).join(" ")} end outcome,
    r.status, r.stream, r.attempts, r.fresh, r.cache_read, r.cache_write, r.output, r.reasoning,
    case r.counted ${countSources.map((name, at) => `when ${at} then '${name}'`).join(" ")} end counted,
    r.cost_nanos / 1e9 cost_usd,
    case r.priced ${priceSources.map((name, at) => `when ${at} then '${name}'`).join(" ")} end priced,
    r.duration_ms, r.first_byte_ms
    from usage_records r join usage_series s on s.id = r.series;`,
    `create table usage_ledger (id text not null);
  insert into usage_ledger values (lower(hex(randomblob(8))));`,
    `create table usage_news (
    budget text not null, of text not null, begun integer not null, news text not null,
    primary key (budget, of, begun, news)
  ) without rowid;`
  ]
}

const columns =
  "at, request_id, series, outcome, status, stream, attempts, fresh, cache_read, cache_write, output, reasoning, counted, cost_nanos, priced, duration_ms, first_byte_ms"

const width = columns.split(", ").length

// Rows of one statement: less of the time goes into calls.
const together = 20

const marks = (rows: number): string =>
  Array.from({ length: rows }, () => `(${Array.from({ length: width }, () => "?").join(", ")})`).join(", ")

const groupings: Readonly<Record<ReportGroup, string>> = {
  key: "s.key",
  owner: "s.owner",
  model: "s.model",
  served: "s.served",
  backend: "s.backend",
  dialect: "s.dialect",
  endpoint: "s.endpoint",
  day: "strftime('%Y-%m-%d', h.hour * 3600, 'unixepoch')",
  hour: "strftime('%Y-%m-%dT%H:00Z', h.hour * 3600, 'unixepoch')"
}

const sumColumns = summedFigures.map((figure) => `sum(h.${figure}) as ${figure}`).join(", ")

type Value = string | number | null

const nameOf = ({ backend, dialect, endpoint, key, model, owner, served, shadow }: UsageSeries): string =>
  `${key}\n${owner}\n${model}\n${served}\n${backend}\n${dialect}\n${endpoint}\n${shadow ? 1 : 0}`

const noRows = (rows: number): Array<Value> => Array.from({ length: rows * width }, () => 0)

// The columns of a row that stand behind its series, in their order.
const rest = [
  column.outcome,
  column.status,
  column.stream,
  column.attempts,
  column.fresh,
  column.cacheRead,
  column.cacheWrite,
  column.output,
  column.reasoning,
  column.counted,
  column.nanos,
  column.priced,
  column.durationMs
]

// Puts the values of a row where they belong: one by one, since adding many at a time takes twice as long.
const putRow = (into: Array<Value>, from: number, records: PackedRecords, place: number, series: number): void => {
  const firstByteMs = records.numberAt(place, column.firstByteMs)
  let at = from
  into[at++] = records.numberAt(place, column.at)
  into[at++] = records.idAt(place)
  into[at++] = series
  for (let next = 0; next < rest.length; next += 1) into[at++] = records.numberAt(place, rest[next] ?? 0)
  into[at] = firstByteMs < 0 ? null : firstByteMs
}

// Spread into arguments they would take half a kilobyte of a row.
const runWith = (statement: Statement, values: Array<Value>): void => {
  statement.run(values as unknown as Value) // reason: a list stands for all that is in it, which the types leave out
}

/** What somebody spent in an hour, which began at `at`. */
export interface Spending {
  readonly key: string
  readonly owner: string
  readonly model: string
  readonly at: number
  readonly nanos: number
}

/** What is told of a budget once a period. */
export interface BudgetNews {
  readonly budget: string
  readonly of: string
  /** When its period began, in milliseconds since 1970. */
  readonly begun: number
  /** Which limit it is about. */
  readonly news: string
}

/** The ledger in an open database whose tables are there. */
export class UsageStore {
  /** What no other ledger is called. */
  readonly identity: string
  private readonly database: Database
  private readonly series = new Map<string, number>()
  private readonly findSeries: Statement<{ id: number }>
  private readonly addSeries: Statement
  // The values of rows that are about to be added.
  private readonly one: Array<Value> = noRows(1)
  private readonly many: Array<Value> = noRows(together)
  private readonly addOne: Statement
  private readonly addMany: Statement
  private readonly addHour: Statement
  private readonly put: (records: PackedRecords, count: number) => void

  constructor(database: Database) {
    this.database = database
    this.identity = database.query<{ id: string }, []>("select id from usage_ledger").get()?.id ?? ""
    const parts = "key, owner, model, served, backend, dialect, endpoint, shadow"
    this.findSeries = database.prepare(`select id from usage_series where (${parts}) = (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.addSeries = database.prepare(`insert or ignore into usage_series (${parts}) values (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.addOne = database.prepare(`insert into usage_records (${columns}) values ${marks(1)}`)
    this.addMany = database.prepare(`insert into usage_records (${columns}) values ${marks(together)}`)
    this.addHour = database.prepare(
      `insert into usage_hours (hour, series, ${summedFigures.join(", ")})
       values (?, ?, ${summedFigures.map(() => "?").join(", ")})
       on conflict (hour, series) do update set ${summedFigures.map((figure) => `${figure} = ${figure} + excluded.${figure}`).join(", ")}`
    )
    // A read, then a write after somebody else's commit fails at once where the transaction is not immediate.
    const transaction = database.transaction((records: PackedRecords, count: number) => this.write(records, count))
    this.put = (records, count) => transaction.immediate(records, count)
  }

  /** Adds so many of the first records and their sums; all of them or, when it throws, none. */
  add(records: PackedRecords, count: number): void {
    const before = this.series.size
    try {
      this.put(records, count)
    } catch (error) {
      // A series that was made in a transaction that came to nothing is not there.
      if (this.series.size > before) this.series.clear()
      throw error
    }
  }

  /** The sums of whole hours. */
  report(query: ReportQuery): UsageSums {
    const rows = this.select(query).map((row) =>
      Object.assign(sumsOf(row), { of: query.by.map((_, at) => String(row[`g${at}`] ?? "")) })
    )
    const [all] = this.select({ ...query, by: [] })
    return { rows, total: sumsOf(all ?? {}) }
  }

  // The largest first; by time in its order.
  private select({
    by,
    from,
    shadows,
    to
  }: ReportQuery): ReadonlyArray<Readonly<Record<string, string | number | null>>> {
    const named = by.map((group, at) => `${groupings[group]} as g${at}`)
    const groups = by.map((_, at) => `g${at}`)
    const inTime = by.flatMap((group, at) => (group === "day" || group === "hour" ? [`g${at}`] : []))
    const statement = this.database.prepare<Record<string, string | number | null>, [number, number, number]>(
      `select ${[...named, sumColumns].join(", ")} from usage_hours h join usage_series s on s.id = h.series
       where h.hour >= ? and h.hour < ? and s.shadow = ?
       ${groups.length === 0 ? "" : `group by ${groups.join(", ")}`}
       order by ${[...inTime, "cost_nanos desc", "requests desc", ...groups].join(", ")}`
    )
    const rows = statement.all(Math.floor(from / hourMs), Math.ceil(to / hourMs), shadows ? 1 : 0)
    statement.finalize()
    return rows
  }

  /** What was spent in each hour since a moment, copies of requests left out. */
  spending(from: number): ReadonlyArray<Spending> {
    const statement = this.database.prepare<Spending, [number]>(
      `select s.key, s.owner, s.model, h.hour * ${hourMs} at, sum(h.cost_nanos) nanos
       from usage_hours h join usage_series s on s.id = h.series
       where h.hour >= ? and h.cost_nanos > 0 and s.shadow = 0 group by s.key, s.owner, s.model, h.hour`
    )
    const rows = statement.all(Math.floor(from / hourMs))
    statement.finalize()
    return rows
  }

  /** Deletes so many records at most that ended before a moment, the oldest first; gives how many those were. */
  prune(before: number, most: number): number {
    const { changes } = this.database.run(
      // They stand in the order of their ends, nearly: only those that come first are looked at.
      "delete from usage_records where id in (select id from usage_records order by id limit ?) and at < ?",
      [most, Math.round(before)]
    )
    return changes
  }

  /** Deletes the sums of hours before a moment, and what was told of budgets then. */
  pruneHours(before: number): void {
    this.database.run("delete from usage_hours where hour < ?", [Math.floor(before / hourMs)])
    this.database.run("delete from usage_news where begun < ?", [Math.round(before)])
  }

  /** Whether this is told for the first time; from then on it is not. */
  isNews({ budget, begun, news, of }: BudgetNews): boolean {
    const { changes } = this.database.run("insert or ignore into usage_news values (?, ?, ?, ?)", [
      budget,
      of,
      begun,
      news
    ])
    return changes === 1
  }

  private write(records: PackedRecords, count: number): void {
    const whole = count - (count % together)
    const { many, one } = this
    const sums = new BatchSums()
    let last: UsageSeries | undefined
    let own = 0
    for (let at = 0; at < count; at += 1) {
      const series = records.seriesAt(at)
      // Those that end one after the other are often of the same.
      if (series !== last) own = this.seriesOf(series)
      last = series
      sums.add(records, at, own)
      if (at >= whole) {
        putRow(one, 0, records, at, own)
        runWith(this.addOne, one)
        continue
      }
      const place = at % together
      putRow(many, place * width, records, at, own)
      if (place === together - 1) runWith(this.addMany, many)
    }
    for (const { hour, series, sums: of } of sums.all) this.addHour.run(hour, series, ...of)
  }

  private seriesOf(record: UsageSeries): number {
    const name = nameOf(record)
    const known = this.series.get(name)
    if (known !== undefined) return known
    const { backend, dialect, endpoint, key, model, owner, served, shadow } = record
    const parts = [key, owner, model, served, backend, dialect, endpoint, shadow ? 1 : 0] as const
    this.addSeries.run(...parts)
    const id = this.findSeries.get(...parts)?.id
    if (id === undefined) throw new Error("a series that was written is not there")
    this.series.set(name, id)
    return id
  }
}

const sumsOf = (row: Readonly<Record<string, string | number | null>>): FigureSums => {
  const of = (figure: (typeof summedFigures)[number]): number => Number(row[figure] ?? 0)
  return {
    requests: of("requests"),
    completed: of("completed"),
    estimated: of("estimated"),
    fresh: of("fresh"),
    cache_read: of("cache_read"),
    cache_write: of("cache_write"),
    output: of("output"),
    reasoning: of("reasoning"),
    duration_ms: of("duration_ms"),
    cost_nanos: of("cost_nanos"),
    unpriced: of("unpriced")
  }
}
