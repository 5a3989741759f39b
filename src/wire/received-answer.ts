/**
 * An answer of a backend as it arrives, whichever client brought it.
 */
import type { UpstreamError } from "../domain/upstream-errors.ts"

/** Where the pieces of a body go; plain synchronous callbacks, one of `end` and `fail` comes last and once. */
export interface BodySink {
  /** Decoded body bytes that the receiver may keep. */
  readonly piece: (bytes: Uint8Array) => void
  /** The body is complete by its framing. */
  readonly end: () => void
  readonly fail: (error: UpstreamError) => void
}

/** A body that is delivered as it comes and can be held back. */
export interface AnswerBody {
  /** Declared length in bytes; undefined when chunked or until close. */
  readonly length: number | undefined
  /** Starts delivery; called once. Nothing is delivered from inside this call. */
  readonly start: (sink: BodySink) => void
  /** Stops taking from the connection, so that the backend is slowed. */
  readonly pause: () => void
  readonly resume: () => void
  /** Drops the answer and its connection; no callback comes after it. */
  readonly abort: () => void
}

/** The head of an answer, and its body. */
export interface ReceivedAnswer {
  readonly status: number
  /** Value of a header by its lower-case name, repeated ones joined by a comma; null when absent. Of no use apart from its answer. */
  readonly header: (this: object, name: string) => string | null
  /** Names of all headers, in lower case; of no use apart from its answer. */
  readonly names: (this: object) => ReadonlyArray<string>
  readonly body: AnswerBody
}
