/**
 * The only place that calls other servers, behind typed errors.
 */
import { Context, Effect, Latch, Layer, PubSub } from "effect"
import type { UpstreamError } from "../domain/upstream.ts"
import type { Abort } from "./abort.ts"
import type { Arrival } from "./arrival.ts"
import { askOver } from "./ask.ts"
import { type ConnectionsOptions, makeConnections } from "./Connections.ts"
import { Files } from "./Files.ts"
import { Pauses } from "./Pauses.ts"
import type { RequestBody } from "./request-bytes.ts"
import { type Doubt, lookMs } from "./silence.ts"
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
  /** The path of a Unix socket that takes the question in place of the host of its URL. */
  readonly socket?: string
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
  readonly trust?: Trust | undefined
  readonly headers: Record<string, string>
  readonly body: RequestBody
  readonly abort: Abort
  /** True asks for a new connection. */
  readonly fresh: boolean
  /** Called when there is a connection. */
  readonly connected: () => void
  /** Time within which a connection must be there and be alive, in milliseconds; no limit when absent. */
  readonly connectMs?: number
  /** Who is asked and told on the way; nobody when absent. */
  readonly caller?: Caller
}

/** Whom a call belongs to. */
export interface Caller {
  /** Whether a call that was lost at once on a kept connection may be sent again on a new one; it is then. */
  readonly again: () => boolean
  /** The backend has been silent for a while; `doubt` is what speaks against it, undefined when nothing does. Called again and again. */
  readonly silent: (doubt: Doubt | undefined) => void
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
  static readonly layer = Layer.suspend(() => Transport.layerWith({}))

  /** The same with connections of one's own making. */
  static readonly layerWith = (options: ConnectionsOptions) => Layer.effect(Transport, makeTransport(options))

  /** A fixed one, for tests. */
  static readonly layerOf = (service: Transport["Service"]) => Layer.succeed(Transport, service)
}

const client = Effect.fnUntraced(function* (options: ConnectionsOptions) {
  const some = Latch.makeUnsafe(false)
  const connections = yield* Effect.acquireRelease(
    Effect.sync(() => makeConnections({ ...options, awake: () => void some.openUnsafe() })),
    ({ close }) => Effect.sync(close)
  )
  const look = Effect.gen(function* () {
    yield* some.await
    yield* Effect.sleep(lookMs)
    if (!connections.look()) some.closeUnsafe()
  })
  yield* look.pipe(Effect.forever, Effect.forkScoped)
  return connections
})

const makeTransport = Effect.fnUntraced(function* (options: ConnectionsOptions) {
  // Questions must not take the connections that requests have kept for each other.
  const files = yield* Files
  const own = { files, ...options }
  const [calling, asking] = yield* Effect.all([client(own), client(own)])
  const dropIdle = () => [calling, asking].forEach((each) => each.dropIdle())
  files.relieve(dropIdle)
  const pauses = yield* Effect.flatMap(Pauses, ({ follow }) => follow)
  // The other side, and whatever is in between, may have forgotten the connections that are kept.
  yield* PubSub.take(pauses).pipe(Effect.map(dropIdle), Effect.forever, Effect.forkScoped)
  const ask = askOver(asking)
  return Transport.of({
    ask: (question) => {
      const { socket } = question
      if (socket === undefined) return ask(question)
      return Effect.flatMap(
        Effect.promise(() => import("./ask-socket.ts")),
        ({ askSocket }) => askSocket(question, socket)
      )
    },
    send: calling.send
  })
})
