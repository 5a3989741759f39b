/**
 * What a server answers to a short question, and what ends a probe early.
 */
import { Data } from "effect"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import type { TlsFault } from "../domain/upstream-errors.ts"

/** An answer whose body has been parsed; undefined when it is no JSON. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
  /** What it says of TLS, where a web server answers in place of the backend. */
  readonly fault?: TlsFault
}

/** Ends a probe early with what is then known. */
export class Verdict extends Data.TaggedError("Verdict")<{ readonly outcome: ProbeOutcome }> {}
