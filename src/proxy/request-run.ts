/**
 * One request under way, as those see it who work on it: its record, the ways to answer and to end it, and what must be given
 * back at its end.
 */
import type { Drain } from "../admission/Drain.ts"
import type { LimitPass } from "../admission/Limiter.ts"
import type * as Fiber from "effect/Fiber"
import type { EndOfTurn } from "../domain/EventLoopTurns.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { Upload } from "../admission/uploads.ts"
import type { Listening } from "../http/BunServer.ts"
import type { Ticket } from "../registry/live-state.ts"
import type { Delivery } from "./deliver.ts"
import type { Reservation } from "../usage/budget.ts"
import type { Captured } from "./captured.ts"
import type { CacheFill } from "./cached-answer.ts"
import type { Guard } from "./guard.ts"
import type { EarlyStream } from "./early-stream.ts"
import type { Shadow } from "./shadow.ts"
import type { Interruption, RequestRecord, UnderWay } from "./record.ts"
import type { BodyLimits } from "./request-body.ts"
import type { StreamedLimits } from "./streamed-body.ts"

/** What bounds one request; times in milliseconds, 0 is no limit. */
export interface RequestLimits extends BodyLimits, StreamedLimits {
  /** Most realtime sessions, and how long one may be silent. */
  readonly maxSessions: number
  readonly sessionIdleMs: number
  /** Whether any path of a backend may be asked for. */
  readonly backendPaths: boolean
  readonly stallMs: number
  /** How long the client of a stream waits in silence before comments keep its connection alive. */
  readonly keepAliveMs: number
  readonly maxRetries: number
}

/** An answer, and how it is given. */
export interface Reply {
  readonly answer: (response: Response) => void
  readonly response: Response
}

/** A request under way. */
export class RequestRun implements UnderWay, Delivery {
  place = -1
  /** The place at the backend that is asked; written by the attempts alone. */
  ticket: Ticket | undefined
  /** What it has reserved in budgets. */
  reservation: Reservation | undefined
  /** Whether the request counts against the retry budget. */
  retrying = false
  /** How many gateways it has passed. */
  hops = 0
  /** Whether its body is there, so that it counts among the requests that are handled. */
  working = false
  /** Whether it has become a WebSocket, whose end tells of itself. */
  isSocket = false
  /** A copy of it that is under way elsewhere. */
  shadow: Shadow | undefined
  /** What it holds of its limits; undefined where it is under none. */
  limitPass: LimitPass | undefined
  /** What is stored of it; undefined where nothing is. */
  captured: Captured | undefined
  /** Its answer, where that is to be kept. */
  fill: CacheFill | undefined
  /** The hooks that judge it and its answer; undefined where there are none. */
  guard: Guard | undefined
  /** Set for a stream whose client is not to wait in silence. */
  early: EarlyStream | undefined
  /** Why it is interrupted; undefined while it is not. */
  interruption: Interruption | undefined
  readonly record: RequestRecord
  readonly server: Listening
  readonly limits: RequestLimits
  readonly upload: Upload
  /** Whether its body may take longer than Bun would wait for it. */
  readonly outlastsBun: boolean
  private readonly drain: Pick<Drain["Service"], "parting">
  private readonly soon: EndOfTurn<Reply>
  // Until it has been called.
  private answer: ((response: Response) => void) | undefined
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  private address: string | undefined

  constructor(
    record: RequestRecord,
    server: Listening,
    limits: RequestLimits,
    upload: Upload,
    outlastsBun: boolean,
    drain: Pick<Drain["Service"], "parting">,
    soon: EndOfTurn<Reply>,
    answer: (response: Response) => void
  ) {
    this.record = record
    this.server = server
    this.limits = limits
    this.upload = upload
    this.outlastsBun = outlastsBun
    this.drain = drain
    this.soon = soon
    this.answer = answer
  }

  /** Sends the head of an answer at once, and its body as it comes; the first one counts. */
  open(response: Response): void {
    const { answer } = this
    this.answer = undefined
    answer?.(this.parting(response))
  }

  /** Answers the request with others of this round: where the head is out already, inside of its stream. */
  respond(response: Response): void {
    if (this.early?.opened === true) return void this.early.fail(response)
    const { answer } = this
    this.answer = undefined
    if (answer !== undefined) this.soon.add({ answer, response: this.parting(response) })
  }

  private parting(response: Response): Response {
    const { trace } = this.record
    if (trace?.isTold === false && !this.isSocket) response.headers.set("traceresponse", trace.response)
    return this.drain.parting(response)
  }

  /** The answer, of which a copy is made where it is to be kept. */
  kept(answer: CommittedAnswer): CommittedAnswer {
    const { captured, fill } = this
    const { stream } = this.record.route.dialect.types
    const kept = fill === undefined ? answer : fill.copy.of(answer, stream)
    return captured === undefined ? kept : captured.answer.of(kept, stream)
  }

  /** Names the fiber that {@link interrupt} is for. */
  runsIn(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.fiber = fiber
  }

  peer(): string | undefined {
    // It takes some microseconds to ask, and several do at the end.
    this.address ??= this.server.onlyPeer ?? this.server.peer(this.record.request)
    return this.address
  }

  /** Has it end when its client leaves. To watch for that costs 3 µs, which those need not pay that are over by the first sweep. */
  lasts(): void {
    this.server.onGone(this.record.request, () => {
      if (!this.isSocket) this.interrupt("client")
    })
  }

  interrupt(why: Interruption): void {
    this.interruption ??= why
    this.fiber?.interruptUnsafe()
  }
}
