/**
 * The figures of a workload, a row for each who took part, and how Nexus did against itself as it was.
 */
import { table } from "../report.ts"
import type { Figure, Result, Workload } from "./workload.ts"

/** How a run of one of them went. */
export interface Column extends Result {
  readonly placer: string
}

const refusals = ({ answers }: Result): number => answers.filter(({ status }) => status === 429).length

/** The figure of Nexus as it was: with or without limits, whichever was better, if it did not refuse. */
const figureBefore = (figure: Figure, columns: ReadonlyArray<Column>): number => {
  const values = columns
    .filter((column) => column.placer.startsWith("before") && refusals(column) === 0)
    .map(figure.of)
    .filter((value) => !Number.isNaN(value))
  if (values.length === 0) return Number.NaN
  return figure.better === "less" ? Math.min(...values) : Math.max(...values)
}

const verdictOn = (figure: Figure, columns: ReadonlyArray<Column>): { ratio: string; mark: string } => {
  const { target } = figure
  const now = columns.find(({ placer }) => placer === "nexus")
  if (now === undefined) return { ratio: "", mark: target?.text ?? "" }
  const [value, before] = [figure.of(now), figureBefore(figure, columns)]
  const ratio = before > 0 ? (value / before).toFixed(3) : ""
  if (target === undefined) return { ratio, mark: "" }
  if (Number.isNaN(before) && target.text.endsWith("before")) return { ratio, mark: target.text }
  return { ratio, mark: `${target.text}: ${target.ok(value, before) ? "yes" : "NO"}` }
}

/** The table. */
export const fleetTable = ({ figures }: Workload, columns: ReadonlyArray<Column>): string => {
  const verdicts = figures.map((figure) => verdictOn(figure, columns))
  return table([
    ["", ...figures.map(({ what }) => what)],
    ...columns.map((column) => [column.placer, ...figures.map(({ digits, of }) => of(column).toFixed(digits))]),
    ["nexus / before", ...verdicts.map(({ ratio }) => ratio)],
    ["mark", ...verdicts.map(({ mark }) => mark)]
  ])
}

/** The figures for programs. */
export const fleetFigures = ({ figures }: Workload, columns: ReadonlyArray<Column>) =>
  columns.map((column) => ({
    placer: column.placer,
    figures: Object.fromEntries(figures.map(({ of, what }) => [what, of(column)])),
    counted: column.counted
  }))
