/**
 * Counters of one backend that change with each request; they sit beside the snapshot so that a request changes no Ref.
 */
import type { Circuit } from "../domain/circuit.ts"

/** Live figures of one backend; the same object is kept through all snapshots of that backend. */
export interface Live {
  inFlight: number
  requests: number
  failures: number
  /** Smoothed time to the first body byte of real requests, in milliseconds; undefined before the first one. */
  firstByteMs: number | undefined
  /** Smoothed duration of real requests, in milliseconds; undefined before the first one. */
  durationMs: number | undefined
  /** How long the last good probe took, in milliseconds. */
  probeMs: number | undefined
  /** Monotonic milliseconds until which a 429 keeps this backend out of rotation; 0 is not at all. */
  coolUntil: number
  /** Passive evidence per model; a model that is absent has a closed circuit. */
  readonly circuits: Map<string, Circuit>
}

/** Figures of a backend that has seen nothing yet. */
export const idle = (): Live => ({
  inFlight: 0,
  requests: 0,
  failures: 0,
  firstByteMs: undefined,
  durationMs: undefined,
  probeMs: undefined,
  coolUntil: 0,
  circuits: new Map()
})

/** Exponential smoothing with weight 0.2 for the new sample; the first sample is taken as it is. */
export const smooth = (previous: number | undefined, sample: number): number =>
  previous === undefined ? sample : previous + 0.2 * (sample - previous)
