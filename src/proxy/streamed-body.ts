/**
 * A request body that is passed on while it comes: as much of it is held as must be to know where it goes, and beyond that
 * as much as makes a second try possible; what is on its way is never more than the backend has room for.
 */
import * as Effect from "effect/Effect"
import { type GatewayError, PayloadTooLarge, RequestTimeout } from "../domain/errors.ts"
import { TimedOut } from "../domain/upstream-errors.ts"
import type { FormReading, Span } from "../dialect/Dialect.ts"
import type { Upload } from "../admission/uploads.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import type { BodySource, RequestBody } from "../wire/request-bytes.ts"
import { failureReason } from "./final-failure.ts"
import { crowdedUploadMs } from "./request-body.ts"

/** A body up to this size, in bytes, is taken in before it goes out; of a longer one as much again is held for other tries. */
const heldBytes = 1_048_576

/** Bytes that renew the time that a client has for more: who drips is no better than who is silent. */
const progressBytes = 64 * 1024

/** What bounds it. */
export interface StreamedLimits {
  /** The largest of all. */
  readonly maxStreamedBytes: number
  /** The largest that is held for want of its model. */
  readonly maxBodyBytes: number
  /** How long a client has to send more, in milliseconds; 0 is no limit. */
  readonly uploadMs: number
}

/** What reads it, and what is told of it. */
export interface StreamedOptions {
  readonly request: Request
  /** Its media type, as it is told to a backend. */
  readonly mediaType: string | null
  /** What looks into it; absent where nobody does. */
  readonly form: FormReading | undefined
  readonly limits: StreamedLimits
  readonly upload: Pick<Upload, "arrived" | "crowded" | "grow" | "shrink">
  readonly clock: RequestClock
  /** Called once, when it goes on no more although a backend has begun to get it. */
  readonly failed: (error: GatewayError) => void
}

const nothing = (): void => undefined

/** Pieces with a part of them replaced. */
export const spliced = (
  pieces: ReadonlyArray<Uint8Array>,
  { from, to }: Span,
  by: Uint8Array
): ReadonlyArray<Uint8Array> => {
  const before: Array<Uint8Array> = []
  const after: Array<Uint8Array> = []
  let at = 0
  for (const piece of pieces) {
    if (at < from) before.push(piece.subarray(0, from - at))
    if (at + piece.byteLength > to) after.push(piece.subarray(Math.max(0, to - at)))
    at += piece.byteLength
  }
  return [...before, by, ...after].filter(({ byteLength }) => byteLength > 0)
}

/** One body on its way. */
export class StreamedBody {
  private readonly about: StreamedOptions
  private readonly reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "cancel" | "read"> | undefined
  private readonly declared: number | undefined
  // What is held, the first of it at this place of all pieces; `size` is of all that has come.
  private kept: Array<Uint8Array> = []
  private first = 0
  private size = 0
  // How much is held for other tries at most.
  private most = Infinity
  private whole = false
  private over = false
  private coming = false
  private replays = true
  private more: () => void = nothing
  private span: Span = { from: 0, to: 0 }
  // Until when the client has to have sent so much.
  private until = 0
  private wanted = 0

  constructor(about: StreamedOptions) {
    this.about = about
    const { body, headers } = about.request
    const length = headers.get("content-length")
    this.declared = length === null ? undefined : Number(length)
    this.reader = body?.getReader()
    if (this.reader === undefined) this.ends()
  }

  /** Its media type. */
  get mediaType(): string | undefined {
    return this.about.mediaType ?? undefined
  }

  /** Whether it can be sent from its beginning once more. */
  get mayRepeat(): boolean {
    return this.replays
  }

  /** Bytes that have come. */
  get bytes(): number {
    return this.size
  }

  /** Whether nothing more comes. */
  get isWhole(): boolean {
    return this.whole
  }

  /** Waits until `known` says that it is known where it goes, and for a small one to its end. */
  begun(known: (whole: boolean) => boolean): Effect.Effect<void, GatewayError> {
    return Effect.callback((resume) => {
      this.about.clock.arm("upload", this.patience(), () => resume(Effect.fail(this.late())))
      void this.begin(known).then((refusal) => resume(refusal === undefined ? Effect.void : Effect.fail(refusal)))
    })
  }

  // Gives what it is refused for.
  private async begin(known: (whole: boolean) => boolean): Promise<GatewayError | undefined> {
    const { clock, limits, upload } = this.about
    if (this.declared !== undefined && this.declared > limits.maxStreamedBytes) return this.tooLarge()
    while (!this.whole && (this.size <= heldBytes || !known(false))) {
      clock.arm("upload", this.patience())
      const refusal = (await this.read()) ?? this.tooMuchFor(known) ?? upload.grow(this.size)
      if (refusal !== undefined) return refusal
    }
    this.most = this.size + heldBytes
    return undefined
  }

  /** Says where the name of its model stands. */
  names(span: Span | undefined): void {
    if (span !== undefined) this.span = span
  }

  /** As it is sent to a backend that has so much time for its answer, with another model where one is given. */
  as(model: string | undefined, firstByteMs: number): RequestBody {
    const { declared, kept, span } = this
    const by = model === undefined ? undefined : this.about.form?.withModel(model)
    const pieces = by === undefined ? [...kept] : spliced(kept, span, by)
    if (this.whole) return pieces
    const added = by === undefined ? 0 : by.byteLength - (span.to - span.from)
    const length = declared === undefined ? undefined : declared + added
    return new Sending(this, pieces, this.first + kept.length, length, this.about.clock, firstByteMs)
  }

