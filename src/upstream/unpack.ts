/**
 * Error bodies that came compressed although nobody asked for it, made readable within a bound.
 */
import { brotliDecompressSync, constants, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from "node:zlib"

type Step = (bytes: Uint8Array, maxOutputLength: number) => Uint8Array

// Bodies may have been cut: what there is of them is taken.
const zlibFlush = { finishFlush: constants.Z_SYNC_FLUSH }
const brotliFlush = { finishFlush: constants.BROTLI_OPERATION_FLUSH }
const zstdFlush = { finishFlush: constants.ZSTD_e_flush }

const gunzip: Step = (bytes, maxOutputLength) => gunzipSync(bytes, { ...zlibFlush, maxOutputLength })

const inflate: Step = (bytes, maxOutputLength) => {
  try {
    return inflateSync(bytes, { ...zlibFlush, maxOutputLength })
  } catch {
    return inflateRawSync(bytes, { ...zlibFlush, maxOutputLength })
  }
}

const steps: Readonly<Record<string, Step>> = {
  gzip: gunzip,
  "x-gzip": gunzip,
  deflate: inflate,
  br: (bytes, maxOutputLength) => brotliDecompressSync(bytes, { ...brotliFlush, maxOutputLength }),
  zstd: (bytes, maxOutputLength) => zstdDecompressSync(bytes, { ...zstdFlush, maxOutputLength })
}

const nothing = new Uint8Array(0)

/**
 * A body without its content encoding; nothing of it when it is larger than `maxBytes`, and the body as it is when it is
 * not what it says.
 */
export const unpack = (encoding: string | null, body: Uint8Array, maxBytes: number): Uint8Array => {
  const names = (encoding ?? "").toLowerCase().split(",")
  // More than one is nothing that a server does by itself.
  const step = names.length === 1 ? steps[names[0]?.trim() ?? ""] : undefined
  if (step === undefined || body.byteLength === 0) return body
  try {
    return step(body, maxBytes)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? nothing : body
  }
}
