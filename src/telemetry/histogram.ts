/**
 * Histograms as runs of plain numbers inside of a larger array: a bucket for each bound and one above them, then the sum.
 */

/** Numbers a histogram with these bounds takes. */
export const histogramSize = (bounds: ReadonlyArray<number>): number => bounds.length + 2

/** Which bucket a value is in: one holds what is at most its bound. */
export const bucketOf = (bounds: ReadonlyArray<number>, value: number): number => {
  const last = bounds.length
  let bucket = 0
  while (bucket < last && value > (bounds[bucket] ?? Infinity)) bucket += 1
  return bucket
}

/** Counts a value in the histogram that begins at `at`. */
export const observe = (numbers: Float64Array, at: number, bounds: ReadonlyArray<number>, value: number): void => {
  const place = at + bucketOf(bounds, value)
  numbers[place] = (numbers[place] ?? 0) + 1
  const sum = at + bounds.length + 1
  numbers[sum] = (numbers[sum] ?? 0) + value
}

/** Adds numbers to others, place by place. */
export const addTo = (sums: Float64Array, values: ArrayLike<number>): void => {
  for (let at = 0; at < sums.length; at += 1) sums[at] = (sums[at] ?? 0) + (values[at] ?? 0)
}

/** A histogram as it is told: how many were at most each bound, how many there were, and their sum. */
export interface Distribution {
  readonly buckets: ReadonlyArray<readonly [bound: number, atMost: number]>
  readonly count: number
  readonly sum: number
}

/** Reads the histogram that begins at `at`. */
export const distributionOf = (numbers: ArrayLike<number>, at: number, bounds: ReadonlyArray<number>): Distribution => {
  let count = 0
  const buckets = bounds.map((bound, bucket) => {
    count += numbers[at + bucket] ?? 0
    return [bound, count] as const
  })
  count += numbers[at + bounds.length] ?? 0
  return { buckets, count, sum: numbers[at + bounds.length + 1] ?? 0 }
}

/**
 * The value that a share of all is at most, from 0 to 1: interpolated inside of its bucket, the largest bound for what is
 * above all of them, undefined when there is nothing.
 */
export const quantile = ({ buckets, count }: Distribution, share: number): number | undefined => {
  if (count === 0) return undefined
  const rank = Math.min(1, Math.max(0, share)) * count
  let below = 0
  let from = 0
  for (const [bound, atMost] of buckets) {
    if (atMost > below && atMost >= rank) return from + (bound - from) * Math.max(0, (rank - below) / (atMost - below))
    below = atMost
    from = bound
  }
  return from
}
