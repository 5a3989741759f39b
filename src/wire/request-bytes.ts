/**
 * The bytes of a call as HTTP/1.1: framing and host are ours, and no header can smuggle in another line.
 */

import { isLineValue, LineBegins } from "../domain/header-lines.ts"
import { bareHost } from "../domain/url-host.ts"

/** Where a call goes, taken from its URL. */
export interface RequestTarget {
  /** Host name or address, IPv6 without brackets. */
  readonly hostname: string
  readonly port: number
  /** Whether it is called over TLS. */
  readonly secure: boolean
  /** Request line and `Host`, ready to send. */
  readonly opening: string
}

/** A body that is sent while it comes: the connection asks for its pieces as fast as the backend takes them. */
export interface BodySource {
  /** All of its bytes; undefined when nobody knows: it goes out in chunks. */
  readonly length: number | undefined
  /** The next piece, which is not empty; "later" when there is none yet, undefined behind the last one. */
  readonly next: () => Uint8Array | "later" | undefined
  /** Sets what is to be called when there is something after a "later". */
  readonly onMore: (more: () => void) => void
}

/** A body: whole, in pieces that follow each other, or while it comes. */
export type RequestBody = Uint8Array | ReadonlyArray<Uint8Array> | BodySource

/** Whether a body is sent while it comes. */
export const isSource = (body: RequestBody): body is BodySource => !(body instanceof Uint8Array) && "onMore" in body

// Bodies up to this size, in bytes, are copied behind their head, so that one write sends both.
const joinedBytes = 64 * 1024

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 }

/** The target of an address that is `http://` or `https://`; undefined for any other. */
export const parseTarget = (address: string): RequestTarget | undefined => {
  const url = URL.parse(address)
  const port = url === null ? undefined : defaultPorts[url.protocol]
  if (url === null || port === undefined || url.hostname === "") return undefined
  return {
    hostname: bareHost(url.hostname),
    port: url.port === "" ? port : Number(url.port),
    secure: url.protocol === "https:",
    opening: `POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n`
  }
}

// These frame the message or concern one connection: what a caller says of them is left out.
const lineBegins = new LineBegins(
  new Set([
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect"
  ])
)

/** What is sent of a call. */
interface Sent {
  /** POST when absent. */
  readonly method?: string
  readonly headers: Readonly<Record<string, string>>
  /** Further ones, which are the same object for every call to a backend; `headers` go before them. */
  readonly fixed?: Readonly<Record<string, string>>
  readonly body: RequestBody
  /** What else than HTTP the connection is to speak from then on; nothing when absent. */
  readonly upgrade?: string | undefined
}

/** Headers as lines; undefined when one cannot be written. */
const linesOf = (headers: Readonly<Record<string, string>>): string | undefined => {
  let lines = ""
  for (const name in headers) {
    const begin = lineBegins.of(name)
    if (begin === "") continue
    const value = headers[name] ?? ""
    if (begin === undefined || !isLineValue(value)) return undefined
    lines += `${begin}${value}\r\n`
  }
  return lines
}

const written = new WeakMap<Readonly<Record<string, string>>, string>()

const fixedLines = (fixed: Readonly<Record<string, string>>): string | undefined => {
  const known = written.get(fixed)
  if (known !== undefined) return known
  const lines = linesOf(fixed)
  if (lines !== undefined) written.set(fixed, lines)
  return lines
}

const none: Readonly<Record<string, string>> = {}

const allLines = (fixed: Readonly<Record<string, string>>, headers: Sent["headers"]): string | undefined => {
  for (const name in headers) if (Object.hasOwn(fixed, name)) return linesOf({ ...fixed, ...headers })
  const always = fixedLines(fixed)
  const lines = always === undefined ? undefined : linesOf(headers)
  return lines === undefined ? undefined : always + lines
}

const framed = (method: string | undefined, size: number | undefined): string => {
  if (size === undefined) return "Transfer-Encoding: chunked\r\n"
  // Some servers take a length for the sign of a body, which other methods mostly have none of.
  return method !== undefined && size === 0 ? "" : `Content-Length: ${size}\r\n`
}

const headOf = (
  { opening }: RequestTarget,
  { fixed, headers, method, upgrade }: Sent,
  size: number | undefined
): string | undefined => {
  const head = method === undefined ? opening : method + opening.slice("POST".length)
  const lines = allLines(fixed ?? none, headers)
  const kept = upgrade === undefined ? "keep-alive" : `Upgrade\r\nUpgrade: ${upgrade}`
  return lines === undefined ? undefined : `${head}${lines}${framed(method, size)}Connection: ${kept}\r\n\r\n`
}

/** The pieces to write for a call, without those of a body that is sent while it comes; undefined when a header cannot be written. */
export const requestBytes = (target: RequestTarget, sent: Sent): ReadonlyArray<Uint8Array> | undefined => {
  const { body } = sent
  if (isSource(body)) {
    const head = headOf(target, sent, body.length)
    return head === undefined ? undefined : [Buffer.from(head, "latin1")]
  }
  const pieces = body instanceof Uint8Array ? [body] : body
  let length = 0
  for (const { byteLength } of pieces) length += byteLength
  const head = headOf(target, sent, length)
  if (head === undefined) return undefined
  if (length > joinedBytes) return [Buffer.from(head, "latin1"), ...pieces]
  const whole = Buffer.allocUnsafe(head.length + length)
  let at = whole.write(head, 0, "latin1")
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return [whole]
}

const chunkEnd = Buffer.from("\r\n")

/** Behind the last chunk of a body. */
export const lastChunk: ReadonlyArray<Uint8Array> = [Buffer.from("0\r\n\r\n")]

/** A piece as a chunk. */
export const chunkOf = (piece: Uint8Array): ReadonlyArray<Uint8Array> => [
  Buffer.from(`${piece.byteLength.toString(16)}\r\n`, "latin1"),
  piece,
  chunkEnd
]
