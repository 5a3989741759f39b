/**
 * From the head of a backend's answer to the moment it can be sent on: what is good is committed, what is not becomes an
 * upstream error while another backend can still be asked.
 */
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { BadAnswer, ErrorStatus, type UpstreamError } from "../domain/upstream-errors.ts"
import { delayIn, retryAfterOf, tellsLimits } from "../domain/retry-after.ts"
import {
  type DialectRoute,
  type AnswerIdentity,
  type WholeAnswer,
  unknownIdentity,
  type StreamFilter,
  type StreamWatch
} from "../dialect/Dialect.ts"
import { idAtHead, toldIn, type ToldAnswer } from "../dialect/told-facts.ts"
import type { ReceivedAnswer, BodySink } from "../wire/received-answer.ts"
import { isCoded, isOfType } from "./content-encoding.ts"
import type { HeldBytes } from "./held-bytes.ts"
import { type BodyBeginning, type BodyIntake, type IntakeJudge, takeBody } from "./answer-body.ts"
import { decompress } from "./decompress.ts"

/** A committed answer: whole, or as a flow whose first bytes have come and whose rest waits for `attach`. */
export type CommittedAnswer =
  | ({
      readonly _tag: "Whole"
      readonly head: ReceivedAnswer
      readonly body: Uint8Array
      readonly told?: ToldAnswer | undefined
    } & Pick<WholeAnswer, "said" | "usage">)
  | {
      readonly _tag: "Flow"
      readonly head: ReceivedAnswer
      readonly said: AnswerIdentity
      /** What else it says of itself, where that was wanted. */
      readonly told?: ToldAnswer | undefined
      /** What watches a stream that can be read; undefined for other bodies, such as one that came compressed. */
      readonly watch: StreamWatch | undefined
      /** What is left out of it on its way; absent where nothing is. */
      readonly filter?: StreamFilter
      /** Starts the flow; the first bytes are delivered from inside the call. */
      readonly attach: (sink: BodySink) => void
      /** To be called when the client has taken the first bytes, or never will; further calls do nothing. */
      readonly taken: () => void
    }

/** Whose client may hear comments that come before an answer. */
export interface CommentHearer {
  /** Where they go; undefined while they are held back with what follows them. */
  readonly hearer: (route: DialectRoute) => ((comments: Uint8Array) => void) | undefined
}

/** What the caller wants of an answer. */
export interface AnswerExpectation {
  readonly stream: boolean
  /** What was asked, in which dialect. */
  readonly route: DialectRoute
  /** Whether it is to be told what an answer says of itself. */
  readonly tells?: boolean
  /** Answers up to this size are held back and checked. */
  readonly maxBytes: number
  /** What is held back of all answers. */
  readonly holding: HeldBytes
  /** Called for each piece that is progress. */
  readonly progress: () => void
  /** Who knows where comments before an answer go. */
  readonly caller: CommentHearer
}

/** What an answer came to. */
export type Judged = Exit.Exit<CommittedAnswer, UpstreamError>

/** Takes what an answer came to, once. */
type CommitDone = (made: Judged) => void

// What comes of a stream before its answer begins is kept up to this size.
const heldBytes = 64 * 1024

// What a body is shows within so many bytes, or never.
const tellingBytes = 4096

const noBytes = new Uint8Array()

/** Of an error's body this much is read, compressed or not. */
export const mostOfAnError = 256 * 1024

// A date in `retry-after` is wall-clock time.
const wallClock = (): number => performance.timeOrigin + performance.now()

const nothing = (): void => undefined

const decoder = new TextDecoder()

const isNamedStream = (head: ReceivedAnswer, { dialect }: DialectRoute): boolean =>
  isOfType(head.header("content-type"), dialect.types.stream)

const badAnswer = (reason: string): Judged => Exit.fail(new BadAnswer({ reason }))

class ErrorJudge implements IntakeJudge<never> {
  private readonly head: ReceivedAnswer
  private readonly headers: Readonly<Record<string, string>>
  private came: BodyBeginning | undefined

  constructor(head: ReceivedAnswer, names: ReadonlyArray<string>) {
    this.head = head
    this.headers = Object.fromEntries(
      names.flatMap((name) => {
        const value = head.header(name)
        return value === null ? [] : [[name, value]]
      })
    )
  }

  enough(_: Uint8Array, body: BodyBeginning): false | ErrorStatus {
    this.came = body
    // Its beginning says enough, and the rest is not waited for.
    return body.size > mostOfAnError && this.error(body.bytes())
  }

  judge(intake: BodyIntake): Exit.Exit<never, ErrorStatus> {
    return Exit.fail(this.error(intake._tag === "Whole" ? intake.bytes : new Uint8Array(0)))
  }

  dropped(): void {}

  /** The error as far as it has come. */
  soFar(): ErrorStatus {
    return this.error(this.came?.bytes() ?? new Uint8Array(0))
  }

