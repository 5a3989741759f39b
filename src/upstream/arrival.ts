/**
 * An answer of a backend as it arrives, whichever client brought it.
 */
import type { UpstreamError } from "../domain/upstream.ts"

/** Where the pieces of a body go; plain synchronous callbacks, one of `end` and `fail` comes last and once. */
export interface Sink {
  /** Decoded body bytes that the receiver may keep. */
  readonly piece: (bytes: Uint8Array) => void
  /** The body is complete by its framing. */
  readonly end: () => void
  readonly fail: (error: UpstreamError) => void
}

/** A body that is delivered as it comes and can be held back. */
export interface Body {
  /** Declared length in bytes; undefined when chunked or until close. */
  readonly length: number | undefined
  /** Starts delivery; called once. Nothing is delivered from inside this call. */
  readonly start: (sink: Sink) => void
  /** Stops taking from the connection, so that the backend is slowed. */
  readonly pause: () => void
  readonly resume: () => void
  /** Drops the answer and its connection; no callback comes after it. */
  readonly abort: () => void
}

/** The head of an answer, and its body. */
export interface Arrival {
  readonly status: number
  /** Value of a header by its lower-case name, repeated ones joined by a comma; null when absent. */
  readonly header: (name: string) => string | null
  readonly body: Body
}

const nothing = (): void => undefined

/** An arrival over a response of fetch; `classify` turns what a read throws into an upstream error. */
export const arrivalOf = (response: Response, classify: (thrown: unknown) => UpstreamError): Arrival => {
  const reader = response.body?.getReader()
  const declared = response.headers.get("content-length")
  let sink: Sink = { piece: nothing, end: nothing, fail: nothing }
  const state = { paused: false, reading: false, over: false }

  const pump = async (): Promise<void> => {
    if (state.reading) return
    state.reading = true
    try {
      while (!state.over && !state.paused) {
        const { done, value } = reader === undefined ? { done: true, value: undefined } : await reader.read()
        if (state.over) break
        if (done || value === undefined) {
          state.over = true
          sink.end()
        } else sink.piece(value)
      }
    } catch (thrown) {
      if (!state.over) {
        state.over = true
        sink.fail(classify(thrown))
      }
    } finally {
      state.reading = false
    }
  }
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    body: {
      length: declared === null ? undefined : Number(declared),
      start: (given) => {
        sink = given
        queueMicrotask(() => void pump())
      },
      pause: () => {
        state.paused = true
      },
      resume: () => {
        state.paused = false
        if (!state.over) void pump()
      },
      abort: () => {
        state.over = true
        void reader?.cancel().catch(nothing)
      }
    }
  }
}
