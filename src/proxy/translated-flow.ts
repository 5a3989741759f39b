/**
 * The answer of a backend on its way through the codecs: an Effect stream from the pieces of its body, one element for each
 * read of the socket, to the bytes of the client's dialect. Who delivers it sees a flow like any other.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import type { ChatEvent } from "../dialect/chat.ts"
import type { Dialect, StreamEnding, StreamOpening, StreamWatch } from "../dialect/Dialect.ts"
import { through, type Transducer, type TransducerStep } from "../dialect/Transducer.ts"
import type { Redact } from "../domain/redact.ts"
import { ConnectionLost, type UpstreamError } from "../domain/upstream-errors.ts"
import type { Usage } from "../telemetry/meter.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { drawAll, Inlet } from "./inlet.ts"
import type { AnswerBody, BodySink, ReceivedAnswer } from "../wire/received-answer.ts"
import { wholeTokens } from "../usage/usage-record.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"

type FlowAnswer = CommittedAnswer & { readonly _tag: "Flow" }

/** The codecs between two dialects; `dialect` is the client's. */
export interface FlowCodecs {
  readonly decode: Transducer<Uint8Array, ChatEvent>
  readonly encode: Transducer<ChatEvent, Uint8Array>
  readonly dialect: Dialect
  readonly redact: Redact
}

const nothing = new Uint8Array(0)

const truncated = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })

// How long a backend has that has said its last word to end its body, so that its connection can be kept.
const lingerMs = 250

/** The head of an answer in another dialect. */
export const translatedHead = (head: ReceivedAnswer, type: string, body: AnswerBody = head.body): ReceivedAnswer => ({
  status: head.status,
  header: (name) => (name === "content-type" ? type : name === "content-encoding" ? null : head.header(name)),
  names: () => head.names(),
  body
})

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
}

/** The encoding of one answer, under way. */
type Encoding = TransducerStep<ChatEvent, Uint8Array>

const isLast = ({ type }: ChatEvent): boolean => type === "done" || type === "error"

// Tells what a backend says up to its last word, or to what the client cannot be told, and no secret in it.
class UpToLast implements Encoding {
  private ended = false
  private readonly encoding: Encoding
  private readonly redact: Redact

  constructor(encoding: Encoding, redact: Redact) {
    this.encoding = encoding
    this.redact = redact
  }

  get over(): boolean {
    return this.ended || this.encoding.over === true
  }

  push(event: ChatEvent): ReadonlyArray<Uint8Array> {
    const { encoding } = this
    if (!isLast(event)) return encoding.push(event)
    this.ended = true
    const clean = event.type === "error" ? { ...event, message: this.redact(event.message) } : event
    return [...encoding.push(clean), ...encoding.end()]
  }

  end(): ReadonlyArray<Uint8Array> {
    return this.encoding.end()
  }
}

/** What tells what an answer has taken. */
type WatchedSource = Pick<StreamWatch, "promptUsed" | "used" | "written">

// What its deliverer knows of a translated stream: whole events alone pass, so something may be added anywhere.
class TranslatedWatch implements StreamWatch {
  ended: StreamEnding = "cut"
  private readonly dialect: Dialect
  private readonly source: WatchedSource
  private readonly encoding: Encoding | undefined

  /** `source` tells what the answer has taken. */
  constructor(dialect: Dialect, source: WatchedSource, encoding?: Encoding) {
    this.dialect = dialect
    this.source = source
    this.encoding = encoding
  }

  // What is so of all of them takes no room in any.
  get size(): number {
    return 0
  }

  get opening(): StreamOpening {
    return "good"
  }

  get begun(): boolean {
    return true
  }

  get erring(): boolean {
    return false
  }

  get between(): boolean {
    return true
  }

  get silent(): boolean {
    return false
  }

  get written(): number {
    return this.source.written
  }

  broken(error: string): Uint8Array {
    return this.encoding?.broken?.(error) ?? this.dialect.watch().broken(error)
  }

  used(): Usage | undefined {
    return this.source.used()
  }

  promptUsed(): Usage | undefined {
    return this.source.promptUsed?.()
  }

  // Progress is what the backend makes, and told of by a piece without a byte.
  push({ byteLength }: Uint8Array): boolean {
    return byteLength === 0
  }

  forget(bytes: Uint8Array): Uint8Array {
    return bytes
  }

  ending(): StreamEnding {
    return this.ended
  }

  rest(): Uint8Array {
    return nothing
  }

  last(): Uint8Array {
    return nothing
  }

  /** Takes the last piece of a stream that was translated to its end. */
  ends(last: Uint8Array): void {
    const watch = this.dialect.watch()
    watch.push(last)
    this.ended = watch.ending(true)
  }
}

// One object of a stream for all that is done with it: what it is not told of again, such as the head, it does not hold.
class FlowTranslation implements AnswerBody, BodySink {
  readonly watch: TranslatedWatch
  private readonly from: AnswerBody
  private readonly source: StreamWatch
  private readonly keepAlive: Uint8Array
  private readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly pieces: Inlet<Uint8Array, Uint8Array, UpstreamError>
  private fiber: Fiber.Fiber<void> | undefined
  private sink: BodySink | undefined
  private came = 0
  private ended = false
  private paused = false
  private wake: (() => void) | undefined
  private whenEnded: (() => void) | undefined
  private last: Uint8Array = nothing