  private error(body: Uint8Array): ErrorStatus {
    const { head } = this
    const said = decompress(head.header("content-encoding"), body.subarray(0, mostOfAnError), mostOfAnError)
    const asksToWait = head.status === 429 || head.status === 503
    const header = (name: string): string | null => head.header(name)
    return new ErrorStatus({
      status: head.status,
      contentType: head.header("content-type") ?? "",
      body: said,
      headers: this.headers,
      ...(asksToWait && tellsLimits(header) ? { counts: true } : {}),
      retryAfterMs:
        retryAfterOf(header, wallClock(), head.status) ?? (asksToWait ? delayIn(decoder.decode(said)) : undefined)
    })
  }
}

/** Reads what a backend says that refuses. */
export const readRefusal = (head: ReceivedAnswer, { dialect }: DialectRoute, done: CommitDone): void => {
  const judge = new ErrorJudge(head, dialect.headers.answered)
  // The status has come; that its text broke off changes nothing.
  const told = (error: UpstreamError) => (error._tag === "ErrorStatus" ? error : judge.soFar())
  takeBody(head.body, judge, (made) => done(Exit.mapError(made, told)))
}

/** Reads an event stream to the first event that is an answer; what comes before it is held back. */
class EventsJudge implements IntakeJudge<CommittedAnswer> {
  private readonly head: ReceivedAnswer
  private readonly wanted: AnswerExpectation
  private readonly route: DialectRoute
  private readonly watch: StreamWatch

  constructor(head: ReceivedAnswer, wanted: AnswerExpectation) {
    this.head = head
    this.wanted = wanted
    this.route = wanted.route
    this.watch = wanted.route.dialect.watch()
  }

  enough(piece: Uint8Array, body: BodyBeginning): boolean | UpstreamError {
    const { route, watch } = this
    const isProgress = watch.push(piece)
    if (watch.opening === "error") return route.dialect.faultOf(body.bytes())
    if (route.operation.generates) {
      // Whoever says that much, be it comments, is at work; memory is not to grow with it.
      if (watch.opening === "waiting" && body.size <= heldBytes) {
        // It has begun to answer, and its silence is bounded as such from now on.
        if (watch.begun && isProgress) this.wanted.progress()
        if (watch.silent) this.wanted.caller.hearer(route)?.(watch.forget(body.release()))
        return false
      }
    } else if ((watch.silent || !watch.between) && body.size <= heldBytes) {
      // Its first event may be an error.
      return false
    }
    this.wanted.progress()
    return true
  }

  judge(intake: BodyIntake): Judged {
    const { head, route, watch } = this
    if (intake._tag === "Part") {
      const { attach, came } = intake
      return Exit.succeed({
        _tag: "Flow",
        head,
        said: route.dialect.said(came.bytes()),
        told: this.wanted.tells === true ? { id: idAtHead(came.bytes()), finishes: [] } : undefined,
        watch,
        attach,
        taken: nothing
      })
    }
    return badAnswer(intake.bytes.byteLength === 0 ? "an empty event stream" : "an event stream without an answer")
  }

  dropped(): void {}
}

/** An event stream that cannot be read: its first bytes are all that is waited for. */
class CodedJudge implements IntakeJudge<CommittedAnswer> {
  private readonly head: ReceivedAnswer
  private readonly wanted: AnswerExpectation

  constructor(head: ReceivedAnswer, wanted: AnswerExpectation) {
    this.head = head
    this.wanted = wanted
  }

  enough(): boolean {
    this.wanted.progress()
    return true
  }

  judge(intake: BodyIntake): Judged {
    if (intake._tag === "Whole") return badAnswer("an empty event stream")
    const { attach } = intake
    return Exit.succeed({
      _tag: "Flow",
      head: this.head,
      said: unknownIdentity,
      watch: undefined,
      attach,
      taken: nothing
    })
  }

  dropped(): void {}
}

/** Who judges an answer that begins so; undefined as long as more of it is needed to know, and where none came before its end. */
type Chooser = (
  head: ReceivedAnswer,
  wanted: AnswerExpectation,
  bytes: Uint8Array,
  isAll: boolean
) => IntakeJudge<CommittedAnswer> | undefined

/** Leaves an answer to the judge that its first bytes call for. */
class FirstBytesJudge implements IntakeJudge<CommittedAnswer> {
  private readonly head: ReceivedAnswer
  private readonly wanted: AnswerExpectation
  private readonly choose: Chooser
  private chosen: IntakeJudge<CommittedAnswer> | undefined

  constructor(head: ReceivedAnswer, wanted: AnswerExpectation, choose: Chooser) {
    this.head = head
    this.wanted = wanted
    this.choose = choose
  }

