/**
 * The figures of the gateway as lines for a person, within the size of a terminal.
 */
import { printable } from "../../domain/printable.ts"
import type { ClusterStatus } from "../../api/cluster-api.ts"
import type { Figures, Stats } from "../../api/stats-api.ts"
import { duration, narrowedTable, tableText } from "../output.ts"
import { slotsText } from "../../api/slots-text.ts"

/** Room there is; undefined when the output is no terminal, and then there is no bound. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** A number in a few characters: `0.3`, `42`, `1.2k`, `34.5M`. */
export const compactNumber = (value: number): string => {
  if (value < 9.95) return String(Math.round(value * 10) / 10)
  if (value < 999.5) return String(Math.round(value))
  const [size, unit] = value < 999_950 ? [1e3, "k"] : value < 999_950_000 ? [1e6, "M"] : [1e9, "G"]
  return `${(value / size).toFixed(1)}${unit}`
}

// Terminals differ on what is wide: what might be is taken to be, since a line that is cut too early is still one line.
const narrow = /[ -\u10ff\u2010-\u2027\u2500-\u259f]/

/** A line that takes at most so many columns; what does not fit is cut and marked. */
export const clippedLine = (line: string, columns: number): string => {
  let used = 0
  let kept = ""
  const chars = [...line]
  for (const [at, char] of chars.entries()) {
    const width = char.length === 1 && narrow.test(char) ? 1 : 2
    // One column is kept for the mark, unless this is the end.
    if (used + width > columns - (at === chars.length - 1 ? 0 : 1)) return columns > 0 ? `${kept}…` : ""
    used += width
    kept += char
  }
  return kept
}

const firstToken = ({ first_token_ms: first }: Figures): string =>
  first === null ? "-" : `${Math.round(first.p50)}/${Math.round(first.p95)} ms`

const errors = ({ errors, error_rate }: Figures): string =>
  error_rate === 0 ? compactNumber(errors) : `${compactNumber(errors)} (${Math.round(error_rate * 100)} %)`

const heading = ["In flight", "Streams", "Requests", "Req/s", "First token", "Tokens/s", "Pieces/s", "Errors"]

const cells = (figures: Figures): ReadonlyArray<string> => [
  compactNumber(figures.in_flight),
  compactNumber(figures.active_streams),
  compactNumber(figures.requests),
  compactNumber(figures.requests_per_second),
  firstToken(figures),
  compactNumber(figures.tokens_per_second),
  compactNumber(figures.pieces_per_second),
  errors(figures)
]

// Columns that are left out one after the other where there is no room for all: pieces, requests, streams.
const dispensable = [6, 2, 1]

/**
 * A table of figures; `first` are the columns before them. Where there are few `columns` some figures are left out, where there is
 * little `room` it is parted.
 */
const figuresTable = (
  first: ReadonlyArray<string>,
  rows: ReadonlyArray<readonly [ReadonlyArray<string>, Figures, string?]>,
  columns: number,
  room?: number
): ReadonlyArray<string> => {
  const last = rows.some(([, , reason]) => (reason ?? "") !== "")
  const table = (left: ReadonlyArray<number>) => {
    const kept = (all: ReadonlyArray<string>) => all.filter((_, at) => !left.includes(at))
    return {
      heading: [...first, ...kept(heading), ...(last ? ["Reason"] : [])],
      rows: rows.map(([names, figures, reason = ""]) => [...names, ...kept(cells(figures)), ...(last ? [reason] : [])])
    }
  }
  for (let count = 0; count < dispensable.length; count += 1) {
    const { heading: names, rows: all } = table(dispensable.slice(0, count))
    const lines = tableText(names, all, room).split("\n")
    // The reason comes last, and may be cut.
    if ((lines[0] ?? "").length <= columns) return lines
  }
  const { heading: names, rows: all } = table(dispensable)
  const longest = Math.max(...rows.map(([, , reason = ""]) => reason.length))
  const cutAtEnd = last ? Math.max(0, longest - "Reason".length) : 0
  return room === undefined ? narrowedTable(names, all, columns + cutAtEnd, 1) : tableText(names, all, room).split("\n")
}

/** The figures of all together. */
export const totalLines = ({ totals, uptime_seconds, version, workers }: Stats, url: string): ReadonlyArray<string> => {
  const { outcomes } = totals
  const { cancelled = 0 } = outcomes
  const memory = workers.reduce((sum, { rss_bytes }) => sum + rss_bytes, 0) / 1_048_576
  const count = `${workers.length} ${workers.length === 1 ? "process" : "processes"}`
  const ended = [
    `${compactNumber(outcomes.completed)} completed`,
    `${compactNumber(outcomes.failed)} failed`,
    `${compactNumber(outcomes.truncated)} truncated`,
    `${compactNumber(outcomes.refused)} refused`,
    `${compactNumber(outcomes.client_closed)} left by the client`,
    ...(cancelled === 0 ? [] : [`${compactNumber(cancelled)} cancelled`])
  ]
  return [
    `Nexus ${version} at ${url}, up ${duration(uptime_seconds)}, ${count}, ${Math.round(memory)} MB`,
    `Now:       ${compactNumber(totals.in_flight)} in flight, ${compactNumber(totals.active_streams)} streams, ${compactNumber(totals.requests_per_second)} requests/s, first token ${firstToken(totals)}, ${compactNumber(totals.tokens_per_second)} tokens/s`,
    `Requests:  ${compactNumber(totals.requests)}: ${ended.join(", ")}`,
    `Attempts:  ${compactNumber(totals.attempts)}, ${errors(totals)} of them errors, ${compactNumber(totals.failovers)} failovers; ${compactNumber(totals.turned_away)} requests turned away`,
    `Tokens:    ${compactNumber(totals.prompt_tokens)} prompt, ${compactNumber(totals.cached_tokens)} of them cached, ${compactNumber(totals.completion_tokens)} completion`
  ]
}

