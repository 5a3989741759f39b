/**
 * An answer on its way past hooks. A whole one is shown at once; of a stream, events are held back, shown a window at a time
 * and let go. Nothing of it goes to the client before the first window was judged, so that a refusal can still be an answer of
 * its own.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Dialect, StreamEnding, StreamOpening, StreamWatch } from "../dialect/Dialect.ts"
import { EventFrames } from "../dialect/event-frames.ts"
import { eventStreamType } from "../dialect/event-stream.ts"
import { textsOfAnswer, withoutEchoes } from "../dialect/shown-texts.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { AnswerWindow } from "../hooks/answer-window.ts"
import type { Usage } from "../telemetry/meter.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { isCoded } from "../upstream/content-encoding.ts"
import { decompress } from "../upstream/decompress.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import type { AnswerBody, BodySink } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import { endedFor } from "./final-failure.ts"
import { type Guard, type GuardRefusal, isGuardRefusal, putOthers } from "./guard.ts"
import type { RequestRecord } from "./record.ts"
import { translatedHead } from "./translated-flow.ts"
import { exactObject } from "../dialect/exact-json.ts"

type WholeAnswer = CommittedAnswer & { readonly _tag: "Whole" }
type FlowAnswer = CommittedAnswer & { readonly _tag: "Flow" }
type StreamAnswer = FlowAnswer & { readonly watch: StreamWatch }

/** What an answer is shown within. */
export interface HookedBounds {
  readonly record: RequestRecord
  /** The longest silence of its backend, in milliseconds. */
  readonly idleMs: number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const nothing = new Uint8Array(0)

// What came compressed is made readable up to this size.
const mostReadBytes = 64 * 1024 * 1024

// Events that are held beyond this, in characters, are shown whatever they say, and the backend waits for that.
const mostHeld = 256 * 1024

const mediaTypes = /^\s*(?:audio|image|video)\//i

const whole = { window: 0, last: true } as const

const shownWhole = (
  guard: Guard,
  answer: WholeAnswer,
  record: RequestRecord
): Effect.Effect<CommittedAnswer, GuardRefusal> => {
  const { head, usage } = answer
  // Blocked or not, it has taken them.
  if (usage !== undefined) record.uses(usage)
  const type = head.header("content-type") ?? ""
  if (mediaTypes.test(type) || answer.body.byteLength === 0) return Effect.succeed(answer)
  const body = isCoded(head) ? decompress(head.header("content-encoding"), answer.body, mostReadBytes) : answer.body
  // One that cannot be read comes back as it was, and of one that is too large nothing does.
  const isRead = !isCoded(head) || (body !== answer.body && body.byteLength > 0)
  const text = decoder.decode(body)
  const json = exactObject(text)
  const goes = (bytes: Uint8Array): CommittedAnswer => ({ ...answer, head: translatedHead(head, type), body: bytes })
  if (json === undefined) {
    if (!isRead || !/^text\//i.test(type)) {
      const refusal = guard.unseen("answer", isRead ? "an answer that is no JSON" : "an answer that is coded")
      return refusal === undefined ? Effect.succeed(answer) : Effect.fail(refusal)
    }
    const shown = { role: "assistant", kind: "text", message: undefined, name: undefined, text, isJson: false } as const
    return Effect.map(guard.judged("answer", [shown], { ...whole, media: 0 }), ([other = text]) =>
      other === text ? answer : goes(encoder.encode(other))
    )
  }
  const { media, texts } = textsOfAnswer(json)
  return Effect.map(guard.judged("answer", texts, { ...whole, media }), (others) => {
    if (!putOthers(texts, others)) return answer
    withoutEchoes(json)
    return goes(encoder.encode(JSON.stringify(json)))
  })
}

/** The watch over what is let go; what its backend makes is told of by pieces without a byte. */
class ReleasedWatch implements StreamWatch {
  readonly opening: StreamOpening = "good"
  readonly begun = true
  readonly silent = false
  readonly forget = (bytes: Uint8Array): Uint8Array => bytes
  readonly plain: StreamWatch
  private readonly came: StreamWatch

  constructor(plain: StreamWatch, came: StreamWatch) {
    this.plain = plain
    this.came = came
  }

  get size(): number {
    return this.plain.size
  }

  get erring(): boolean {
    return this.plain.erring
  }

  get between(): boolean {
    return this.plain.between
  }

  get written(): number {
    return this.came.written
  }

  push(piece: Uint8Array): boolean {
    this.plain.push(piece)
    return false
  }

  ending(orderly: boolean): StreamEnding {
    return this.plain.ending(orderly)
  }

  used(): Usage | undefined {
    return this.plain.used() ?? this.came.used()
  }

  promptUsed(): Usage | undefined {
    return this.plain.promptUsed?.() ?? this.came.promptUsed?.()
  }

  rest(): Uint8Array {
    return this.plain.rest()
  }

