/**
 * The bytes of a call as HTTP/1.1: framing and host are ours, and no header can smuggle in another line.
 */

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

/** A body, whole or in pieces that follow each other. */
export type RequestBody = Uint8Array | ReadonlyArray<Uint8Array>

// Bodies up to this size, in bytes, are copied behind their head, so that one write sends both.
const joinedBytes = 64 * 1024

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 }

/** The target of an address that is `http://` or `https://`; undefined for any other. */
export const parseTarget = (address: string): RequestTarget | undefined => {
  const url = URL.parse(address)
  const port = url === null ? undefined : defaultPorts[url.protocol]
  if (url === null || port === undefined || url.hostname === "") return undefined
  return {
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? port : Number(url.port),
    secure: url.protocol === "https:",
    opening: `POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n`
  }
}

// These frame the message or concern one connection: what a caller says of them is left out.
const ours = new Set([
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

const goodName = /^[!#$%&'*+\-.^`|~\w]+$/
const badValue = /[^\t\x20-\x7e\x80-\xff]/

/** What is sent of a call. */
interface Sent {
  /** POST when absent. */
  readonly method?: "GET" | "DELETE"
  readonly headers: Readonly<Record<string, string>>
  /** Further ones, which are the same object for every call to a backend; `headers` go before them. */
  readonly fixed?: Readonly<Record<string, string>>
  readonly body: RequestBody
}

/** Headers as lines; undefined when one cannot be written. */
const linesOf = (headers: Readonly<Record<string, string>>): string | undefined => {
  let lines = ""
  for (const name in headers) {
    if (ours.has(name) || ours.has(name.toLowerCase())) continue
    const value = headers[name] ?? ""
    if (!goodName.test(name) || badValue.test(value)) return undefined
    lines += `${name}: ${value}\r\n`
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

const headOf = ({ opening }: RequestTarget, { fixed, headers, method }: Sent, size: number): string | undefined => {
  const head = method === undefined ? opening : method + opening.slice("POST".length)
  const lines = allLines(fixed ?? none, headers)
  if (lines === undefined) return undefined
  // Some servers take a length for the sign of a body, which these methods have none of.
  const length = method !== undefined && size === 0 ? "" : `Content-Length: ${size}\r\n`
  return `${head}${lines}${length}Connection: keep-alive\r\n\r\n`
}

/** The pieces to write for a call; undefined when a header cannot be written. */
export const requestBytes = (target: RequestTarget, sent: Sent): ReadonlyArray<Uint8Array> | undefined => {
  const pieces = sent.body instanceof Uint8Array ? [sent.body] : sent.body
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
