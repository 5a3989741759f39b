/**
 * Simulated time: real time, so many times as fast.
 */

/** Seconds since its start, and waiting by them. */
export interface SimClock {
  readonly speed: number
  readonly now: () => number
  /** Calls at the given second, or soon if that is past; the result takes it back. */
  readonly at: (second: number, call: () => void) => () => void
  readonly sleep: (seconds: number) => Promise<void>
}

/** A clock that starts now. */
export const startClock = (speed: number): SimClock => {
  const started = performance.now()
  const now = (): number => ((performance.now() - started) * speed) / 1000
  const at = (second: number, call: () => void): (() => void) => {
    const timer = setTimeout(call, Math.max(0, ((second - now()) * 1000) / speed))
    return () => clearTimeout(timer)
  }
  return {
    speed,
    now,
    at,
    sleep: (seconds) =>
      new Promise((done) => {
        at(now() + seconds, done)
      })
  }
}
