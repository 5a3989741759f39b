/**
 * Takes in a body while it is not decided yet what becomes of it: either it ends and is had whole, or it is handed on as
 * a flow with nothing lost in between.
 */
import * as Exit from "effect/Exit"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { AnswerBody, BodySink } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"

/** What an intake came to: the whole body, or the first bytes of one that goes on. */
export type BodyIntake =
  | { readonly _tag: "Whole"; readonly bytes: Uint8Array }
  | { readonly _tag: "Part"; readonly came: BodyBeginning; readonly attach: (sink: BodySink) => void }

const join = (pieces: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const whole = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return whole
}

/** Decides what becomes of a body. */
export interface IntakeJudge<A> {
  /** Whether what has come is enough, or what is wrong with it; asked after each piece, the last of `body`. */
  readonly enough: (piece: Uint8Array, body: BodyBeginning) => boolean | UpstreamError
  /** What is made of it, or what is wrong with it. */
  readonly judge: (intake: BodyIntake) => Exit.Exit<A, UpstreamError>
  /** Called when the body ends badly, or is dropped, before it has been judged. */
  readonly dropped: () => void
}

/** What has come of a body so far. */
export interface BodyBeginning {
  readonly size: number
  /** All of it in one piece. */
  readonly bytes: () => Uint8Array
  /** All of it, which is then no longer held. */
  readonly release: () => Uint8Array
}

const nobody = (): void => undefined

const noJudge: IntakeJudge<never> = { enough: () => true, judge: () => Exit.die("judged already"), dropped: nobody }

const none: Array<never> = []

const endOf = (sink: BodySink): void => sink.end()

const failureOf =
  (error: UpstreamError) =>
  (sink: BodySink): void =>
    sink.fail(error)

class Taking<A> implements BodySink, BodyBeginning {
  private readonly body: AnswerBody
  private judge: IntakeJudge<A>
  private done: (made: Exit.Exit<A, UpstreamError>) => void
  private pieces: Array<Uint8Array> = []
  size = 0
  private part = false
  private target: BodySink | undefined
  // How the body ended between the decision and the attachment of the next sink.
  private last: ((sink: BodySink) => void) | undefined

  constructor(body: AnswerBody, judge: IntakeJudge<A>, done: (made: Exit.Exit<A, UpstreamError>) => void) {
    this.body = body
    this.judge = judge
    this.done = done
  }

  piece(piece: Uint8Array): void {
    if (this.target !== undefined) return this.target.piece(piece)
    this.pieces.push(piece)
    this.size += piece.byteLength
    if (!this.part) this.look(piece)
  }

  end(): void {
    if (this.target !== undefined) this.target.end()
    else if (this.part) this.last = endOf
    else this.decide({ _tag: "Whole", bytes: this.bytes() })
  }

  fail(error: UpstreamError): void {
    if (this.target !== undefined) this.target.fail(error)
    else if (this.part) this.last = failureOf(error)
    else this.drop(error)
  }

  bytes(): Uint8Array {
    const whole = join(this.pieces, this.size)
    this.pieces = [whole]
    return whole
  }

  release(): Uint8Array {
    const whole = join(this.pieces, this.size)
    this.pieces = []
    this.size = 0
    return whole
  }

  private look(piece: Uint8Array): void {
    const enough = this.enough(piece)
    if (enough === false) return
    this.part = true
    if (enough !== true) {
      this.body.abort()
      return this.drop(enough)
    }
    this.handOn()
  }

  private handOn(): void {
    this.body.pause()
    this.decide({ _tag: "Part", came: this, attach: (sink) => this.attach(sink) })
  }

  // A defect of who judges must not leave the request without an end: the answer is lost by it.
  private enough(piece: Uint8Array): boolean | UpstreamError {
    try {
      return this.judge.enough(piece, this)
    } catch (defect) {
      return toUpstreamError(defect, true)
    }
  }

  private decide(intake: BodyIntake): void {
    this.done(this.made(intake))
  }

  private made(intake: BodyIntake): Exit.Exit<A, UpstreamError> {
    try {
      return this.judge.judge(intake)
    } catch (defect) {
      return Exit.fail(toUpstreamError(defect, true))
    }
  }

  private drop(error: UpstreamError): void {
    this.judge.dropped()
    this.done(Exit.fail(error))
  }

  private attach(sink: BodySink): void {
    this.target = sink
    // Who was told, and who has judged, would otherwise be held until the body ends, and with them the head and the request's own.
    this.done = nobody
    this.judge = noJudge
    // Nothing comes from inside of this; a sink that has enough with the first bytes holds the body back again.
    if (this.last === undefined) this.body.resume()
    const { pieces } = this
    this.pieces = none
    for (const piece of pieces) sink.piece(piece)
    this.last?.(sink)
  }
}

/**
 * Starts the body and takes pieces until it ends or the judge has enough; gives what the judge makes of them, or what ended
 * the body badly.
 */
export const takeBody = <A>(
  body: AnswerBody,
  judge: IntakeJudge<A>,
  done: (made: Exit.Exit<A, UpstreamError>) => void
): void => body.start(new Taking<A>(body, judge, done))
