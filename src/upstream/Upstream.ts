/**
 * One attempt at one backend: sends the call and brings back a committed answer, or says how it failed.
 */
import { Context, Effect, Layer } from "effect"
import type { Backend } from "../domain/backend.ts"
import type { Endpoint } from "../domain/request.ts"
import { TimedOut, type LimitName, type UpstreamError } from "../domain/upstream.ts"
import { commit, type Answer } from "./answer.ts"
import { classify } from "./classify.ts"
import type { Watch } from "./Deadlines.ts"
import { callHeaders, preparedFor } from "./endpoint.ts"
import { Transport } from "./Transport.ts"

/** The clock of one request: which limit runs now, and whom it ends. */
export class RequestClock implements Watch {
  at = Infinity
  totalAt = Infinity
  private limit: LimitName = "upload"
  private length = 0
  private end: (error: TimedOut) => void = () => undefined
  private totalMs = 0

  constructor(started: number, totalMs: number) {
    this.bound(started, totalMs)
  }

  /** Sets the end of the whole request, counted from its arrival; 0 is no end. */
  bound(started: number, totalMs: number): void {
    this.totalMs = totalMs
    this.totalAt = totalMs > 0 ? started + totalMs : Infinity
  }

  /**
   * Starts a limit in place of the last one, or goes on with it until `until`; `end` is called when it, or the total,
   * has passed. Returns when it ends.
   */
  arm(limit: LimitName, lengthMs: number, end?: (error: TimedOut) => void, until?: number): number {
    this.limit = limit
    this.length = lengthMs
    this.at = until ?? (lengthMs > 0 ? performance.now() + lengthMs : Infinity)
    if (end !== undefined) this.end = end
    return this.at
  }

  /** Called by the sweep. */
  readonly expire = (limit: "phase" | "total"): void => {
    this.end(
      limit === "total"
        ? new TimedOut({ limit: "request", afterMs: this.totalMs })
        : new TimedOut({ limit: this.limit, afterMs: this.length })
    )
  }
}

/** What is sent, and to whom. */
export interface Attempted {
  readonly backend: Backend
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly clientHeaders: Headers
  readonly requestId: string
  readonly stream: boolean
  readonly clock: RequestClock
  /** True asks for a new connection. */
  readonly fresh: boolean
}

/** A committed answer and the way to drop it. */
export interface Reply {
  readonly answer: Answer
  /** Closes the connection to the backend. */
  readonly abort: () => void
}

/** Calls to backends. */
export class Upstream extends Context.Service<
  Upstream,
  {
    /** One attempt; interruption closes the connection to the backend at once. */
    readonly call: (attempted: Attempted) => Effect.Effect<Reply, UpstreamError>
  }
>()("nexus/upstream/Upstream") {
  /** Holds back and checks answers of up to `maxAnswerBytes`. */
  static readonly layer = (maxAnswerBytes: number) =>
    Layer.effect(
      Upstream,
      Effect.gen(function* () {
        const transport = yield* Transport
        const open = (attempted: Attempted, controller: AbortController): Promise<Answer> => {
          const { backend, clock } = attempted
          const { connectMs, firstByteMs, idleMs } = backend.limits
          const expectation = {
            stream: attempted.stream,
            maxBytes: maxAnswerBytes,
            progress: () => void clock.arm("idle", idleMs)
          }
          const call = {
            url: preparedFor(backend).urls[attempted.endpoint],
            headers: callHeaders(backend, attempted.clientHeaders, attempted.requestId),
            body: attempted.body,
            signal: controller.signal,
            fresh: attempted.fresh,
            connected: () => void clock.arm("first_byte", firstByteMs)
          }
          const expire = (error: TimedOut) => controller.abort(error)
          if (transport.tellsConnected(call.url)) clock.arm("connect", connectMs, expire)
          else clock.arm("first_byte", firstByteMs, expire)
          return transport.send(call).then((head) => commit(head, expectation))
        }
        const call = (attempted: Attempted): Effect.Effect<Reply, UpstreamError> =>
          Effect.callback<Reply, UpstreamError>((resume) => {
            const controller = new AbortController()
            const abort = () => controller.abort()
            open(attempted, controller).then(
              (answer) => resume(Effect.succeed({ answer, abort })),
              (error: unknown) => {
                abort()
                resume(Effect.fail(classify(error, false)))
              }
            )
            return Effect.sync(abort)
          })
        return Upstream.of({ call })
      })
    )
}
