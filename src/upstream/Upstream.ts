/**
 * One attempt at one backend: sends the call and brings back a committed answer, or says how it failed.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { Backend } from "../backend/backend.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import { addressFor, serverPath } from "../dialect/routes.ts"
import type { ZoneLimits } from "../domain/zones.ts"
import { ConnectionLost, TimedOut, type LimitName, type UpstreamError } from "../domain/upstream-errors.ts"
import { Abort } from "../wire/abort.ts"
import type { Caller, CallListener } from "../wire/call.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import { type AnswerExpectation, type CommentHearer, commitAnswer, type Judged } from "./answer.ts"
import type { Deadline } from "./Deadlines.ts"
import { bodyFor, callHeaders, prepareBackend, urlFor } from "./endpoint.ts"
import { HeldBytes } from "./held-bytes.ts"
import type { RequestBody } from "../wire/request-bytes.ts"
import { reachOf } from "./perimeter.ts"
import { Transport } from "./Transport.ts"
import type { Suspicion } from "../wire/liveness.ts"

// Of all answers together, unless a single one may be larger.
const maxHeldBytes = 16 * 1024 * 1024

const nobody = (): void => undefined

/** The clock of one request: which limit runs now, and whom it ends. */
export class RequestClock implements Deadline {
  place = -1
  at = Infinity
  totalAt = Infinity
  /** The limit that runs now. */
  limit: LimitName = "upload"
  /** When the call under way was connected; 0 before. */
  connectedAt = 0
  /** Who is told, once, that the request has lasted until a sweep; of those that are over sooner nothing is watched. */
  lasting: { readonly lasts: () => void } | undefined
  private length = 0
  private end: (error: UpstreamError) => void = nobody
  // What is ended in place of that.
  private call: Abort | undefined
  // Why the running limit was drawn in.
  private sooner: UpstreamError | undefined
  private totalMs = 0
  private shiftedMs = 0

  constructor(started: number, totalMs: number) {
    this.bound(started, totalMs)
  }

  /** Sets the end of the whole request, counted from its arrival; 0 is no end. */
  bound(started: number, totalMs: number): void {
    this.totalMs = totalMs
    this.totalAt = totalMs > 0 ? started + totalMs + this.shiftedMs : Infinity
  }

  /** Starts a limit in place of the last one; `end`, or the one set before, is called when it or the total has passed. */
  arm(limit: LimitName, lengthMs: number, end?: (error: UpstreamError) => void): void {
    this.limit = limit
    this.length = lengthMs
    this.renew(performance.now())
    if (end === undefined) return
    this.end = end
    this.call = undefined
  }

  /** Starts the limit of a call that is to be connected, which is aborted when it, or one after it, has passed. */
  connects(lengthMs: number, call: Abort): void {
    this.connectedAt = 0
    this.arm("connect", lengthMs)
    this.call = call
  }

  /** Starts that of one that is connected. */
  connected(firstByteMs: number): void {
    const now = performance.now()
    this.connectedAt = now
    this.limit = "first_byte"
    this.length = firstByteMs
    this.renew(now)
  }

  /** Starts the running limit anew at `now`. */
  renew(now: number): void {
    this.at = this.length > 0 ? now + this.length : Infinity
    this.sooner = undefined
  }

  /** Lets the running limit end at `at` for `why`, if it would not end sooner; what starts it anew undoes this. */
  hasten(at: number, why: UpstreamError): void {
    if (at >= this.at) return
    this.at = at
    this.sooner = why
  }

  /** Moves the ends of limits that began before a moment: for so long nobody could keep them. */
  shift(before: number, byMs: number): void {
    if (this.at - this.length < before) this.at += byMs
    if (this.totalAt - this.totalMs >= before) return
    this.shiftedMs += byMs
    this.totalAt += byMs
  }

  lasts(): void {
    const { lasting } = this
    this.lasting = undefined
    lasting?.lasts()
  }

