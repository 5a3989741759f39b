/**
 * Whether the memory of a process grows for as long as it works.
 */
import { slope } from "../figures.ts"

/** How it went. */
export interface Growth {
  readonly words: string
  /** Set where it grew without an end in sight. */
  readonly failure: string | undefined
}

/** Judges samples of minutes and megabytes of a run; fewer than `least` of them, once it is warm, show nothing. */
export const growthOf = (
  samples: ReadonlyArray<readonly [minute: number, megabytes: number]>,
  minutes: number,
  least: number
): Growth => {
  const settled = samples.filter(([at]) => at > Math.min(2, minutes / 3))
  const growth = slope(settled)
  const [first, last] = [settled[0]?.[1] ?? 0, settled.at(-1)?.[1] ?? 0]
  const span = `${first.toFixed(0)} to ${last.toFixed(0)} MB`
  // A short run is all warm-up: only a run of ten minutes or more can tell growth from it.
  const allowed = minutes >= 10 ? 0.5 : 20
  const grows = settled.length >= least && growth > allowed && last > first * 1.1
  return {
    words: `${span}, slope ${growth.toFixed(2)} MB a minute`,
    failure: grows ? `memory grows by ${growth.toFixed(2)} MB a minute (from ${span})` : undefined
  }
}