const queueTable = (queue: NonNullable<Stats["queue"]>, room?: number): ReadonlyArray<string> =>
  tableText(
    ["Waits for a slot", "Requests", "High", "Normal", "Batch", "Longest"],
    queue.map(({ classes, longest_wait_ms, model, waiting }) => [
      model,
      ...[waiting, classes.high, classes.normal, classes.batch].map(compactNumber),
      duration(Math.round(longest_wait_ms / 1000))
    ]),
    room
  ).split("\n")

/** The replicas, and the store that they share, as tables. */
const clusterLines = ({ replicas, store }: ClusterStatus, room?: number): ReadonlyArray<string> => {
  const state = store.status === "connected" ? "connected" : `away: ${store.reason ?? "it does not answer"}`
  return [
    `Shared:    store ${state}, for ${duration(store.for_seconds)}, lost ${compactNumber(store.losses)} times`,
    ...tableText(
      ["Replica", "Id", "Up", "Workers", "Version", "Config"],
      replicas.map(({ config_differs: differs, figures, id, name, own, uptime_seconds, version, workers }) => [
        own ? `${name} (this one)` : name,
        id,
        duration(uptime_seconds),
        compactNumber(workers),
        version,
        (figures["config_generation"] === undefined ? "-" : `generation ${figures["config_generation"]}`) +
          (differs ? ", differs" : "")
      ]),
      room
    ).split("\n")
  ]
}

const shortened = (lines: ReadonlyArray<string>, room: number): ReadonlyArray<string> =>
  lines.length <= room ? lines : [...lines.slice(0, Math.max(0, room - 1)), `… ${lines.length - room + 1} more`]

/** A table of the backends, its heading first. */
export const backendLines = (stats: Stats, columns: number, room?: number): ReadonlyArray<string> => {
  const known = stats.backends.some(({ slots = [] }) => slots.length > 0)
  return stats.backends.length === 0
    ? ["There are no backends."]
    : figuresTable(
        ["Backend", "Zone", "State", "Models", ...(known ? ["Slots"] : [])],
        stats.backends.map((backend) => [
          [
            backend.name,
            backend.zone ?? "-",
            backend.mode === "enabled" ? backend.status : backend.mode,
            compactNumber(backend.models),
            ...(known ? [slotsText(backend.slots ?? []) || "-"] : [])
          ],
          backend,
          backend.reason
        ]),
        columns,
        room
      )
}

/** The models that are waited for, as a table of so many lines at most, in parts that fit into the room. */
export const queueLines = (queue: NonNullable<Stats["queue"]>, most: number, room?: number): ReadonlyArray<string> =>
  shortened(queueTable(queue, room), most)

/** The view, in lines that fit; without a size all of it, with tables in parts that fit into the room. */
export const statusLines = (
  stats: Stats,
  url: string,
  size: TerminalSize | undefined,
  room?: number
): ReadonlyArray<string> => {
  const columns = size?.columns ?? Infinity
  const rows = size?.rows ?? Infinity
  const backends = backendLines(stats, columns, room)
  const models =
    stats.models.length === 0
      ? []
      : figuresTable(
          ["Model", "Backends"],
          stats.models.map((model) => [[model.id, compactNumber(model.backends.length)], model]),
          columns,
          room
        )
  const { cluster, queue = [] } = stats
  const head = [
    ...totalLines(stats, url),
    "",
    ...(cluster === undefined
      ? []
      : [...shortened(clusterLines(cluster, room), Math.max(4, Math.floor(rows / 4))), ""]),
    ...(queue.length === 0 ? [] : [...queueLines(queue, Math.max(2, Math.floor(rows / 4)), room), ""])
  ]
  const left = rows - head.length
  // Models get what backends leave, and a part of the room in any case.
  const forModels =
    models.length === 0 ? 0 : Math.min(models.length + 1, Math.max(left - backends.length, Math.floor(left / 3)))
  const shown = [
    ...head,
    ...shortened(backends, left - forModels),
    ...(forModels < 3 ? [] : ["", ...shortened(models, forModels - 1)])
  ]
  const fitting = shown.slice(0, Math.min(shown.length, rows)).map(printable)
  return size === undefined ? fitting : fitting.map((line) => clippedLine(line, size.columns))
}
