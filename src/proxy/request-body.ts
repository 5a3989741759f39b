/**
 * Takes in a request body within its size and time, so that every refusal has the shape of its dialect.
 */
import * as Effect from "effect/Effect"
import { type Overloaded, PayloadTooLarge, RequestTimeout, UnsupportedMediaType } from "../domain/errors.ts"
import { failureReason } from "./final-failure.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Upload } from "../admission/uploads.ts"

/** Why a body is not taken. */
export type BodyError = Overloaded | PayloadTooLarge | RequestTimeout | UnsupportedMediaType

/** What counts a body that grows. */
export type BodyCounter = Pick<Upload, "crowded" | "grow">

// Bodies up to this size, in bytes, are taken in one go.
const atOnceBytes = 64 * 1024

// How long a body has, in milliseconds, while as many as may be are on their way: those that are slow make room, and a
// request that comes in one piece is never refused for them.
const crowdedMs = 1000

/** How long a body has then, in milliseconds, that has so much time otherwise. */
export const crowdedUploadMs = (uploadMs: number): number =>
  uploadMs === 0 ? crowdedMs : Math.min(uploadMs, crowdedMs)

// Bytes copied in one turn.
const copiedBytes = 2 * 1_048_576

const joined = async (pieces: ReadonlyArray<Uint8Array>, size: number, turns: EventLoopTurns): Promise<Uint8Array> => {
  const whole = Buffer.allocUnsafeSlow(size)
  let at = 0
  let turnAt = copiedBytes
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
    if (at < turnAt) continue
    turnAt = at + copiedBytes
    await turns.next()
  }
  return whole
}

/** Reads a body piece by piece, and counts it meanwhile. */
const readCounted = async (
  request: Request,
  limitBytes: number,
  upload: BodyCounter,
  turns: EventLoopTurns
): Promise<Uint8Array | BodyError> => {
  const reader = request.body?.getReader()
  if (reader === undefined) return new Uint8Array(0)
  const pieces: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return joined(pieces, size, turns)
    size += value.byteLength
    const refusal = size > limitBytes ? new PayloadTooLarge({ limitBytes }) : upload.grow(size)
    if (refusal !== undefined) {
      void reader.cancel().catch(() => undefined)
      return refusal
    }
    pieces.push(value)
  }
}

/** The length that the head of a request tells of its body; undefined when it tells none. */
export const declaredLength = ({ headers }: Request): number | undefined => {
  const declared = headers.get("content-length")
  return declared === null ? undefined : Number(declared)
}

/** Why a body is not read that came compressed; undefined when it did not. */
export const codingFault = ({ headers }: Request): UnsupportedMediaType | undefined => {
  const encoding = headers.get("content-encoding")
  if (encoding === null || encoding === "" || encoding.toLowerCase() === "identity") return undefined
  const message = `Request bodies must not be compressed (content-encoding: ${encoding.slice(0, 40)})`
  return new UnsupportedMediaType({ message })
}

/** What bounds one body. */
export interface BodyLimits {
  readonly maxBodyBytes: number
  /** Milliseconds. */
  readonly uploadMs: number
}

/**
 * Reads the body within its size and the request's clock; resolves with the bytes or with why they are not taken. A client
 * that leaves in the middle leaves the promise open: its fiber is interrupted.
 */
export const readBody = (
  request: Request,
  clock: RequestClock,
  limits: BodyLimits,
  upload: BodyCounter,
  turns: EventLoopTurns
): Effect.Effect<Uint8Array, BodyError> => {
  const coded = codingFault(request)
  if (coded !== undefined) return Effect.fail(coded)
  const declared = declaredLength(request)
  return declared !== undefined && declared > limits.maxBodyBytes
    ? Effect.fail(new PayloadTooLarge({ limitBytes: limits.maxBodyBytes }))
    : taking(request, declared, clock, limits, upload, turns)
}

const nothing = (): void => undefined

const taking = (
  request: Request,
  declared: number | undefined,
  clock: RequestClock,
  limits: BodyLimits,
  upload: BodyCounter,
  turns: EventLoopTurns
): Effect.Effect<Uint8Array, BodyError> =>
  Effect.callback((resume) => {
    const { maxBodyBytes, uploadMs } = limits
    const { crowded } = upload
    if (crowded !== undefined && (uploadMs === 0 || uploadMs > crowdedMs)) {
      clock.arm("upload", crowdedUploadMs(uploadMs), () => resume(Effect.fail(crowded)))
    } else {
      clock.arm("upload", uploadMs, (error) =>
        resume(Effect.fail(new RequestTimeout({ message: failureReason(error) })))
      )
    }
    // In one go a large one would be copied in one go as well, and hold up everything else.
    const bytes =
      declared !== undefined && declared <= atOnceBytes
        ? request.bytes()
        : readCounted(request, maxBodyBytes, upload, turns)
    bytes.then((read) => resume(read instanceof Uint8Array ? Effect.succeed(read) : Effect.fail(read)), nothing)
  })