  /** Called by the sweep. */
  expire(limit: "phase" | "total"): void {
    const error =
      limit === "total"
        ? new TimedOut({ limit: "request", afterMs: this.totalMs })
        : (this.sooner ?? new TimedOut({ limit: this.limit, afterMs: this.length }))
    if (this.call === undefined) this.end(error)
    else this.call.abort(error)
  }
}

const givenUp = new ConnectionLost({ reason: "the call was given up", answered: false })

/** Whose call it is: asked and told on the way. */
export interface Asker extends CommentHearer {
  /** Whether a stream is wanted; asked when the answer has come. */
  readonly wantsStream: boolean
  /** Whether a call that was lost at once on a kept connection may be sent again on a new one; it is then. */
  readonly again: () => boolean
  /** The backend has been silent for a while; gives what the call is to fail with, if it is not to go on. */
  readonly silent: (doubt: Suspicion | undefined) => UpstreamError | undefined
}

/** What is sent, and to whom. */
export interface AttemptCall {
  readonly backend: Backend
  /** What is asked, in which dialect. */
  readonly route: DialectRoute
  /** The model that it is asked for. */
  readonly model: string
  /** Where the endpoints were found to be; undefined while the base URL alone tells. */
  readonly apiPath: ApiPath | undefined
  readonly body: RequestBody
  /** The media type of the body, where it is not that of the dialect. */
  readonly mediaType?: string | undefined
  readonly clientHeaders: Headers
  /** What bounds the zones that the request may go to. */
  readonly zones?: ZoneLimits | undefined
  readonly requestId: string
  /** How many gateways its request has passed, where that has been read. */
  readonly hops?: number
  /** Its place in the trace; that of the client when absent. */
  readonly traceparent?: string | undefined
  /** What stands beside that. */
  readonly tracestate?: string | undefined
  /** Whether it is to be told what the answer says of itself. */
  readonly tells?: boolean
  /** Whether a stream is wanted, whatever its caller wants. */
  readonly collects?: boolean
  readonly clock: RequestClock
  /** Who is asked and told on the way. */
  readonly caller: Asker
}

// Within what answers are taken.
interface AnswerBounds {
  readonly maxBytes: () => number
  readonly holding: HeldBytes
}

const untold = (): void => undefined

/** An attempt under way: whose call it is for the client, what is told of it, and what ends it. */
class AttemptUnderWay extends Abort implements AnswerExpectation, Caller, CallListener {
  readonly caller: Asker
  readonly route: DialectRoute
  readonly tells: boolean
  readonly holding: HeldBytes
  maxBytes = 0
  stream = false
  private readonly clock: RequestClock
  private readonly limits: Backend["limits"]
  // Until its answer has come: what is sent is not held any longer, nor who waits for what the answer is judged to be.
  private attempted: AttemptCall | undefined
  private resume: (judged: Effect.Effect<Judged>) => void
  private readonly bounds: AnswerBounds

  constructor(attempted: AttemptCall, bounds: AnswerBounds, resume: (judged: Effect.Effect<Judged>) => void) {
    super()
    this.caller = attempted.caller
    this.route = attempted.route
    this.tells = attempted.tells === true
    this.holding = bounds.holding
    this.clock = attempted.clock
    this.limits = attempted.backend.limits
    this.attempted = attempted
    this.resume = resume
    this.bounds = bounds
  }

  connected(): void {
    this.clock.connected(this.limits.firstByteMs)
  }

  progress(): void {
    this.clock.arm("idle", this.limits.idleMs)
  }

  arrived(head: ReceivedAnswer): void {
    const { attempted } = this
    this.attempted = undefined
    if (attempted === undefined) return
    this.stream = attempted.collects === true || this.caller.wantsStream
    this.maxBytes = this.bounds.maxBytes()
    try {
      commitAnswer(head, this, (judged) => this.ends(Effect.succeed(judged)))
    } catch (defect) {
      this.ends(Effect.die(defect))
    }
  }

  // The edge of the typed world: whatever a socket was closed for becomes an upstream error here.
  failed(reason: unknown): void {
    this.ends(Effect.succeed(Exit.fail(toUpstreamError(reason, false))))
  }

