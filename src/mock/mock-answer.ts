/**
 * One answer of the mock on its way: written at the speed of its model, and broken where a fault says so.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { AnswerContext, AnswerEncoder, ChatEvent } from "../dialect/chat.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import type { Failure } from "../dialect/failures.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import type { MockFault, MockModel } from "./mock-script.ts"
import { isPiece, type MockText } from "./mock-text.ts"

/** Who is answered, in which dialect. */
export interface Answering {
  readonly dialect: Dialect
  readonly model: MockModel
  readonly fault: MockFault | undefined
  readonly id: string
  /** What bounds the requests that are worked on at a time. */
  readonly slots: Semaphore.Semaphore | undefined
}

/** An answer that is written token by token. */
export interface Writing extends Answering {
  readonly said: MockText
  readonly stream: boolean
  readonly answers: AnswerEncoder
  readonly context: AnswerContext
}

/** Bytes that are due when so many pieces have been written. */
interface Step {
  readonly pieces: number
  readonly bytes: Uint8Array
}

/** What ends an answer early. */
const broken = new Error("the answer is cut here")

// A connection that is cut takes along what has not arrived.
const arrivalMs = 100

/** The end of an answer whose connection is cut. */
export const parted = Stream.fromEffect(Effect.andThen(Effect.sleep(arrivalMs), Effect.fail(broken)))

const errorWords = "The mock fails here, as it was told to"

// No text in any encoding, no JSON, no event.
const garbage = Uint8Array.of(0x00, 0xff, 0xfe, 0x3c, 0x7b, 0x22, 0x00, 0xc3, 0x28, 0x0a, 0x0a)

const faultOf = (status: number): Failure["fault"] => {
  if (status === 401 || status === 403) return "key"
  if (status === 402) return "quota"
  return status === 429 ? "rate" : status < 500 ? "request" : "server"
}

const codes: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  402: "insufficient_quota",
  404: "model_not_found",
  429: "rate_limit_exceeded",
  503: "service_unavailable"
}

/** The error of a fault, in the shape of a dialect. */
const failed = ({ dialect, fault, id }: Answering, status: number): Response => {
  const { message = errorWords, retry_after_seconds: wait } = fault ?? {}
  const code = codes[status] ?? (status < 500 ? "bad_request" : "internal_error")
  const body = dialect.errorBody({ status, fault: faultOf(status), code, param: null, message }, id)
  const headers = { "content-type": dialect.types.whole, ...requestIdHeaders(dialect, id) }
  return new Response(body, {
    status,
    headers: wait === undefined ? headers : { ...headers, "retry-after": String(wait) }
  })
}

// Headers leave with the first byte: a body that breaks before it leaves nothing but the closed connection.
const reset = (): Response => new Response(Stream.toReadableStream(parted))

const answerOf = (
  { dialect, id }: Answering,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>,
  type: string
): Response =>
  new Response(body, {
    headers: { "content-type": type, "cache-control": "no-cache", ...requestIdHeaders(dialect, id) }
  })

/** What is answered in place of an answer; undefined where there is to be one, be it to its middle. */
const inPlace = (answering: Answering, type: string): Response | undefined => {
  const { fault } = answering
  if (fault?.status !== undefined) return failed(answering, fault.status)
  if (fault?.reset === true) return reset()
  if (fault?.empty === true) return answerOf(answering, new Uint8Array(0), type)
  return fault?.garbage === true ? answerOf(answering, garbage, type) : undefined
}

/** The bytes of a stream with their places; the answer of a fault goes no further than that lets it. */
const stepsOf = ({ answers, context, fault, said }: Writing): ReadonlyArray<Step> => {
  const last = Math.min(
    fault?.cut_at_piece ?? Number.POSITIVE_INFINITY,
    fault?.stall_at_piece ?? Number.POSITIVE_INFINITY,
    fault?.error_at_piece ?? Number.POSITIVE_INFINITY
  )
  const encoding = answers.stream(context).start()
  const steps: Array<Step> = []
  let pieces = 0
  const write = (event: ChatEvent): void => {
    steps.push({ pieces, bytes: Buffer.concat(encoding.push(event)) })
  }
  for (const event of said.pieces) {
    if (isPiece(event)) {
      if (pieces >= last) break
      pieces += 1
    }
    write(event)
  }
  if (fault?.error_at_piece !== undefined) write({ type: "error", message: fault.message ?? errorWords })
  else if (pieces < last) for (const event of said.rest) write(event)
  return [...steps, { pieces, bytes: Buffer.concat(encoding.end()) }].filter(({ bytes }) => bytes.byteLength > 0)
}

