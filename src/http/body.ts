/**
 * Takes in a request body within its size and time, so that every refusal has OpenAI's shape.
 */
import { PayloadTooLarge, RequestTimeout, UnsupportedMediaType } from "../domain/errors.ts"
import { reasonOf } from "./failure.ts"
import type { RequestClock } from "../upstream/Upstream.ts"

/** Why a body is not taken. */
export type BodyError = PayloadTooLarge | RequestTimeout | UnsupportedMediaType

const joined = (pieces: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const whole = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return whole
}

// A body without a declared length is counted while it is read.
const readCounted = async (request: Request, limitBytes: number): Promise<Uint8Array | undefined> => {
  const reader = request.body?.getReader()
  if (reader === undefined) return new Uint8Array(0)
  const pieces: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return joined(pieces, size)
    size += value.byteLength
    if (size > limitBytes) {
      void reader.cancel().catch(() => undefined)
      return undefined
    }
    pieces.push(value)
  }
}

/**
 * Reads the body, up to `limitBytes` and within `uploadMs` of the request's clock; resolves with the bytes or with why
 * they are not taken. A client that leaves in the middle leaves the promise open: its fiber is interrupted.
 */
export const readBody = (
  request: Request,
  clock: RequestClock,
  limitBytes: number,
  uploadMs: number
): Promise<Uint8Array | BodyError> => {
  const encoding = request.headers.get("content-encoding")
  if (encoding !== null && encoding !== "" && encoding.toLowerCase() !== "identity") {
    const message = `Request bodies must not be compressed (content-encoding: ${encoding.slice(0, 40)})`
    return Promise.resolve(new UnsupportedMediaType({ message }))
  }
  const declared = request.headers.get("content-length")
  if (declared !== null && Number(declared) > limitBytes) return Promise.resolve(new PayloadTooLarge({ limitBytes }))
  return new Promise((resolve) => {
    clock.arm("upload", uploadMs, (error) => resolve(new RequestTimeout({ message: reasonOf(error) })))
    const bytes = declared === null ? readCounted(request, limitBytes) : request.bytes()
    bytes.then(
      (body) => resolve(body ?? new PayloadTooLarge({ limitBytes })),
      () => undefined
    )
  })
}
