/**
 * Tables for people and JSON for programs.
 */
import { printable } from "../domain/printable.ts"

/** Which columns stand beside each other so that they fit: all that do, and the first `names` before each of the parts. */
const partsOf = (widths: ReadonlyArray<number>, room: number, names: number): ReadonlyArray<ReadonlyArray<number>> => {
  const first = widths.slice(0, names)
  const before = first.reduce((sum, width) => sum + width + 2, 0)
  const parts: Array<Array<number>> = [[...first.keys()]]
  let taken = before
  for (const [at, width] of widths.entries()) {
    if (at < names) continue
    if (taken + width > room && (parts.at(-1)?.length ?? 0) > names) {
      parts.push([...first.keys()])
      taken = before
    }
    taken += width + 2
    parts.at(-1)?.push(at)
  }
  return parts
}

/**
 * Columns padded to their widest cell, two spaces apart, without trailing spaces; the first row is the heading. What is wider
 * than `room` stands in parts below each other, each with the first `names` columns, which tell the rows apart.
 */
export const tableText = (
  heading: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  room = Infinity,
  names = 1
): string => {
  const cells = [heading, ...rows].map((row) => row.map(printable))
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>, columns: ReadonlyArray<number>): string =>
    columns
      .map((column) => (row[column] ?? "").padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  return partsOf(widths, room, names)
    .map((columns) => cells.map((row) => line(row, columns)).join("\n"))
    .join("\n\n")
}

// What a name is told by in most houses.
const shortest = 12

/**
 * The lines of a table in `room`: where it is wider, what stands in its first `texts` columns is cut, the longest first, since what
 * follows a name tells more than the end of it.
 */
export const narrowedTable = (
  heading: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  room: number,
  texts: number
): ReadonlyArray<string> => {
  const widths = heading.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => printable(row[column] ?? "").length))
  )
  const most = widths.slice(0, texts)
  const spare = (column: number): number => (most[column] ?? 0) - Math.max(heading[column]?.length ?? 0, shortest)
  for (let over = widths.reduce((sum, width) => sum + width + 2, -2) - room; over > 0; over -= 1) {
    const [longest] = [...most.keys()]
      .filter((column) => spare(column) > 0)
      .toSorted((a, b) => (most[b] ?? 0) - (most[a] ?? 0))
    if (longest === undefined) break
    most[longest] = (most[longest] ?? 0) - 1
  }
  const cut = (text: string, column: number): string => {
    const width = most[column] ?? Infinity
    const shown = printable(text)
    return shown.length > width ? `${shown.slice(0, width - 1)}…` : shown
  }
  return tableText(
    heading,
    rows.map((row) => row.map(cut))
  ).split("\n")
}

/** The columns of the terminal; no end of them where standard output is none. */
export const terminalRoom = (): number => process.stdout.columns || Infinity

/** A table in parts that fit onto the terminal; its rows are told apart by the first `names` columns. */
export const shownTable = (
  heading: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  names = 1
): string => tableText(heading, rows, terminalRoom(), names)

/** A text of several lines, safe to show on a terminal. */
export const printableLines = (text: string): string => text.split("\n").map(printable).join("\n")

/** JSON for programs: indented, and safe to show on a terminal. */
export const jsonText = (value: unknown): string => printableLines(JSON.stringify(value, null, 2))

/** Milliseconds in words; `-` when unknown. */
export const milliseconds = (value: number | null): string => (value === null ? "-" : `${Math.round(value)} ms`)

/** A whole number with a comma before each three digits. */
export const thousands = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ",")

/** A measured number, as fine as it is worth while; `-` when unknown. */
export const figure = (value: number | null): string =>
  value === null ? "-" : value < 10 ? value.toFixed(1) : String(Math.round(value))

/** Seconds in words, such as `2d 3h`, `4m 5s` or `6s`. */
export const duration = (seconds: number): string => {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [Math.floor(seconds) % 60, "s"]
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return first === -1
    ? "0s"
    : parts
        .slice(first, first + 2)
        .filter(([count]) => count > 0)
        .map(([count, unit]) => `${count}${unit}`)
        .join(" ")
}
