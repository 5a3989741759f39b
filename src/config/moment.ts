/**
 * Moments as settings write them: a day, or a day and a time.
 */

/** A day alone, which begins at midnight in UTC, or with a time, in UTC where no zone is told. */
const written = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/i

/** A moment in milliseconds since 1970; not a number where it is none. */
export const momentOf = (text: string): number => {
  const [, day, time = "00:00", zone = "Z"] = written.exec(text.trim()) ?? []
  if (day === undefined) return Number.NaN
  const moment = Date.parse(`${day}T${time}${zone.toUpperCase()}`)
  // Engines take the 30th of February for a day of March.
  const [, , date] = day.split("-").map(Number)
  return new Date(Date.parse(`${day}T00:00Z`)).getUTCDate() === date ? moment : Number.NaN
}

/** What is wrong with a moment; undefined when nothing is. */
export const momentFault = (text: string): string | undefined =>
  Number.isNaN(momentOf(text))
    ? "expected a day such as 2027-01-31, or a moment such as 2027-01-31T18:00:00Z"
    : undefined
