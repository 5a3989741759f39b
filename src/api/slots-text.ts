/**
 * The slots of a backend in words for a person.
 */
import type { KnownSlots } from "../domain/server.ts"

/** As `4 (told)`, or `2 to 8 (config, told)` where its models differ; empty when nothing is known of them. */
export const slotsText = (known: ReadonlyArray<KnownSlots>): string => {
  if (known.length === 0) return ""
  const counts = known.map(({ slots }) => slots)
  const least = counts.reduce((a, b) => Math.min(a, b))
  const most = counts.reduce((a, b) => Math.max(a, b))
  const from = [...new Set(known.map((each) => each.from))].toSorted().join(", ")
  return `${least === most ? least : `${least} to ${most}`} (${from})`
}
