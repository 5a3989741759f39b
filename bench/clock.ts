/**
 * One clock for all processes of a run. Bun's own `hrtime` starts anew in each process; this one does not.
 */

/** Microseconds since the epoch on a clock that all processes of this machine agree on to a microsecond or so. */
export const microseconds = (): number => (performance.timeOrigin + performance.now()) * 1000
