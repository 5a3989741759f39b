/**
 * The ledger in a file of SQLite: the requests in batches, and the sums of each hour. All calls are plain, short and made by
 * one fiber; what fails throws and has changed nothing.
 */
import { outcomes } from "../domain/request.ts"
import { type FigureSums, type ReportGroup, summedFigures } from "../domain/usage-words.ts"
import type { Database, Migrations, Statement } from "../store/Database.ts"
import { hourMs, type RecordBatch } from "./packed-records.ts"
import { countSources, priceSources, type UsageSeries } from "./usage-record.ts"
import { hourSums, type UsageSums } from "./usage-sums.ts"

/** What a report is of: whole hours from `from` to before `to`, in milliseconds since 1970. */
export interface ReportQuery {
  readonly by: ReadonlyArray<ReportGroup>
  readonly from: number
  readonly to: number
  /** Whether it is of the copies that rules sent elsewhere, in place of the requests. */
  readonly shadows: boolean
}

// The records in words.
const usageView = (rows: string): string =>
  `create view usage as
    select
    datetime(r.at / 1000, 'unixepoch') ended, r.request_id,
    s.key, s.owner, s.model, s.served, s.backend, s.dialect, s.endpoint, s.shadow,
    case r.outcome ${outcomes.map((name, at) => `when ${at} then '${name}'`).join(" ")} end outcome,
    r.status, r.stream, r.attempts, r.fresh, r.cache_read, r.cache_write, r.output, r.reasoning,
    case r.counted ${countSources.map((name, at) => `when ${at} then '${name}'`).join(" ")} end counted,
    r.cost_nanos / 1e9 cost_usd,
    case r.priced ${priceSources.map((name, at) => `when ${at} then '${name}'`).join(" ")} end priced,
    r.duration_ms, r.first_byte_ms
    from ${rows} r join usage_series s on s.id = r.series;`

// Columns of a record, in the order of the first form.
const columns =
  "at, request_id, series, outcome, status, stream, attempts, fresh, cache_read, cache_write, output, reasoning, counted, cost_nanos, priced, duration_ms, first_byte_ms"

// What stands where in a record of a batch, and in its kind.
const inRecord = (place: number): string => `json_extract(record, '$[${place}]')`
const inKind = (place: number): string => `json_extract(kind, '$[${place}]')`

// Records of both forms as rows: one for each, as versions before wrote them, and batches.
const rowsView = `create view usage_rows as
  select ${columns} from usage_records
  union all select at + ${inRecord(0)}, ${inRecord(1)}, ${inKind(0)}, ${inKind(1)}, ${inKind(2)}, ${inKind(3)}, ${inKind(4)},
    ${[3, 4, 5, 6, 7].map(inRecord).join(", ")}, ${inKind(5)}, ${inRecord(8)}, ${inKind(6)}, ${inRecord(9)}, ${inRecord(10)}
    from (
      select b.at, r.value record, json_extract(b.kinds, '$[' || json_extract(r.value, '$[2]') || ']') kind
      from usage_batches b, json_each(b.records) r
    );`

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
${usageView("usage_records")}`,
    `create table usage_ledger (id text not null);
  insert into usage_ledger values (lower(hex(randomblob(8))));`,
    `create table usage_news (
    budget text not null, of text not null, begun integer not null, news text not null,
    primary key (budget, of, begun, news)
  ) without rowid;`,
    // The kinds are an array of arrays: series, outcome, status, stream, attempts, counted, priced; for the records see RecordBatch.
    `create table usage_batches (
    id integer primary key,
    at integer not null, last integer not null, kinds text not null, records text not null
  );
  ${rowsView}
  drop view usage;
  ${usageView("usage_rows")}`
  ]
}

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

const nameOf = ({ backend, dialect, endpoint, key, model, owner, served, shadow }: UsageSeries): string =>
  `${key}\n${owner}\n${model}\n${served}\n${backend}\n${dialect}\n${endpoint}\n${shadow ? 1 : 0}`

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
  private readonly addBatch: Statement
  private readonly addHour: Statement
  private readonly put: (batch: RecordBatch) => void

  constructor(database: Database) {
    this.database = database
    this.identity = database.query<{ id: string }, []>("select id from usage_ledger").get()?.id ?? ""
    const parts = "key, owner, model, served, backend, dialect, endpoint, shadow"
    this.findSeries = database.prepare(`select id from usage_series where (${parts}) = (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.addSeries = database.prepare(`insert or ignore into usage_series (${parts}) values (?, ?, ?, ?, ?, ?, ?, ?)`)
    // Bytes are a text of the same bytes.
    this.addBatch = database.prepare(
      "insert into usage_batches (at, last, kinds, records) values (?, ?, ?, cast(? as text))"
    )
    this.addHour = database.prepare(
      `insert into usage_hours (hour, series, ${summedFigures.join(", ")})
       values (?, ?, ${summedFigures.map(() => "?").join(", ")})
       on conflict (hour, series) do update set ${summedFigures.map((figure) => `${figure} = ${figure} + excluded.${figure}`).join(", ")}`
    )
    // A read, then a write after somebody else's commit fails at once where the transaction is not immediate.
    const transaction = database.transaction((batch: RecordBatch) => this.write(batch))
    this.put = (batch) => transaction.immediate(batch)
  }

  /** Adds records and their sums; all of them or, when it throws, none. */
  add(batch: RecordBatch): void {
    const before = this.series.size
    try {
      this.put(batch)
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

  /**
   * Deletes so many batches at most whose records all ended before a moment, the oldest first, and so many records that stand by
   * themselves; gives how many those were together.
   */
  prune(before: number, most: number): number {
    const ended = Math.round(before)
    // They stand in the order of their ends, nearly: only those that come first are looked at.
    const deleted = (table: string, end: string): number =>
      this.database.run(
        `delete from ${table} where id in (select id from ${table} order by id limit ?) and ${end} < ?`,
        [most, ended]
      ).changes
    return deleted("usage_records", "at") + deleted("usage_batches", "last")
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

  private write(batch: RecordBatch): void {
    const { at, kinds, last, text } = batch
    const series = kinds.map((kind) => this.seriesOf(kind.series))
    const shared = kinds.map((kind, place) => `[${series[place] ?? 0},${kind.shared}]`)
    this.addBatch.run(at, last, `[${shared.join(",")}]`, text)
    for (const { from, series: of, sums } of hourSums(kinds, series)) this.addHour.run(from / hourMs, of, ...sums)
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
