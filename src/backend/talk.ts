/**
 * The means by which a kind of server asks one of its own: questions, answers, and what ends a probe early.
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import type { ToldLoads } from "../domain/server.ts"
import type { TlsFault } from "../domain/upstream-errors.ts"

/** An answer whose body has been parsed; undefined when it is no JSON. */
export interface ParsedAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
  /** The body as it came, where it is no JSON. */
  readonly text?: string
  /** What it says of TLS, where a web server answers in place of the backend. */
  readonly fault?: TlsFault
}

/** Ends a probe early with what is then known. */
export class ProbeEnd extends Data.TaggedError("Verdict")<{ readonly outcome: ProbeOutcome }> {}

/** It has too much to do to tell now, which says nothing of its models. */
export const tooBusy = new ProbeEnd({ outcome: { _tag: "Down", reason: "answered with status 429" } })

/** One probe; every question gets what is left of its time. */
export interface Talk {
  /** A question the probe depends on: no answer, or one that speaks against the backend, ends the probe. */
  readonly need: (path: string) => Effect.Effect<ParsedAnswer, ProbeEnd>
  /** A question that only adds to what is known: undefined unless it was answered well; with a body it is a POST. */
  readonly want: (path: string, body?: unknown) => Effect.Effect<ParsedAnswer | undefined>
  /** The same of any answer, whatever its status; undefined where there is none. */
  readonly hear: (path: string, body?: unknown) => Effect.Effect<ParsedAnswer | undefined>
  /** Says which version of itself the server is. */
  readonly isOf: (version: string) => Effect.Effect<void>
  /** Says what the server works on at the moment. */
  readonly worksOn: (loads: ToldLoads) => Effect.Effect<void>
  /** Gives up what has not ended when the time of the probe is nearly over. */
  readonly whileTimeIsLeft: (effect: Effect.Effect<void>) => Effect.Effect<unknown>
  /** Another place where the endpoints may be; undefined where the base URL says for certain. */
  readonly elsewhere: Elsewhere | undefined
}

/** The same questions below another path. */
interface Elsewhere {
  readonly want: (path: string) => Effect.Effect<ParsedAnswer | undefined>
  /** Says that the endpoints are there. */
  readonly isRight: Effect.Effect<void>
}
