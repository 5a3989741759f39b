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

/** The known name closest to `name`, when it is close enough to be what was meant. */
export const nearest = (name: string, known: Iterable<string>): string | undefined => {
  const wanted = name.toLowerCase().slice(0, 100)
  let best: string | undefined
  let least = Math.max(1, Math.floor(wanted.length * 0.4)) + 0.5
  for (const each of known) {
    const steps = distance(wanted, each.toLowerCase())
    if (steps < least) {
      best = each
      least = steps
    }
  }
  return best
}
