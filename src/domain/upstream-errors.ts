/**
 * Every way a call to a backend can fail, as values the retry law decides on. `reason` holds words for a person and
 * never an address, a key or runtime text, so that it may be shown to clients.
 */
import * as Data from "effect/Data"

/** The time limits by their names in the config. */
export type LimitName = "connect" | "first_byte" | "idle" | "queue" | "request" | "upload" | "stall"

/** What keeps TLS from being agreed. */
export type TlsFault =
  | "self_signed"
  | "unknown_authority"
  | "expired"
  | "not_yet_valid"
  | "wrong_name"
  | "bad_certificate"
  | "client_wanted"
  | "client_refused"
  | "broken_off"
  | "version"
  | "name_unknown"
  | "not_tls"
  | "tls_here"
  | "closed"
  | "other"

/** Nothing was sent: name not resolved, connection refused, TLS not agreed. */
export class Unreachable extends Data.TaggedError("Unreachable")<{
  readonly reason: string
  /** Set when it is for TLS that the backend cannot be reached. */
  readonly tls?: TlsFault
  /** Set when nothing is wrong with the backend: Nexus may open no more files. */
  readonly own?: true
  /** Set when it leads where it may not: to another zone, or beyond what privacy.mode leaves. */
  readonly barred?: true
}> {}

/** The connection closed or broke; `answered` says whether any byte of an answer had come. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly reason: string
  readonly answered: boolean
}> {}

/** A time limit passed; `afterMs` is its length. */
export class TimedOut extends Data.TaggedError("TimedOut")<{ readonly limit: LimitName; readonly afterMs: number }> {}

/** Something came that is no good answer: not HTTP, HTML, cut JSON, an empty body, an error body under a 200. */
export class BadAnswer extends Data.TaggedError("BadAnswer")<{
  readonly reason: string
  /** What was sent in place of an answer, where it may say why. */
  readonly body?: Uint8Array
}> {}

/**
 * The backend answered with an error status, or with an error that names one under a good status; `body` is what it sent,
 * up to a bound.
 */
export class ErrorStatus extends Data.TaggedError("ErrorStatus")<{
  readonly status: number
  readonly contentType: string
  readonly body: Uint8Array
  /** What its `retry-after` headers ask for, in milliseconds; undefined when it does not say. */
  readonly retryAfterMs: number | undefined
  /** What it says in headers that its client's dialect has for answers; absent where none came. */
  readonly headers?: Readonly<Record<string, string>>
  /** Set where it told what is left of limits that it counts. */
  readonly counts?: true
  /** Whether it came under a good status: the backend took the request for answered. */
  readonly underGood?: true
}> {}

/** The closed union of all of them. */
export type UpstreamError = Unreachable | ConnectionLost | TimedOut | BadAnswer | ErrorStatus
