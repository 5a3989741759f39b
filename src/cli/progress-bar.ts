/**
 * How far something is, as one line.
 */
import { printable } from "../domain/printable.ts"
import { duration } from "./output.ts"

/** What is known of it; `completed` of `total` of whatever is counted. */
export interface Progress {
  readonly status: string
  readonly seconds: number
  readonly completed?: number
  readonly total?: number
}

const units = ["B", "KB", "MB", "GB", "TB"] as const

// Such as `4.7 GB`.
const bytesText = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ""}`
}

// What is counted up to no more than this are parts, and no bytes.
const fewest = 1000

const least = 10
const most = 40

/** The part of it that is done, from 0 to 1; undefined where nobody says. */
export const shareOf = ({ completed = 0, total }: Progress): number | undefined =>
  total === undefined || !(total > 0) ? undefined : Math.min(1, Math.max(0, completed / total))

/** The line, no wider than `columns`; with a bar where there is room for one, and it is known how far it is. */
export const progressLine = (progress: Progress, columns: number): string => {
  const { completed = 0, seconds, total = 0 } = progress
  const share = shareOf(progress)
  const status = printable(progress.status)
  const time = duration(Math.floor(seconds))
  if (share === undefined) return `${status}  ${time}`.slice(0, columns)
  const counted = total > fewest ? `  ${bytesText(completed)} of ${bytesText(total)}` : ""
  const end = `${String(Math.floor(share * 100)).padStart(3)} %${counted}  ${time}`
  const width = Math.min(most, columns - status.length - end.length - 6)
  if (width < least) return `${status}  ${end}`.slice(0, columns)
  const full = Math.round(share * width)
  return `${status}  [${"=".repeat(full)}${" ".repeat(width - full)}]  ${end}`
}
