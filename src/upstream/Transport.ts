/**
 * The only place that calls other servers, behind typed errors.
 */
import { Context, Effect, Layer, PubSub } from "effect"
import type { UpstreamError } from "../domain/upstream.ts"
import type { Abort } from "./abort.ts"
import type { Arrival } from "./arrival.ts"
import { askOver } from "./ask.ts"
import { makeConnections } from "./Connections.ts"
import { Pauses } from "./Pauses.ts"
import type { Trust } from "./tls.ts"

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
  /** What the server asked has for TLS of its own. */
  readonly trust?: Trust
  /** True asks for a new connection. */
  readonly fresh?: boolean
}

/** Its answer, whatever the status. */
export interface TextReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** A call whose answer is handed on. */
export interface Call {
  /** POST when absent. */
  readonly method?: "GET" | "DELETE"
  readonly url: string
  /** What the backend has for TLS of its own. */
  readonly trust?: Trust
  readonly headers: Record<string, string>
  readonly body: Uint8Array
  readonly abort: Abort
  /** True asks for a new connection. */
  readonly fresh: boolean
  /** Called when there is a connection. */
  readonly connected: () => void
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
  /** The real one, over our own client. */
  static readonly layer = Layer.suspend(() => Layer.effect(Transport, makeTransport))

  /** A fixed one, for tests. */
  static readonly layerOf = (service: Transport["Service"]) => Layer.succeed(Transport, service)
}

const makeTransport = Effect.gen(function* () {
  const client = Effect.acquireRelease(
    Effect.sync(() => makeConnections()),
    ({ close }) => Effect.sync(close)
  )
  // Questions must not take the connections that requests have kept for each other.
  const [calling, asking] = yield* Effect.all([client, client])
  const pauses = yield* Effect.flatMap(Pauses, ({ follow }) => follow)
  // The other side, and whatever is in between, may have forgotten the connections that are kept.
  yield* PubSub.take(pauses).pipe(
    Effect.map(() => [calling, asking].forEach(({ dropIdle }) => dropIdle())),
    Effect.forever,
    Effect.forkScoped
  )
  return Transport.of({ ask: askOver(asking), send: calling.send })
})
