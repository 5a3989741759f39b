/**
 * The name somebody most likely meant.
 */

// Least number of letters to insert, remove, replace or swap with their neighbour to turn `a` into `b`.
const distance = (a: string, b: string): number => {
  let beforeLast: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(
        Math.min(
          (last[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          (last[j - 1] ?? 0) + (same ? 0 : 1),
          swapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
        )
      )
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** The known names that are close enough to `name` to be what was meant, the closest first. */
export const nearestOf = (name: string, known: Iterable<string>, most: number): ReadonlyArray<string> => {
  const wanted = name.toLowerCase().slice(0, 100)
  const limit = Math.max(1, Math.floor(wanted.length * 0.4))
  const close: Array<{ readonly each: string; readonly steps: number }> = []
  for (const each of known) {
    // It takes as many steps at least.
    if (Math.abs(each.length - wanted.length) > limit) continue
    const steps = distance(wanted, each.toLowerCase())
    if (steps <= limit) close.push({ each, steps })
  }
  return close
    .sort((a, b) => a.steps - b.steps)
    .slice(0, most)
    .map(({ each }) => each)
}

/** The known name closest to `name`, when it is close enough to be what was meant. */
export const nearest = (name: string, known: Iterable<string>): string | undefined => nearestOf(name, known, 1)[0]
