/**
 * The head of an HTTP/1.1 request: checked strictly, since whoever stands in front must have read the same one. Fields are
 * looked up where they stand in it; nothing is made of those that nobody asks for.
 */

/** Why a request is not taken: the status of the answer, and words for a person. */
export interface HeadRefusal {
  readonly status: number
  readonly reason: string
}

/** What bounds a head. */
export interface HeadLimits {
  /** Bytes of all of it, without the blank line. */
  readonly headBytes: number
  /** Bytes of the request target. */
  readonly targetBytes: number
  /** Lines behind the first. */
  readonly fields: number
}

/** Makes a refusal. */
export const refusal = (status: number, reason: string): HeadRefusal => ({ status, reason })

/** Said of a head above its bounds. */
export const headTooLong = refusal(431, "the head of the request is too large")
/** Said of what is no HTTP at all. */
export const malformed = refusal(400, "the request is not valid HTTP")

const noVersion = refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
const targetTooLong = refusal(414, "the request target is too long")
const badTarget = refusal(400, "the request target is none that a server is asked for")
const noTunnels = refusal(501, "no tunnels are made here")
const badHost = refusal(400, "the Host header is missing, repeated or no name of a host")
const badLength = refusal(400, "the Content-Length header is repeated or no number of bytes")
const twoFramings = refusal(400, "a body has a length or comes in chunks, not both")
const badChunked = refusal(400, "chunks must be the only transfer coding, and HTTP/1.0 has none")
const unknownCoding = refusal(501, "the transfer coding is not known here")
const badExpectation = refusal(417, "nothing but 100-continue can be expected of this server")

