/**
 * From the head of a backend's answer to the moment it can be sent on: what is good is committed, what is not becomes an
 * upstream error while another backend can still be asked.
 */
import { BadAnswer, ErrorStatus } from "../domain/upstream.ts"
import { openingOf } from "./framing.ts"

/** The part of a body reader that is used. */
export interface Reader {
  readonly read: () => Promise<{ readonly done: boolean; readonly value?: Uint8Array }>
  readonly cancel: () => Promise<void>
}

/** A committed answer: whole, or as a flow whose first piece has come. */
export type Answer =
  | { readonly _tag: "Whole"; readonly head: Response; readonly body: Uint8Array }
  | {
      readonly _tag: "Flow"
      readonly head: Response
      readonly first: Uint8Array
      readonly reader: Reader
      readonly events: boolean
    }

/** What the caller wants of an answer. */
export interface Expectation {
  readonly stream: boolean
  /** Answers up to this size are held back and checked. */
  readonly maxBytes: number
  /** Called for each piece that is progress. */
  readonly progress: () => void
}

// Error bodies and comments before a first event are kept up to this size.
const errorBytes = 64 * 1024

// JSON up to this size is parsed to see that it is whole; larger bodies are judged by their ends.
const parsedBytes = 1024 * 1024

const decoder = new TextDecoder()

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

interface Collected {
  readonly bytes: Uint8Array
  /** False when the limit was reached before the end. */
  readonly ended: boolean
}

const collect = async (reader: Reader, limit: number, progress: () => void): Promise<Collected> => {
  const pieces: Array<Uint8Array> = []
  let size = 0
  while (size <= limit) {
    const { value } = await reader.read()
    if (value === undefined) return { bytes: join(pieces, size), ended: true }
    progress()
    pieces.push(value)
    size += value.byteLength
  }
  return { bytes: join(pieces, size), ended: false }
}

const readError = async (head: Response, retryAfterMs: number | undefined): Promise<ErrorStatus> => {
  const reader = head.body?.getReader()
  const { bytes, ended } =
    reader === undefined
      ? { bytes: new Uint8Array(0), ended: true }
      : await collect(reader, errorBytes, () => undefined).catch(() => ({ bytes: new Uint8Array(0), ended: true }))
  if (!ended) void reader?.cancel().catch(() => undefined)
  return new ErrorStatus({
    status: head.status,
    contentType: head.headers.get("content-type") ?? "",
    body: bytes,
    retryAfterMs
  })
}

const bad = (reason: string): BadAnswer => new BadAnswer({ reason })

const errorUnderGoodStatus = (json: object): ErrorStatus | BadAnswer | undefined => {
  if (!("error" in json) || json.error === null || json.error === undefined || "choices" in json || "data" in json) {
    return undefined
  }
  const error = json.error
  const code = typeof error === "object" && "code" in error ? Number(error.code) : Number.NaN
  if (!(code >= 400 && code <= 599)) return bad("an error under a good status")
  return new ErrorStatus({
    status: code,
    contentType: "application/json",
    body: new TextEncoder().encode(JSON.stringify(json)),
    retryAfterMs: undefined
  })
}

const checkJson = (body: Uint8Array): ErrorStatus | BadAnswer | undefined => {
  let last = body.byteLength - 1
  while (last >= 0 && (body[last] ?? 0) <= 0x20) last -= 1
  if (last < 0) return bad("an empty body")
  if (body.byteLength > parsedBytes) return body[last] === 0x7d ? undefined : bad("JSON that is cut short")
  try {
    const json: unknown = JSON.parse(decoder.decode(body))
    if (typeof json !== "object" || json === null) return bad("JSON that is no object")
    return errorUnderGoodStatus(json)
  } catch {
    return bad(body[0] === 0x3c ? "an HTML page" : "a body that is not whole JSON")
  }
}

const identity = (head: Response): boolean => {
  const encoding = head.headers.get("content-encoding")
  return encoding === null || encoding === "" || encoding === "identity"
}

const commitEvents = async (head: Response, reader: Reader, expectation: Expectation): Promise<Answer> => {
  const pieces: Array<Uint8Array> = []
  let size = 0
  while (size <= errorBytes) {
    const { value } = await reader.read()
    if (value === undefined)
      throw bad(size === 0 ? "an empty event stream" : "an event stream that ended before its first event")
    pieces.push(value)
    size += value.byteLength
    const first = join(pieces, size)
    const opening = identity(head) ? openingOf(first) : { _tag: "Good" as const }
    if (opening._tag === "Good") {
      expectation.progress()
      return { _tag: "Flow", head, first, reader, events: true }
    }
    if (opening._tag === "Error") {
      void reader.cancel().catch(() => undefined)
      throw errorEventOf(opening.data)
    }
  }
  void reader.cancel().catch(() => undefined)
  throw bad("an event stream without an event")
}

const errorEventOf = (data: string): ErrorStatus | BadAnswer => {
  try {
    const json: unknown = JSON.parse(data)
    const found = typeof json === "object" && json !== null ? errorUnderGoodStatus(json) : undefined
    return found instanceof ErrorStatus ? found : bad("an error as first event")
  } catch {
    return bad("an error as first event")
  }
}

/**
 * Reads an answer as far as it takes to know that it is good. Rejects with a {@link BadAnswer}, an {@link ErrorStatus},
 * or with what the connection threw.
 */
export const commit = async (
  head: Response,
  expectation: Expectation,
  retryAfter: (headers: Headers) => number | undefined
): Promise<Answer> => {
  if (head.status >= 400) throw await readError(head, retryAfter(head.headers))
  if (head.status >= 300) throw bad("a redirect, which is not followed")
  if (head.body === null || head.status === 204) throw bad("an empty body")
  const type = (head.headers.get("content-type") ?? "").toLowerCase()
  if (type.startsWith("text/event-stream")) {
    if (expectation.stream) return commitEvents(head, head.body.getReader(), expectation)
    void head.body.cancel().catch(() => undefined)
    throw bad("an event stream although none was asked for")
  }
  const declared = Number(head.headers.get("content-length") ?? Number.NaN)
  const whole = declared <= expectation.maxBytes
  const reader = whole ? undefined : head.body.getReader()
  const { bytes, ended } =
    reader === undefined
      ? { bytes: await head.bytes(), ended: true }
      : await collect(reader, expectation.maxBytes, expectation.progress)
  if (!ended && reader !== undefined) return { _tag: "Flow", head, first: bytes, reader, events: false }
  const fault = identity(head) ? checkJson(bytes) : undefined
  if (fault !== undefined) throw fault
  return { _tag: "Whole", head, body: bytes }
}
