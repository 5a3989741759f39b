/**
 * The only place that calls other servers, behind typed errors.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { askOver, type ShortCall, type TextAnswer } from "./ask.ts"
import { type ConnectionPoolOptions, makeConnectionPool } from "../wire/ConnectionPool.ts"
import { OpenFiles } from "./OpenFiles.ts"
import { HostContacts, Perimeter } from "./perimeter.ts"
import { ProcessPauses } from "./ProcessPauses.ts"
import type { Call, CallListener } from "../wire/call.ts"
import { livenessEveryMs } from "../wire/liveness.ts"

/** Calls to other servers; every failure is an {@link UpstreamError}. */
export class Transport extends Context.Service<
  Transport,
  {
    /** Asks and reads the whole answer as text, within the question's own time and size. */
    readonly ask: (question: ShortCall) => Effect.Effect<TextAnswer, UpstreamError>
    /** Sends a call; resolves with the head of the answer, rejects with an upstream error or the signal's reason. */
    readonly send: (call: Call) => Promise<ReceivedAnswer>
    /** The same without a promise: whoever listens is told. */
    readonly begin: (call: Call, listener: CallListener) => void
  }
>()("nexus/upstream/Transport") {
  /** The real one, over our own client. */
  static readonly layer = Layer.suspend(() => Transport.layerWith({}))

  /** The same with connections of one's own making. */
  static readonly layerWith = (options: ConnectionPoolOptions) => Layer.effect(Transport, makeTransport(options))

  /** A fixed one, for tests. */
  static readonly layerOf = ({ ask, send }: Pick<Transport["Service"], "ask" | "send">) =>
    Layer.succeed(Transport, {
      ask,
      send,
      begin: (call, listener) => {
        listener.connected()
        void send(call).then(
          (answer) => listener.arrived(answer),
          (reason: unknown) => listener.failed(reason)
        )
      }
    })
}

const client = Effect.fnUntraced(function* (options: ConnectionPoolOptions) {
  const some = Latch.makeUnsafe(false)
  const connections = yield* Effect.acquireRelease(
    Effect.sync(() => makeConnectionPool({ ...options, awake: () => void some.openUnsafe() })),
    ({ close }) => Effect.sync(close)
  )
  const look = Effect.gen(function* () {
    yield* some.await
    yield* Effect.sleep(livenessEveryMs)
    if (!connections.look()) some.closeUnsafe()
  })
  yield* look.pipe(Effect.forever, Effect.forkScoped)
  return connections
})

const makeTransport = Effect.fnUntraced(function* (options: ConnectionPoolOptions) {
  // Questions must not take the connections that requests have kept for each other.
  const files = yield* OpenFiles
  const own = { files, gate: yield* Perimeter, contacts: yield* HostContacts, ...options }
  const [calling, asking] = yield* Effect.all([client(own), client(own)])
  const dropIdle = () => [calling, asking].forEach((each) => each.dropIdle())
  files.relieve(dropIdle)
  const pauses = yield* Effect.flatMap(ProcessPauses, ({ follow }) => follow)
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
    send: calling.send,
    begin: calling.begin
  })
})