  enough(piece: Uint8Array, body: BodyBeginning): boolean | UpstreamError {
    if (this.chosen !== undefined) return this.chosen.enough(piece, body)
    const bytes = body.bytes()
    this.chosen = this.choose(this.head, this.wanted, bytes, body.size > tellingBytes)
    return this.chosen?.enough(bytes, body) ?? false
  }

  judge(intake: BodyIntake): Judged {
    this.chosen ??= this.choose(this.head, this.wanted, noBytes, true)
    return this.chosen?.judge(intake) ?? badAnswer("an empty body")
  }

  dropped(): void {
    this.chosen?.dropped()
  }
}

/** An answer is the stream that was asked for by what it begins with, whatever it calls itself. */
const askedStream: Chooser = (head, wanted, bytes, isAll) => {
  const kind = wanted.route.dialect.kindOf(bytes)
  if (kind === "untold" && !isAll) return undefined
  const events = kind === "events" || (kind !== "document" && isNamedStream(head, wanted.route))
  return events ? new EventsJudge(head, wanted) : plainJudge(head, wanted)
}

class BodyJudge implements IntakeJudge<CommittedAnswer> {
  private readonly head: ReceivedAnswer
  private readonly wanted: AnswerExpectation
  private counted = 0

  constructor(head: ReceivedAnswer, wanted: AnswerExpectation) {
    this.head = head
    this.wanted = wanted
  }

  enough(_: Uint8Array, { size }: BodyBeginning): boolean {
    const { holding, maxBytes } = this.wanted
    this.wanted.progress()
    this.counted = holding.grow(this.counted, size)
    return size > maxBytes || holding.isTooMuch(this.counted)
  }

  judge(intake: BodyIntake): Judged {
    const { head } = this
    if (intake._tag === "Part") return this.flow(intake.attach)
    this.dropped()
    const body = intake.bytes
    if (isCoded(head)) return Exit.succeed({ _tag: "Whole", head, body, said: unknownIdentity, usage: undefined })
    const whole = this.wanted.route.operation.whole(body, head.header("content-type"))
    if (Result.isFailure(whole)) return Exit.fail(whole.failure)
    const { json, said, usage } = whole.success
    const told = this.wanted.tells === true ? toldIn(json) : undefined
    return Exit.succeed({ _tag: "Whole", head, body, said, usage, told })
  }

  // What a closure is made of is put into an object by whatever function makes one, be it made or not.
  private flow(attach: (sink: BodySink) => void): Judged {
    return Exit.succeed({
      _tag: "Flow",
      head: this.head,
      said: unknownIdentity,
      watch: undefined,
      attach,
      taken: () => this.dropped()
    })
  }

  dropped(): void {
    this.wanted.holding.release(this.counted)
    this.counted = 0
  }
}

const mediaTypes = /^\s*(?:audio|image|video)\//i

// What JSON and pages begin with, behind blanks.
const mayBeError = (head: ReceivedAnswer, piece: Uint8Array): boolean => {
  const type = head.header("content-type") ?? ""
  if (mediaTypes.test(type)) return false
  const first = piece.find((byte) => byte > 0x20)
  return first === 0x7b || first === 0x3c || /json|html/i.test(type)
}

/** Bytes are passed on as they come; what is JSON or a page may be an error, and is looked at whole. */
const passedBytes: Chooser = (head, wanted, bytes) =>
  bytes.length === 0 ? undefined : mayBeError(head, bytes) ? new BodyJudge(head, wanted) : new CodedJudge(head, wanted)

const plainJudge = (head: ReceivedAnswer, wanted: AnswerExpectation): IntakeJudge<CommittedAnswer> =>
  wanted.route.operation.passes === true && !isCoded(head)
    ? new FirstBytesJudge(head, wanted, passedBytes)
    : new BodyJudge(head, wanted)

const judgeFor = (head: ReceivedAnswer, wanted: AnswerExpectation): IntakeJudge<CommittedAnswer> => {
  if (!wanted.stream) return plainJudge(head, wanted)
  if (!isCoded(head)) return new FirstBytesJudge(head, wanted, askedStream)
  return isNamedStream(head, wanted.route) ? new CodedJudge(head, wanted) : new BodyJudge(head, wanted)
}

/** Reads an answer as far as it takes to know that it is good, or what is wrong with it. */
export const commitAnswer = (head: ReceivedAnswer, expectation: AnswerExpectation, done: CommitDone): void => {
  if (head.status >= 400) return readRefusal(head, expectation.route, done)
  const fault =
    head.status >= 300
      ? "a redirect, which is not followed"
      : head.status === 204 || head.status === 205
        ? "an empty body"
        : undefined
  const unasked =
    !expectation.stream && isNamedStream(head, expectation.route)
      ? "an event stream although none was asked for"
      : undefined
  if (fault !== undefined || unasked !== undefined) {
    head.body.abort()
    return done(badAnswer(fault ?? unasked ?? ""))
  }
  takeBody(head.body, judgeFor(head, expectation), done)
}