// One look over all of it. An empty line may stand before it; no line of it may be folded, end in a line feed alone, or
// hold a control character of framing; a field has its colon right behind its name.
const wellFormed =
  /^(?:\r\n)?[!#$%&'*+\-.^`|~\w]+ [\x21\x22\x24-\x7e]+ HTTP\/1\.\d(?:\r\n[!#$%&'*+\-.^`|~\w]+:[\t\x20-\xff]*)*$/

const otherVersion = /^(?:\r\n)?[!#$%&'*+\-.^`|~\w]+ [\x21-\x7e]+ HTTP\/(?!1\.)\d\.\d(?:\r\n|$)/

// Any two readers take these for the same number.
const plainLength = /^(?:0|[1-9]\d{0,14})$/

const hostForm = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i

const absoluteForm = /^https?:\/\/([^/?]+)(.*)$/i

const closes = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/
const stays = /(?:^|,)[\t ]*keep-alive[\t ]*(?:,|$)/

const space = 32
const tab = 9

/** How the end of the body of a request is known. */
export type RequestFraming = "none" | "length" | "chunked"

/** A checked head. */
export class RequestHead {
  readonly method: string
  /** Path and query as they came; `*` for all of the server. */
  readonly path: string
  /** The host that is asked, with its port; undefined when an HTTP/1.0 client names none. */
  readonly host: string | undefined
  /** Whether it is of HTTP/1.0, whose clients know neither chunks nor interim answers. */
  readonly isOld: boolean
  readonly framing: RequestFraming
  /** Bytes of the body; 0 when it comes in chunks. */
  readonly length: number
  /** Whether the client lets the connection be used again. */
  readonly keeps: boolean
  /** Whether the client waits for leave to send the body. */
  readonly awaitsLeave: boolean
  private readonly text: string
  private readonly lower: string
  // Where each line begins and where its name ends.
  private readonly marks: ReadonlyArray<number>

  constructor(
    first: Pick<RequestHead, "host" | "isOld" | "method" | "path">,
    fields: Fields,
    framed: Pick<RequestHead, "awaitsLeave" | "framing" | "keeps" | "length">
  ) {
    this.method = first.method
    this.path = first.path
    this.host = first.host
    this.isOld = first.isOld
    this.framing = framed.framing
    this.length = framed.length
    this.keeps = framed.keeps
    this.awaitsLeave = framed.awaitsLeave
    this.text = fields.text
    this.lower = fields.lower
    this.marks = fields.marks
  }

  /** Value of a field by its lower-case name, repeated ones joined by a comma; null when absent. */
  field(name: string): string | null {
    const { lower, marks } = this
    // A target with a host of its own leaves no say to the field.
    if (name === "host") return this.host ?? null
    let found: string | null = null
    for (let at = 0; at < marks.length; at += 2) {
      const from = marks[at] ?? 0
      if ((marks[at + 1] ?? 0) - from !== name.length || !lower.startsWith(name, from)) continue
      const value = valueAt(this.text, marks, at)
      found = found === null ? value : `${found}${name === "cookie" ? "; " : ", "}${value}`
    }
    return found
  }

  /** Names of all fields, in lower case, as often as they come. */
  names(): ReadonlyArray<string> {
    const { lower, marks } = this
    const found: Array<string> = []
    for (let at = 0; at < marks.length; at += 2) found.push(lower.slice(marks[at], marks[at + 1]))
    return found
  }
}

/** The lines of a head. */
interface Fields {
  readonly text: string
  readonly lower: string
  readonly marks: ReadonlyArray<number>
}

// Spaces and tabs around a value are none of it; other white space is.
const valueAt = (text: string, marks: ReadonlyArray<number>, at: number): string => {
  const next = marks[at + 2]
  let from = (marks[at + 1] ?? 0) + 1
  let to = next === undefined ? text.length : next - 2
  for (let code = text.charCodeAt(from); from < to && (code === space || code === tab);) {
    from += 1
    code = text.charCodeAt(from)
  }
  for (let code = text.charCodeAt(to - 1); to > from && (code === space || code === tab);) {
    to -= 1
    code = text.charCodeAt(to - 1)
  }
  return text.slice(from, to)
}

/** What decides where the body ends and what becomes of the connection, as it stands in the head. */
interface Deciding {
  hosts: number
  host: string | undefined
  lengths: number
  length: string
  coding: string | undefined
  connection: string
  expect: string | undefined
}

// One pass over the lines; the length of a name tells nearly all others apart.
const decidingOf = ({ lower, marks, text }: Fields): Deciding => {
  const found: Deciding = {
    hosts: 0,
    host: undefined,
    lengths: 0,
    length: "",
    coding: undefined,
    connection: "",
    expect: undefined
  }
  for (let at = 0; at < marks.length; at += 2) {
    const from = marks[at] ?? 0
    switch ((marks[at + 1] ?? 0) - from) {
      case 4:
        if (!lower.startsWith("host", from)) break
        found.hosts += 1
        found.host = valueAt(text, marks, at)
        break
      case 6:
        if (!lower.startsWith("expect", from)) break
        found.expect = joined(found.expect, valueAt(lower, marks, at))
        break
      case 10:
        if (!lower.startsWith("connection", from)) break
        found.connection = joined(found.connection || undefined, valueAt(lower, marks, at))
        break
      case 14:
        if (!lower.startsWith("content-length", from)) break
        found.lengths += 1
        found.length = valueAt(text, marks, at)
        break
      case 17:
        if (!lower.startsWith("transfer-encoding", from)) break
        found.coding = joined(found.coding, valueAt(lower, marks, at))
        break
    }
  }
  return found
}

const joined = (before: string | undefined, value: string): string =>
  before === undefined ? value : `${before},${value}`

// A request target is a path, a whole URL, or the server as such; the last is asked by OPTIONS alone.
const targetOf = (method: string, target: string): { readonly path: string; readonly host?: string } | HeadRefusal => {
  if (method === "CONNECT") return noTunnels
  if (target.startsWith("/")) return { path: target }
  if (target === "*") return method === "OPTIONS" ? { path: "*" } : badTarget
  const [, host, rest = ""] = absoluteForm.exec(target) ?? []
  if (host === undefined || !hostForm.test(host) || host.startsWith(":")) return badTarget
  if (rest === "") return { path: method === "OPTIONS" ? "*" : "/", host }
  return { path: rest.startsWith("/") ? rest : `/${rest}`, host }
}

const framingOf = (
  { coding, length, lengths }: Deciding,
  isOld: boolean
): Pick<RequestHead, "framing" | "length"> | HeadRefusal => {
  if (coding !== undefined) {
    if (lengths > 0) return twoFramings
    if (coding === "chunked") return isOld ? badChunked : { framing: "chunked", length: 0 }
    return coding.includes("chunked") || coding === "" || isOld ? badChunked : unknownCoding
  }
  if (lengths === 0) return { framing: "none", length: 0 }
  if (lengths > 1 || !plainLength.test(length)) return badLength
  return length === "0" ? { framing: "none", length: 0 } : { framing: "length", length: Number(length) }
}

/** Whether something is a refusal. */
export const isRefusal = (read: object): read is HeadRefusal => "reason" in read

/** Reads a head: all its lines, without the blank one. */
export const readRequestHead = (text: string, limits: HeadLimits): RequestHead | HeadRefusal => {
  const marks: Array<number> = []
  const begin = text.startsWith("\r\n") ? 2 : 0
  for (let end = text.indexOf("\r\n", begin); end >= 0; end = text.indexOf("\r\n", end + 2)) {
    if (marks.length === 2 * limits.fields) return headTooLong
    marks.push(end + 2, text.indexOf(":", end + 2))
  }
  if (!wellFormed.test(text)) return otherVersion.test(text) ? noVersion : malformed
  const lineEnd = marks.length === 0 ? text.length : (marks[0] ?? 0) - 2
  const methodEnd = text.indexOf(" ", begin)
  const targetEnd = text.indexOf(" ", methodEnd + 1)
  if (targetEnd - methodEnd - 1 > limits.targetBytes) return targetTooLong
  const method = text.slice(begin, methodEnd)
  const target = targetOf(method, text.slice(methodEnd + 1, targetEnd))
  if (isRefusal(target)) return target
  // Latin-1 text keeps its places when it is made lower-case.
  const fields: Fields = { text, lower: text.toLowerCase(), marks }
  const deciding = decidingOf(fields)
  const isOld = text.charCodeAt(lineEnd - 1) === 48
  const { hosts } = deciding
  if (hosts > 1 || (hosts === 0 && !isOld) || !hostForm.test(deciding.host ?? "")) return badHost
  const framed = framingOf(deciding, isOld)
  if (isRefusal(framed)) return framed
  const { connection, expect } = deciding
  // HTTP/1.0 has no expectations.
  if (!isOld && expect !== undefined && expect !== "100-continue") return badExpectation
  return new RequestHead({ method, path: target.path, host: target.host ?? deciding.host, isOld }, fields, {
    ...framed,
    keeps: isOld ? stays.test(connection) && !closes.test(connection) : connection === "" || !closes.test(connection),
    awaitsLeave: !isOld && expect !== undefined && framed.framing !== "none"
  })
}
