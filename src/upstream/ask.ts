/**
 * A short question over the client: its whole answer as text, within a time and a size.
 */
import * as Effect from "effect/Effect"
import { BadAnswer, TimedOut, type UpstreamError } from "../domain/upstream-errors.ts"
import { Abort } from "../wire/abort.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import type { Gate } from "../wire/call.ts"
import type { ConnectionPool } from "../wire/ConnectionPool.ts"
import type { Trust } from "../wire/tls.ts"
import { timeoutAwake } from "./ProcessPauses.ts"

/** A short question to a backend whose whole answer is wanted as text. */
export interface ShortCall {
  readonly method: "GET" | "POST" | "DELETE"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** A body that is no text, in its place; of pieces that follow each other nothing is written over before it is over. */
  readonly bytes?: Uint8Array | ReadonlyArray<Uint8Array>
  /** Time for the whole exchange, in milliseconds. */
  readonly timeoutMs: number
  /** Answers larger than this are refused; 4 MiB when absent. */
  readonly maxBytes?: number
  /** What the server asked has for TLS of its own. */
  readonly trust?: Trust
  /** What bounds the addresses that it may go to; any when absent. */
  readonly reach?: Gate | undefined
  /** True asks for a new connection. */
  readonly fresh?: boolean
  /** The path of a Unix socket that takes the question in place of the host of its URL. */
  readonly socket?: string
}

/** Its answer, whatever the status. */
export interface TextAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const defaultMaxBytes = 4 * 1024 * 1024

const encoder = new TextEncoder()

const connected = (): void => undefined

/** The head of an answer as `Headers`. */
export const headersOf = (arrival: ReceivedAnswer): Headers => {
  const headers = new Headers()
  for (const name of new Set(arrival.names())) headers.set(name, arrival.header(name) ?? "")
  return headers
}

const read = (
  arrival: ReceivedAnswer,
  maxBytes: number,
  done: (result: Effect.Effect<TextAnswer, UpstreamError>) => void
): void => {
  const { body, status } = arrival
  const decoder = new TextDecoder()
  let text = ""
  let size = 0
  body.start({
    piece: (bytes) => {
      size += bytes.byteLength
      if (size <= maxBytes) text += decoder.decode(bytes, { stream: true })
      else {
        body.abort()
        done(Effect.fail(new BadAnswer({ reason: "the answer is too large" })))
      }
    },
    end: () => done(Effect.succeed({ status, headers: headersOf(arrival), text: text + decoder.decode() })),
    fail: (error) => done(Effect.fail(error))
  })
}

const exchanged = ({ send }: ConnectionPool, question: ShortCall): Effect.Effect<TextAnswer, UpstreamError> =>
  Effect.callback<TextAnswer, UpstreamError>((resume) => {
    const { body = "", bytes, fresh = false, headers, maxBytes = defaultMaxBytes, method, reach, trust, url } = question
    const abort = new Abort()
    const call = {
      ...(method === "POST" ? {} : { method }),
      url,
      headers: { "accept-encoding": "identity", ...headers },
      body: bytes ?? encoder.encode(body),
      ...(trust === undefined ? {} : { trust }),
      reach,
      abort,
      fresh,
      connected
    }
    send(call).then(
      (arrival) => read(arrival, maxBytes, resume),
      (thrown: unknown) => resume(Effect.fail(toUpstreamError(thrown, false)))
    )
    return Effect.sync(() => abort.abort("the question is given up"))
  })

/** Asks over these connections. */
export const askOver =
  (connections: ConnectionPool) =>
  (question: ShortCall): Effect.Effect<TextAnswer, UpstreamError> =>
    timeoutAwake(exchanged(connections, question), question.timeoutMs, () =>
      Effect.fail(new TimedOut({ limit: "connect", afterMs: question.timeoutMs }))
    )
