/**
 * Error bodies that came compressed although nobody asked for it, made readable within a bound.
 */
type Step = (bytes: Uint8Array, maxOutputLength: number) => Uint8Array

// Loaded by the first body that needs it: every start would wait for it otherwise.
const makeSteps = (): Readonly<Record<string, Step>> => {
  const zlib = process.getBuiltinModule("node:zlib")
  const { constants } = zlib
  // Bodies may have been cut: what there is of them is taken.
  const zlibFlush = { finishFlush: constants.Z_SYNC_FLUSH }
  const brotliFlush = { finishFlush: constants.BROTLI_OPERATION_FLUSH }
  const zstdFlush = { finishFlush: constants.ZSTD_e_flush }
  const gunzip: Step = (bytes, maxOutputLength) => zlib.gunzipSync(bytes, { ...zlibFlush, maxOutputLength })
  const inflate: Step = (bytes, maxOutputLength) => {
    try {
      return zlib.inflateSync(bytes, { ...zlibFlush, maxOutputLength })
    } catch {
      return zlib.inflateRawSync(bytes, { ...zlibFlush, maxOutputLength })
    }
  }
  return {
    gzip: gunzip,
    "x-gzip": gunzip,
    deflate: inflate,
    br: (bytes, maxOutputLength) => zlib.brotliDecompressSync(bytes, { ...brotliFlush, maxOutputLength }),
    zstd: (bytes, maxOutputLength) => zlib.zstdDecompressSync(bytes, { ...zstdFlush, maxOutputLength })
  }
}

let steps: Readonly<Record<string, Step>> | undefined

const nothing = new Uint8Array(0)

/**
 * A body without its content encoding; nothing of it when it is larger than `maxBytes`, and the body as it is when it is
 * not what it says.
 */
export const decompress = (encoding: string | null, body: Uint8Array, maxBytes: number): Uint8Array => {
  const name = (encoding ?? "").toLowerCase().trim()
  // More than one is nothing that a server does by itself.
  if (name === "" || name.includes(",") || body.byteLength === 0) return body
  steps ??= makeSteps()
  const step = steps[name]
  if (step === undefined) return body
  try {
    return step(body, maxBytes)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? nothing : body
  }
}
