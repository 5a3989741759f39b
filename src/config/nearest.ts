/**
 * The name somebody most likely meant.
 */

/**
 * Least number of letters to insert, remove, replace or swap with their neighbour to turn `a` into `b`; anything above
 * `limit` when there are more, which costs little to find out.
 */
const distance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let beforeLast = new Uint16Array(b.length + 1)
  let last = Uint16Array.from({ length: b.length + 1 }, (_, at) => at)
  let row = new Uint16Array(b.length + 1)
  for (let i = 1; i <= a.length; i++) {
    // Whoever is further from the diagonal than the limit has taken more steps than that.
    const from = Math.max(1, i - limit)
    const to = Math.min(b.length, i + limit)
    row.fill(limit + 1)
    if (i <= limit) row[0] = i
    let least = row[0] ?? 0
    for (let j = from; j <= to; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const steps = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (beforeLast[j - 2] ?? 0) + 1 : limit + 1
      )
      row[j] = steps
      least = Math.min(least, steps)
    }
    // A swap reaches back by two rows.
    if (least > limit && i > 1 && last.every((steps) => steps > limit)) return limit + 1
    ;[beforeLast, last, row] = [last, row, beforeLast]
  }
  return last[b.length] ?? 0
}

/**
 * The known names close enough to `name` to be what was meant, the closest first: two of five letters may be wrong, and
 * `wrong` at most.
 */
export const nearestOf = (
  name: string,
  known: Iterable<string>,
  most: number,
  wrong = Number.POSITIVE_INFINITY
): ReadonlyArray<string> => {
  const wanted = name.toLowerCase().slice(0, 100)
  const limit = Math.min(wrong, Math.max(1, Math.floor(wanted.length * 0.4)))
  const close: Array<{ readonly each: string; readonly steps: number }> = []
  for (const each of known) {
    const steps = distance(wanted, each.toLowerCase(), limit)
    if (steps <= limit) close.push({ each, steps })
  }
  return close
    .sort((a, b) => a.steps - b.steps)
    .slice(0, most)
    .map(({ each }) => each)
}

/** The known name closest to `name`, when it is close enough to be what was meant. */
export const nearest = (name: string, known: Iterable<string>): string | undefined => nearestOf(name, known, 1)[0]
