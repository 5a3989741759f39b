/**
 * Passive health of one backend and model: what real requests show, beside what probes show.
 */

/** `openUntil` in monotonic milliseconds, 0 while closed; `opens` is the number of openings since the last success. */
export interface Circuit {
  readonly failures: number
  readonly opens: number
  readonly openUntil: number
  /** A half-open circuit lets one request through at a time; true while that one is under way. */
  readonly trial: boolean
}

/** No evidence against the backend: what any request that is answered leads to. */
export const closedCircuit: Circuit = { failures: 0, opens: 0, openUntil: 0, trial: false }

/** Failures in a row that open a circuit. */
export const circuitOpensAfter = 3

/** First and longest time a circuit stays open, in milliseconds; each further opening doubles it. */
export const circuitOpenMs = { first: 2_000, longest: 60_000 } as const

/** Whether a request may pass now: closed, or open long enough that one trial may. */
export const circuitAllows = (circuit: Circuit, now: number): boolean =>
  circuit.openUntil === 0 || (now >= circuit.openUntil && !circuit.trial)

/** Marks the one trial of a circuit whose time has come. */
export const beginTrial = (circuit: Circuit, now: number): Circuit =>
  circuit.openUntil !== 0 && now >= circuit.openUntil ? { ...circuit, trial: true } : circuit

/** A request that ended without a verdict (the client left) frees the trial and changes nothing else. */
export const abandonTrial = (circuit: Circuit): Circuit => (circuit.trial ? { ...circuit, trial: false } : circuit)

/** A failed request: opens it after {@link circuitOpensAfter} in a row, and at once when the trial itself failed. */
export const failCircuit = (circuit: Circuit, now: number): Circuit => {
  const failures = circuit.failures + 1
  if (failures < circuitOpensAfter && !circuit.trial) return { ...circuit, failures }
  if (circuit.openUntil > now) return { ...circuit, failures }
  const openFor = Math.min(circuitOpenMs.longest, circuitOpenMs.first * 2 ** circuit.opens)
  return { failures, opens: circuit.opens + 1, openUntil: now + openFor, trial: false }
}