  /** The piece at this place of all of them. */
  piece(at: number): Uint8Array | "later" | undefined {
    const piece = this.kept[at - this.first]
    if (piece !== undefined) {
      if (!this.replays) this.drop(at + 1)
      return piece
    }
    if (this.whole && !this.over) return undefined
    if (!this.over) void this.take()
    return "later"
  }

  /** Sets who is to be told of more. */
  onMore(more: () => void): void {
    this.more = more
  }

  /** How long the client has to send more from now on, in milliseconds; 0 is no limit. */
  patience(): number {
    const { limits, upload } = this.about
    const most = upload.crowded === undefined ? limits.uploadMs : crowdedUploadMs(limits.uploadMs)
    if (most === 0) return 0
    const now = performance.now()
    if (this.size >= this.wanted) {
      this.wanted = this.size + progressBytes
      this.until = now + most
    }
    return Math.max(1, this.until - now)
  }

  /** Why it is given up when that time has passed. */
  late(): GatewayError {
    const { limits, upload } = this.about
    const error = new TimedOut({ limit: "upload", afterMs: limits.uploadMs })
    return upload.crowded ?? new RequestTimeout({ message: failureReason(error) })
  }

  /** Nobody wants more of it; the rest is read past. */
  close(): void {
    this.over = true
    this.more = nothing
    this.kept = []
    if (!this.whole) void this.reader?.cancel().catch(nothing)
  }

  private async take(): Promise<void> {
    if (this.coming) return
    this.coming = true
    const refusal = await this.read()
    this.coming = false
    if (this.over) return
    if (refusal === undefined) return this.more()
    this.over = true
    this.about.failed(refusal)
  }

  private async read(): Promise<GatewayError | undefined> {
    const { form, limits } = this.about
    // A client that leaves in the middle leaves this open: its request is interrupted.
    const got = await this.reader?.read().catch(() => new Promise<never>(nothing))
    if (got?.value === undefined) {
      this.ends()
      return form?.fault(true)
    }
    const { value } = got
    this.size += value.byteLength
    if (this.size > limits.maxStreamedBytes) return this.tooLarge()
    if (value.byteLength > 0) this.kept.push(value)
    // No other try from here on.
    if (this.replays && this.size > this.most) {
      this.replays = false
      this.about.upload.shrink(0)
    }
    form?.push(value)
    return form?.fault(false)
  }

  private drop(to: number): void {
    this.kept.splice(0, to - this.first)
    this.first = to
  }

  private ends(): void {
    this.whole = true
    this.about.upload.arrived()
  }

  private tooLarge(): PayloadTooLarge {
    return new PayloadTooLarge({ limitBytes: this.about.limits.maxStreamedBytes })
  }

  private tooMuchFor(known: (whole: boolean) => boolean): PayloadTooLarge | undefined {
    const { maxBodyBytes } = this.about.limits
    if (this.size <= maxBodyBytes || this.whole || known(false)) return undefined
    const why = "which is as much as is held while the field 'model' has not come: send that before the files"
    return new PayloadTooLarge({ limitBytes: maxBodyBytes, why })
  }
}

/** Does something with a body that is passed on while it comes: to its end, or until the body cannot go on. */
export const withStreamedBody = <E>(
  about: Omit<StreamedOptions, "failed">,
  use: (body: StreamedBody) => Effect.Effect<void, E>
): Effect.Effect<void, E | GatewayError> =>
  Effect.suspend(() => {
    let failed: (error: GatewayError) => void = nothing
    const body = new StreamedBody({ ...about, failed: (error) => failed(error) })
    const failure = Effect.callback<never, GatewayError>((resume) => {
      failed = (error) => resume(Effect.fail(error))
    })
    return Effect.onExit(Effect.raceFirst(use(body), failure), () => Effect.sync(() => body.close()))
  })

/** One try to send a body: what is held of it, and then the rest as it comes. */
class Sending implements BodySource {
  readonly length: number | undefined
  private readonly body: StreamedBody
  private readonly clock: RequestClock
  private readonly firstByteMs: number
  private held: ReadonlyArray<Uint8Array>
  private sent = 0
  private at: number

  constructor(
    body: StreamedBody,
    held: ReadonlyArray<Uint8Array>,
    at: number,
    length: number | undefined,
    clock: RequestClock,
    firstByteMs: number
  ) {
    this.body = body
    this.held = held
    this.at = at
    this.length = length
    this.clock = clock
    this.firstByteMs = firstByteMs
  }

  next(): Uint8Array | "later" | undefined {
    const piece = this.piece()
    const { clock } = this
    // Once an answer has begun, other limits run.
    if (clock.limit === "first_byte" && piece === "later") clock.arm("upload", this.body.patience())
    else if (clock.limit === "upload" && piece !== "later") clock.arm("first_byte", this.firstByteMs)
    else if (clock.limit === "first_byte") clock.renew(performance.now())
    return piece
  }

  onMore(more: () => void): void {
    this.body.onMore(more)
  }

  private piece(): Uint8Array | "later" | undefined {
    const held = this.held[this.sent]
    if (held !== undefined) {
      this.sent += 1
      return held
    }
    this.held = []
    const piece = this.body.piece(this.at)
    if (piece instanceof Uint8Array) this.at += 1
    return piece
  }
}