/** Whether an answer goes on for ever, or breaks, once all that is to come of it has come. */
const endOf = ({ fault }: Answering): Stream.Stream<never, Error> => {
  if (fault?.stall_at_piece !== undefined) return Stream.never
  if (fault?.cut_at_piece === undefined) return Stream.empty
  return parted
}

/** When so many pieces are written, in milliseconds from the beginning. */
const dueMs = ({ model, said }: Writing, pieces: number): number => {
  const { prefill_tokens_per_second: prefill, tokens_per_second: speed } = model
  const read = prefill === undefined ? 0 : (said.usage.prompt * 1000) / prefill
  return read + (speed === undefined ? 0 : (pieces * 1000) / speed)
}

/** Waits for a time by the monotonic clock. */
export const sleepUntil = (at: number): Effect.Effect<void> =>
  Effect.flatMap(monotonicMs, (now) => (at <= now ? Effect.void : Effect.sleep(at - now)))

/** Takes a slot for as long as a stream goes on. */
const inSlot = <A, E>(slots: Answering["slots"], stream: Effect.Effect<Stream.Stream<A, E>>): Stream.Stream<A, E> =>
  Stream.unwrap(slots === undefined ? stream : Effect.andThen(slots.takeScoped(1), stream))

/** The answer, byte by byte as it is due. */
const written = (writing: Writing): Stream.Stream<Uint8Array, Error> =>
  inSlot(
    writing.slots,
    Effect.map(monotonicMs, (began) =>
      Stream.fromIterable(stepsOf(writing)).pipe(
        Stream.mapEffect(({ bytes, pieces }) => Effect.as(sleepUntil(began + dueMs(writing, pieces)), bytes)),
        Stream.concat(endOf(writing))
      )
    )
  )

const half = (body: Uint8Array): Uint8Array => body.subarray(0, Math.ceil(body.byteLength / 2))

const wholeOf = (writing: Writing): Effect.Effect<Response> => {
  const { answers, context, dialect, fault, said } = writing
  const body = answers.whole([...said.pieces, ...said.rest], context)
  if (Result.isFailure(body) || fault?.error_at_piece !== undefined) return Effect.succeed(failed(writing, 500))
  const count = said.pieces.filter(isPiece).length
  const cut = Stream.concat(Stream.make(half(body.success)), parted)
  return Effect.gen(function* () {
    yield* sleepUntil((yield* monotonicMs) + dueMs(writing, count))
    if (fault?.stall_at_piece !== undefined) return yield* Effect.never
    const bytes = fault?.cut_at_piece === undefined ? new Uint8Array(body.success) : Stream.toReadableStream(cut)
    return answerOf(writing, bytes, dialect.types.whole)
  }).pipe(writing.slots === undefined ? (self) => self : writing.slots.withPermits(1))
}

const delayed = ({ fault }: Answering): Effect.Effect<void> => Effect.sleep((fault?.delay_seconds ?? 0) * 1000)

/** What a request for text is answered; `ended` is called when all of it has been written, or broke. */
export const textAnswer = (writing: Writing, ended: Effect.Effect<void>): Effect.Effect<Response> => {
  const { types } = writing.dialect
  const isStream = writing.stream
  return Effect.suspend(() => {
    const instead = inPlace(writing, isStream ? types.stream : types.whole)
    if (instead !== undefined) return Effect.ensuring(Effect.succeed(instead), ended)
    if (!isStream) return Effect.ensuring(wholeOf(writing), ended)
    const body = Stream.toReadableStreamEffect(Stream.ensuring(written(writing), ended))
    return Effect.map(body, (bytes) => answerOf(writing, bytes, types.stream))
  }).pipe((answer) => Effect.andThen(delayed(writing), answer))
}

/** What any other request is answered, at once or by its fault. */
export const plainAnswer = (answering: Answering, body: Uint8Array): Effect.Effect<Response> =>
  Effect.map(delayed(answering), () => {
    const type = answering.dialect.types.whole
    return inPlace(answering, type) ?? answerOf(answering, new Uint8Array(body), type)
  })
