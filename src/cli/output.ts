/**
 * Tables for people and JSON for programs.
 */
import { printable } from "../domain/printable.ts"

/** Columns padded to their widest cell, two spaces apart, without trailing spaces; the first row is the heading. */
export const tableText = (heading: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = [heading, ...rows].map((row) => row.map(printable))
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)))
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

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