  constructor(
    from: AnswerBody,
    source: StreamWatch,
    { decode, dialect, encode, redact }: FlowCodecs,
    run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  ) {
    this.from = from
    this.source = source
    this.keepAlive = dialect.keepAlive ?? nothing
    this.run = run
    const encoding = encode.start()
    const told = new UpToLast(encoding, redact)
    this.pieces = new Inlet(through(decode, { start: () => told }).start())
    this.watch = new TranslatedWatch(dialect, source, encoding)
  }

  get length(): undefined {
    return undefined
  }

  /** Starts what comes by `attach`, and hands it on. */
  attach(attach: FlowAnswer["attach"], sink: BodySink): void {
    this.sink = sink
    this.fiber = this.run(Effect.matchCause(this.all, this))
    attach(this)
  }

  start(): void {}

  pause(): void {
    this.paused = true
    this.from.pause()
  }

  resume(): void {
    this.paused = false
    this.from.resume()
    this.wake?.()
  }

  abort(): void {
    this.ended = true
    this.from.abort()
    this.fiber?.interruptUnsafe()
  }

  piece(bytes: Uint8Array): void {
    const { source } = this
    this.came += bytes.byteLength
    // The first bytes have been watched before they were passed on.
    const isProgress = this.came <= source.size || source.push(bytes)
    this.sink?.piece(isProgress ? nothing : this.keepAlive)
    this.pieces.push(bytes)
  }

  end(): void {
    this.ends(true, truncated)
  }

  fail(error: UpstreamError): void {
    this.ends(false, error)
  }

  private ends(orderly: boolean, error: UpstreamError): void {
    this.ended = true
    if (this.source.ending(orderly) === "cut") this.pieces.fail(error)
    else this.pieces.end()
    this.whenEnded?.()
  }

  private get all(): Pull.Pull<never, UpstreamError> {
    // Suspended, what it is made of is not held for as long as it runs.
    return Effect.suspend(() => drawAll(this.pieces.stream, (pieces) => this.deliver(joined(pieces))))
  }

  private deliver(piece: Uint8Array): Effect.Effect<void> {
    if (this.pieces.over) this.last = piece
    this.sink?.piece(piece)
    return this.paused ? this.resumed : Effect.void
  }

  private get resumed(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      // The fiber may have stood still in between, and nobody wakes it twice.
      if (this.paused) this.wake = () => resume(Effect.void)
      else resume(Effect.void)
    })
  }

  // As all of it ends by a failure, be it that there is no more.
  onSuccess(): void {}

  onFailure(cause: Cause.Cause<UpstreamError | Cause.Done>): void {
    if (Cause.hasInterruptsOnly(cause)) return
    const failed = Cause.findErrorOption(cause)
    if (failed._tag === "None") this.sink?.fail(toUpstreamError(Cause.squash(cause), true))
    else if (Cause.isDone(failed.value)) this.finished()
    else this.sink?.fail(failed.value)
  }

  private finished(): void {
    this.watch.ends(this.last)
    this.sink?.end()
    if (!this.ended) this.fiber = this.run(this.lingers)
  }

  private get lingers(): Effect.Effect<void> {
    const ended = Effect.callback<void>((resume) => {
      if (this.ended) resume(Effect.void)
      else this.whenEnded = () => resume(Effect.void)
    })
    return Effect.andThen(
      Effect.timeoutOption(ended, lingerMs),
      Effect.sync(() => {
        if (!this.ended) this.from.abort()
      })
    )
  }
}

/** A stream in the client's dialect; `run` starts the fiber that translates it. */
export const translatedFlow = (
  answer: FlowAnswer,
  watch: StreamWatch,
  codecs: FlowCodecs,
  run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
): CommittedAnswer => {
  const flow = new FlowTranslation(answer.head.body, watch, codecs, run)
  return {
    _tag: "Flow",
    head: translatedHead(answer.head, codecs.dialect.types.stream, flow),
    said: answer.said,
    watch: flow.watch,
    attach: (sink) => flow.attach(answer.attach, sink),
    taken: answer.taken
  }
}

const noBody: AnswerBody = {
  length: undefined,
  start: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined
}

/** A whole answer as the stream that its client has asked for. */
export const streamOf = (
  answer: CommittedAnswer & { readonly _tag: "Whole" },
  pieces: ReadonlyArray<Uint8Array>,
  dialect: Dialect
): CommittedAnswer => {
  const bytes = joined(pieces)
  const watch = new TranslatedWatch(dialect, { used: () => answer.usage, written: wholeTokens(answer.body.byteLength) })
  watch.ends(bytes)
  return {
    _tag: "Flow",
    head: translatedHead(answer.head, dialect.types.stream, noBody),
    said: answer.said,
    watch,
    attach: (sink) => {
      sink.piece(nothing)
      sink.piece(bytes)
      sink.end()
    },
    taken: () => undefined
  }
}
