/**
 * A short question over the client: its whole answer as text, within a time and a size.
 */
import { Effect } from "effect"
import { BadAnswer, TimedOut, type UpstreamError } from "../domain/upstream.ts"
import { Abort } from "./abort.ts"
import type { Arrival } from "./arrival.ts"
import { classify } from "./classify.ts"
import type { Connections } from "./Connections.ts"
import { timeoutAwake } from "./Pauses.ts"
import type { Question, TextReply } from "./Transport.ts"

const defaultMaxBytes = 4 * 1024 * 1024

const encoder = new TextEncoder()

const connected = (): void => undefined

const headersOf = ({ header, names }: Arrival): Headers => {
  const headers = new Headers()
  for (const name of new Set(names())) headers.set(name, header(name) ?? "")
  return headers
}

const read = (
  arrival: Arrival,
  maxBytes: number,
  done: (result: Effect.Effect<TextReply, UpstreamError>) => void
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

const exchanged = ({ send }: Connections, question: Question): Effect.Effect<TextReply, UpstreamError> =>
  Effect.callback<TextReply, UpstreamError>((resume) => {
    const { body = "", fresh = false, headers, maxBytes = defaultMaxBytes, method, trust, url } = question
    const abort = new Abort()
    const call = {
      ...(method === "POST" ? {} : { method }),
      url,
      headers: { "accept-encoding": "identity", ...headers },
      body: encoder.encode(body),
      ...(trust === undefined ? {} : { trust }),
      abort,
      fresh,
      connected
    }
    send(call).then(
      (arrival) => read(arrival, maxBytes, resume),
      (thrown: unknown) => resume(Effect.fail(classify(thrown, false)))
    )
    return Effect.sync(() => abort.abort("the question is given up"))
  })

/** Asks over these connections. */
export const askOver =
  (connections: Connections) =>
  (question: Question): Effect.Effect<TextReply, UpstreamError> =>
    timeoutAwake(exchanged(connections, question), question.timeoutMs, () =>
      Effect.fail(new TimedOut({ limit: "connect", afterMs: question.timeoutMs }))
    )
