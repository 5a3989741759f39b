/**
 * How long the place of a worker stays empty after one has ended.
 */

/** First and longest wait, in milliseconds. */
export const restartMs = { first: 100, longest: 60_000 } as const

/** A worker that lived so long did not end because it was started, in milliseconds. */
const steadyMs = 10_000

/** Nor did one that lived so many times longer than its place had waited for it. */
const steadyTimes = 10

/** The wait after a worker that lived for `livedMs`, where its place had waited `beforeMs` for it; 0 for the first one. */
export const waitAfter = (livedMs: number, beforeMs: number): number =>
  livedMs > Math.max(steadyMs, steadyTimes * beforeMs)
    ? restartMs.first
    : Math.min(restartMs.longest, Math.max(restartMs.first, 2 * beforeMs))
