/**
 * The table and the JSON of a run.
 */
import { execFileSync } from "node:child_process"
import { availableParallelism, release, totalmem } from "node:os"
import { median, spread } from "./figures.ts"
import { isNexus, type LegName, legNames } from "./legs.ts"
import { type Measure, medianOf } from "./measure.ts"
import { pinned, root } from "./processes.ts"
import { cpuModel } from "./procfs.ts"

/** A quantity and how the Nexus legs did on it. */
interface Judged {
  readonly what: string
  readonly ratios: Partial<Record<LegName, number>>
  readonly mark: string
  /** Whether each of them meets the mark; empty without one. */
  readonly met: Partial<Record<LegName, boolean>>
}

const ratioOf = (measure: Measure, leg: LegName): number => medianOf(measure, leg) / medianOf(measure, "floor")

/** Judges the Nexus legs of a measure, each by itself. */
export const judge = (measure: Measure): Judged => {
  const legs = (Object.keys(measure.legs) as ReadonlyArray<LegName>).filter(isNexus) // reason: keys of a record by leg
  const { mark } = measure
  // A floor that adds nothing that can be told from noise is no measure.
  const floorCounts = !(medianOf(measure, "floor") <= 0)
  return {
    what: measure.what,
    ratios: Object.fromEntries(legs.map((leg) => [leg, ratioOf(measure, leg)])),
    mark: mark?.text ?? "",
    met:
      mark === undefined || !floorCounts
        ? {}
        : Object.fromEntries(legs.map((leg) => [leg, mark.ok(medianOf(measure, leg), medianOf(measure, "floor"))]))
  }
}

const cell = (measure: Measure, leg: LegName): string => {
  const values = measure.legs[leg]
  if (values === undefined || values.length === 0) return ""
  const middle = median(values).toFixed(measure.digits)
  return values.length === 1 ? middle : `${middle} ±${(spread(values) / 2).toFixed(measure.digits)}`
}

/** Rows as a table for people, the first of them its head. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>): string =>
    `| ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join(" | ")} |`
  const [head = [], ...rest] = rows
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(Math.max(width - 1, 1))}:`)).join(" | ")} |`
  return [line(head), rule, ...rest.map(line)].join("\n")
}

/** The measures of a row as a table: median and half the spread of each leg, ratio of Nexus to the floor, mark. */
export const tableOf = (measures: ReadonlyArray<Measure>): string => {
  const legs = legNames.filter((leg) => measures.some((measure) => (measure.legs[leg]?.length ?? 0) > 0))
  const shown = measures.map((measure) => {
    const { ratios, mark, met } = judge(measure)
    const ratio = Object.values(ratios)
      .filter(Number.isFinite)
      .map((value) => value.toFixed(2))
      .join(" / ")
    return [
      measure.unit === "" ? measure.what : `${measure.what} (${measure.unit})`,
      ...legs.map((leg) => cell(measure, leg)),
      ratio,
      mark,
      Object.values(met)
        .map((yes) => (yes ? "yes" : "NO"))
        .join(" / ")
    ]
  })
  return table([["", ...legs, "ratio to floor", "mark", "met"], ...shown])
}

const commit = (): string => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim()
  } catch {
    return "unknown"
  }
}

/** What the figures depend on. */
export const fingerprint = () => ({
  cpu: cpuModel(),
  cores: availableParallelism(),
  memoryMb: Math.round(totalmem() / 1e6),
  kernel: release(),
  bun: Bun.version,
  commit: commit(),
  pinned
})
