/**
 * The only place that calls other servers, behind typed errors.
 */
import { Context, Effect, Layer } from "effect"
import { BadAnswer, TimedOut, type UpstreamError } from "../domain/upstream.ts"
import type { Abort } from "./abort.ts"
import type { Arrival } from "./arrival.ts"
import { classify } from "./classify.ts"
import { makeConnections } from "./Connections.ts"

/** A short question to a backend whose whole answer is wanted as text. */
export interface Question {
  readonly method: "GET" | "POST" | "DELETE"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Time for the whole exchange, in milliseconds. */
  readonly timeoutMs: number
  /** Answers larger than this are refused; 4 MiB when absent. */
  readonly maxBytes?: number
}

/** Its answer, whatever the status. */
export interface TextReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** A call whose answer is handed on. */
export interface Call {
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array
  readonly abort: Abort
  /** True asks for a new connection. */
  readonly fresh: boolean
  /** Called when there is a connection. */
  readonly connected: () => void
}

// `rejectUnauthorized` stands against NODE_TLS_REJECT_UNAUTHORIZED=0, which would switch off all checks of certificates.
const common = {
  decompress: false,
  redirect: "manual",
  timeout: false,
  proxy: false,
  tls: { rejectUnauthorized: true }
} as const

const defaultMaxBytes = 4 * 1024 * 1024

const readText = async (response: Response, maxBytes: number): Promise<string | undefined> => {
  if (response.body === null) return ""
  const decoder = new TextDecoder()
  let text = ""
  let size = 0
  for await (const chunk of response.body) {
    size += chunk.byteLength
    if (size > maxBytes) return undefined
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** Calls to other servers; every failure is an {@link UpstreamError}. */
export class Transport extends Context.Service<
  Transport,
  {
    /** Asks and reads the whole answer as text, within the question's own time and size. */
    readonly ask: (question: Question) => Effect.Effect<TextReply, UpstreamError>
    /** Sends a call; resolves with the head of the answer, rejects with an upstream error or the signal's reason. */
    readonly send: (call: Call) => Promise<Arrival>
  }
>()("nexus/upstream/Transport") {
  /** The real one: forwarded calls go over our own client, short questions over fetch. */
  static readonly layer = Layer.suspend(() => Layer.effect(Transport, makeTransport))

  /** A fixed one, for tests. */
  static readonly layerOf = (service: Transport["Service"]) => Layer.succeed(Transport, service)
}

const makeTransport = Effect.gen(function* () {
  const connections = yield* Effect.acquireRelease(
    Effect.sync(() => makeConnections()),
    ({ close }) => Effect.sync(close)
  )
  const ask = (question: Question) =>
    Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(question.url, {
          ...common,
          method: question.method,
          headers: { "accept-encoding": "identity", ...question.headers },
          ...(question.body === undefined ? {} : { body: question.body }),
          signal
        })
        const text = await readText(response, question.maxBytes ?? defaultMaxBytes)
        return { status: response.status, headers: response.headers, text }
      },
      catch: (error) => classify(error, false)
    }).pipe(
      Effect.flatMap(({ text, ...head }) =>
        text === undefined
          ? Effect.fail(new BadAnswer({ reason: "the answer is too large" }))
          : Effect.succeed({ ...head, text })
      ),
      Effect.timeoutOrElse({
        duration: question.timeoutMs,
        orElse: () => Effect.fail(new TimedOut({ limit: "connect", afterMs: question.timeoutMs }))
      })
    )
  return Transport.of({ ask, send: connections.send })
})