  last(): Uint8Array {
    return this.plain.last()
  }

  broken(error: string): Uint8Array {
    return this.plain.broken(error)
  }
}

/** An answer without what came of a wish that its client did not have. */
export const withoutWish = (
  { wishes }: { readonly wishes: boolean },
  answer: CommittedAnswer,
  { usageWish }: Dialect
): CommittedAnswer => {
  if (!wishes || answer._tag === "Whole" || answer.watch === undefined) return answer
  const { watch } = answer
  const filter = usageWish?.hold(watch instanceof ReleasedWatch ? watch.plain : watch)
  return filter === undefined ? answer : { ...answer, filter }
}

/** Told once: the answer begins, or why it does not. */
type Begins = (why: GuardRefusal | UpstreamError | undefined) => void

class HookedFlow implements AnswerBody, BodySink {
  readonly length = undefined
  readonly watch: ReleasedWatch
  private readonly guard: Guard
  private readonly answer: StreamAnswer
  private readonly clock: RequestClock
  private readonly frames: EventFrames
  private readonly window: AnswerWindow
  private readonly windowMs: number
  private readonly begins: Begins
  private fiber: Fiber.Fiber<void> | undefined
  private sink: BodySink | undefined
  private wake: (() => void) | undefined
  private out = ""
  private progress = 0
  private came = 0
  private count = 0
  private ended = false
  private error: UpstreamError | undefined
  private begun = false
  private isOver = false
  // Nobody takes anything before it is attached.
  private paused = true
  private isHeldBack = false

  constructor(guard: Guard, answer: StreamAnswer, { record }: HookedBounds, begins: Begins) {
    const rules = guard.answerRules
    const { clock, route } = record
    const { dialect } = route
    this.guard = guard
    this.answer = answer
    this.clock = clock
    this.frames = new EventFrames(dialect.types.stream !== eventStreamType)
    this.window = new AnswerWindow({
      chars: Math.max(...rules.map(({ windowChars }) => windowChars)),
      overlap: Math.max(...rules.map(({ overlapChars }) => overlapChars))
    })
    this.windowMs = Math.min(...rules.map(({ windowMs }) => windowMs))
    this.watch = new ReleasedWatch(dialect.watch(), answer.watch)
    this.begins = begins
  }

  /** Starts to take the answer. */
  open({ fork, idleMs }: HookedBounds): void {
    this.clock.arm("idle", idleMs, (error) => this.fail(error))
    this.answer.attach(this)
    this.fiber = fork(this.all)
  }

  /** Lets go of it when nobody waits any more. */
  drop(): void {
    this.abort()
    this.answer.taken()
  }

  attach(sink: BodySink): void {
    this.sink = sink
    for (; this.progress > 0; this.progress -= 1) sink.piece(nothing)
    this.paused = false
    this.flush()
    this.wake?.()
  }

  start(): void {}

  pause(): void {
    this.paused = true
    this.answer.head.body.pause()
  }

  resume(): void {
    this.paused = false
    if (!this.isHeldBack) this.answer.head.body.resume()
    this.wake?.()
  }

  abort(): void {
    this.isOver = true
    this.answer.head.body.abort()
    this.fiber?.interruptUnsafe()
  }

  piece(bytes: Uint8Array): void {
    if (this.ended || this.isOver) return
    const { watch } = this.answer
    this.came += bytes.byteLength
    // The first bytes have been watched before they were passed on.
    if (this.came <= watch.size || watch.push(bytes)) this.moves()
    this.takes(this.window.push(this.frames.push(bytes)))
    if (this.window.size > mostHeld && !this.isHeldBack) {
      this.isHeldBack = true
      this.answer.head.body.pause()
    }
    this.wake?.()
  }

  end(): void {
    this.ends(undefined)
  }

  fail(error: UpstreamError): void {
    this.ends(error)
  }

  private ends(error: UpstreamError | undefined): void {
    if (this.ended || this.isOver) return
    this.ended = true
    this.error = error
    // One that was silent for too long is not to say more while the rest is judged.
    if (error !== undefined) this.answer.head.body.abort()
    this.takes(this.window.push(this.frames.rest()))
    this.wake?.()
  }

  private moves(): void {
    if (this.sink !== undefined) return this.sink.piece(nothing)
    this.progress += 1
    this.clock.renew(performance.now())
  }

  private takes(text: string): void {
    this.out += text
    // What has no text for so long may have none.
    if (!this.begun && this.out.length > mostHeld) this.begin()
    if (this.begun) this.flush()
  }

  private flush(): void {
    const { out, sink } = this
    if (sink === undefined || out === "") return
    this.out = ""
    sink.piece(encoder.encode(out))
  }

  private get isFull(): boolean {
    const { window } = this
    return this.ended || window.isFull || window.size > mostHeld
  }