  private ends(judged: Effect.Effect<Judged>): void {
    const { resume } = this
    this.resume = untold
    resume(judged)
  }

  again(): boolean {
    return this.caller.again()
  }

  silent(doubt: Suspicion | undefined): void {
    const why = this.caller.silent(doubt)
    if (why !== undefined) this.abort(why)
  }
}

/** What is passed on, and to whom. */
export interface PassedCall {
  readonly backend: Backend
  readonly method: string
  readonly url: string
  /** All of them, those with its key included. */
  readonly headers: Record<string, string>
  readonly body: RequestBody
  /** Another protocol that is asked for, by who wants to know why it is refused. */
  readonly upgrade?: string
  /** What bounds the zones that the request may go to. */
  readonly zones?: ZoneLimits | undefined
  /** How long its answer may take to begin, in milliseconds; 0 is no limit. */
  readonly firstByteMs: number
  readonly clock: RequestClock
}

/** Calls to backends. */
export class Upstream extends Context.Service<
  Upstream,
  {
    /**
     * One attempt, to a committed answer or the failure that it came to. Interruption closes its connection, and is the only
     * way to give it up.
     */
    readonly call: (attempted: AttemptCall) => Effect.Effect<Judged>
    /** One call that is nobody's attempt, to the head of its answer, whatever that is. */
    readonly pass: (passed: PassedCall) => Effect.Effect<ReceivedAnswer, UpstreamError>
  }
>()("nexus/upstream/Upstream") {
  /** Holds back and checks answers of up to `maxAnswerBytes`, and no more than 16 MiB of all of them at a time. */
  static readonly layer = (maxAnswerBytes: () => number) =>
    Layer.effect(
      Upstream,
      Effect.map(Transport, (transport) => {
        const holding = new HeldBytes(() => Math.max(maxHeldBytes, maxAnswerBytes()))
        const bounds: AnswerBounds = { maxBytes: maxAnswerBytes, holding }
        const call = (attempted: AttemptCall): Effect.Effect<Judged> =>
          Effect.callback<Judged>((resume) => {
            const { backend, clock, route } = attempted
            const { connectMs } = backend.limits
            const prepared = prepareBackend(backend)
            const { trust } = prepared
            const path = serverPath(route.operation)
            const address = urlFor(prepared, backend, path, attempted.apiPath)
            const url = addressFor(address, attempted.model)
            const underWay = new AttemptUnderWay(attempted, bounds, resume)
            clock.connects(connectMs, underWay)
            transport.begin(
              {
                url,
                fixed: prepared.headers,
                headers: callHeaders(backend, attempted.clientHeaders, attempted.requestId, route.dialect, attempted),
                body: bodyFor(backend, path, attempted.body),
                abort: underWay,
                fresh: false,
                trust,
                reach: reachOf(backend, attempted.zones),
                connectMs: connectMs > 0 ? connectMs : Infinity,
                caller: underWay
              },
              underWay
            )
            return Effect.sync(() => underWay.abort(givenUp))
          })
        const pass = ({ clock, ...sent }: PassedCall): Effect.Effect<ReceivedAnswer, UpstreamError> =>
          Effect.callback<ReceivedAnswer, UpstreamError>((resume) => {
            const { backend, body, firstByteMs, headers, method, url } = sent
            const { connectMs } = backend.limits
            const abort = new Abort()
            clock.connects(connectMs, abort)
            transport.begin(
              {
                ...(method === "POST" ? {} : { method }),
                url,
                headers,
                body,
                upgrade: sent.upgrade,
                abort,
                fresh: false,
                trust: prepareBackend(backend).trust,
                reach: reachOf(backend, sent.zones),
                connectMs: connectMs > 0 ? connectMs : Infinity
              },
              {
                connected: () => clock.connected(firstByteMs),
                arrived: (head) => resume(Effect.succeed(head)),
                failed: (reason) => resume(Effect.fail(toUpstreamError(reason, false)))
              }
            )
            return Effect.sync(() => abort.abort(givenUp))
          })
        return Upstream.of({ call, pass })
      })
    )
}