  private when(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const look = (): void => {
        if (!holds()) return
        this.wake = undefined
        resume(Effect.void)
      }
      this.wake = look
      look()
    })
  }

  private get all(): Effect.Effect<void> {
    const next: Effect.Effect<void> = Effect.suspend(() => {
      if (this.isOver) return Effect.void
      if (this.ended && this.window.isEmpty) return this.last
      return Effect.andThen(this.turn, next)
    })
    return Effect.catchDefect(next, (defect) => this.refuse(toUpstreamError(defect, true)))
  }

  /** One window, from when it is worth while to when the client can take more. */
  private get turn(): Effect.Effect<void> {
    const filled = Effect.suspend(() => {
      if (this.isFull) return Effect.void
      return Effect.race(
        Effect.sleep(this.windowMs),
        this.when(() => this.isFull)
      )
    })
    const shown = Effect.matchEffect(this.judged, {
      onFailure: (refusal) => this.refuse(refusal),
      onSuccess: (text) => Effect.sync(() => this.goes(text))
    })
    return this.when(() => this.isFull || this.window.isWorthIt).pipe(
      Effect.andThen(filled),
      Effect.andThen(shown),
      Effect.andThen(this.when(() => !this.paused || !this.begun))
    )
  }

  private get judged(): Effect.Effect<string, GuardRefusal> {
    return Effect.suspend(() => {
      const { ended: last, guard, window } = this
      const { isDark, media } = window
      const dark = isDark ? guard.unseen("answer", "an event that is no JSON") : undefined
      if (dark !== undefined) return Effect.fail(dark)
      const all = last || isDark || window.size > mostHeld
      window.media = 0
      const texts = window.texts()
      if (texts.length === 0) return Effect.succeed(window.goes([], all))
      this.count += 1
      return Effect.map(guard.judged("answer", texts, { media, window: this.count - 1, last }), (others) =>
        window.goes(others, all)
      )
    })
  }

  private goes(text: string): void {
    this.out += text
    if (this.isHeldBack && this.window.size <= mostHeld) {
      this.isHeldBack = false
      if (!this.paused || this.sink === undefined) this.answer.head.body.resume()
    }
    if (!this.begun && text !== "") this.begin()
    this.flush()
  }

  private begin(): void {
    this.begun = true
    this.begins(undefined)
  }

  private get last(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { error } = this
      // What broke before anything of it was let go may come of somebody else.
      if (!this.begun && error !== undefined) return this.refuse(error)
      if (!this.begun) this.begin()
      return this.concludes((sink) => {
        if (error === undefined) sink.end()
        else sink.fail(error)
      })
    })
  }

  private refuse(why: GuardRefusal | UpstreamError): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isOver = true
      if (this.begun) return this.concludes((sink) => sink.fail(isGuardRefusal(why) ? endedFor(why) : why))
      this.answer.head.body.abort()
      this.answer.taken()
      this.begins(why)
      return Effect.void
    })
  }

  // An answer that has begun may have nobody yet who takes it.
  private concludes(say: (sink: BodySink) => void): Effect.Effect<void> {
    return Effect.map(
      this.when(() => this.sink !== undefined),
      () => {
        this.flush()
        if (this.sink !== undefined) say(this.sink)
      }
    )
  }
}

const shownStream = (
  guard: Guard,
  answer: StreamAnswer,
  bounds: HookedBounds
): Effect.Effect<CommittedAnswer, GuardRefusal | UpstreamError> =>
  Effect.callback((resume) => {
    const { head, said } = answer
    const flow = new HookedFlow(guard, answer, bounds, (why) => {
      if (why !== undefined) return resume(Effect.fail(why))
      const type = head.header("content-type") ?? bounds.record.route.dialect.types.stream
      resume(
        Effect.succeed({
          _tag: "Flow",
          head: translatedHead(head, type, flow),
          said,
          watch: flow.watch,
          attach: (sink) => flow.attach(sink),
          taken: answer.taken
        })
      )
    })
    flow.open(bounds)
    return Effect.sync(() => flow.drop())
  })

/** An answer as its hooks let it go; fails with why they do not, or with how it broke before anything of it went on. */
export const hookedAnswer = (
  guard: Guard,
  answer: CommittedAnswer,
  bounds: HookedBounds
): Effect.Effect<CommittedAnswer, GuardRefusal | UpstreamError> => {
  if (answer._tag === "Whole") return shownWhole(guard, answer, bounds.record)
  if (answer.watch !== undefined) return shownStream(guard, { ...answer, watch: answer.watch }, bounds)
  if (mediaTypes.test(answer.head.header("content-type") ?? "")) return Effect.succeed(answer)
  const refusal = guard.unseen("answer", "an answer that is passed on as it comes")
  if (refusal === undefined) return Effect.succeed(answer)
  answer.head.body.abort()
  answer.taken()
  return Effect.fail(refusal)
}
