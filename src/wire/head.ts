/**
 * The head of an HTTP/1.1 answer: checked strictly, since what frames the body decides where the next answer begins.
 */

/** How the end of a body is known. */
type Framing = "none" | "length" | "chunked" | "close"

/** A checked head. */
export interface Head {
  readonly status: number
  readonly framing: Framing
  /** Bytes of the body; undefined when the framing does not tell. */
  readonly length: number | undefined
  /** Whether the backend lets the connection be used again. */
  readonly keeps: boolean
  /** For how many seconds it says to keep an idle connection; undefined when it does not say. */
  readonly keepSeconds: number | undefined
  /** Value of a header by its lower-case name, repeated ones joined by a comma; null when absent. */
  readonly header: (this: object, name: string) => string | null
  /** Names of all headers, in lower case. */
  readonly names: (this: object) => ReadonlyArray<string>
}

/** Largest head, in bytes, and most lines of it. */
export const maxHeadBytes = 64 * 1024
const maxLines = 256

/** Said of whatever is not HTTP/1. */
export const notHttp = "the answer is not valid HTTP"
/** Said of a head above the bounds. */
export const headTooLarge = "the head of the answer is too large"
/** Said of a body that is not framed as its head says. */
export const badFraming = "the answer is badly framed"

// One look over all of it: a status line, and lines that each begin with a name and hold no control character of framing.
const wellFormed = /^HTTP\/1\.[01] [1-5]\d\d(?: [^\0\r\n]*)?(?:\r\n[!#$%&'*+\-.^`|~\w]+:[^\0\r\n]*)*$/
const digits = /^\d{1,16}$/

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09

/** A part of a text without the blanks around it: spaces and tabs alone, as RFC 9110 (5.6.3) has it, and no others. */
const unpadded = (text: string, from: number, to: number): string => {
  let begin = from
  let end = to
  while (begin < end && isBlank(text.charCodeAt(begin))) begin += 1
  while (end > begin && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(begin, end)
}

// The lines of a head that has been checked.
class CheckedHead implements Head {
  status = 0
  framing: Framing = "none"
  length: number | undefined
  keeps = false
  keepSeconds: number | undefined
  private readonly text: string
  // Latin-1 text keeps its places when it is made lower-case.
  private readonly lower: string
  // Where each line begins and where its name ends.
  private readonly marks: ReadonlyArray<number>

  constructor(text: string, marks: ReadonlyArray<number>) {
    this.text = text
    this.lower = text.toLowerCase()
    this.marks = marks
  }

  header(name: string): string | null {
    const { lower, marks, text } = this
    let found: string | null = null
    for (let at = 0; at < marks.length; at += 2) {
      const from = marks[at] ?? 0
      const colon = marks[at + 1] ?? 0
      if (colon - from !== name.length || !lower.startsWith(name, from)) continue
      const next = marks[at + 2]
      const value = unpadded(text, colon + 1, next === undefined ? text.length : next - 2)
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }

  names(): ReadonlyArray<string> {
    const { lower, marks } = this
    const found: Array<string> = []
    for (let at = 0; at < marks.length; at += 2) found.push(lower.slice(marks[at], marks[at + 1]))
    return found
  }
}

const lengthOf = (declared: string): number | undefined => {
  let length: number | undefined
  for (const each of digits.test(declared) ? [declared] : declared.split(",")) {
    const value = unpadded(each, 0, each.length)
    if (!digits.test(value) || (length !== undefined && Number(value) !== length)) return undefined
    length = Number(value)
  }
  return Number.isSafeInteger(length) ? length : undefined
}

const saysClose = /(?:^|,)\s*close\s*(?:,|$)/i
const saysKeepAlive = /(?:^|,)\s*keep-alive\s*(?:,|$)/i

const keepTime = (value: string): number | undefined => {
  const seconds = /(?:^|[\s,;])timeout\s*=\s*"?(\d{1,6})/i.exec(value)?.[1]
  return seconds === undefined ? undefined : Number(seconds)
}

/**
 * Reads a head: all its lines, without the blank one. Returns what is wrong with it as words for a person when it cannot
 * be trusted.
 */
export const readHead = (text: string): Head | string => {
  const marks: Array<number> = []
  for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n", end + 2)) {
    if (marks.length === 2 * maxLines) return headTooLarge
    marks.push(end + 2, text.indexOf(":", end + 2))
  }
  if (!wellFormed.test(text)) return notHttp
  const head = new CheckedHead(text, marks)
  const old = text[7] === "0"
  const status = Number(text.slice(9, 12))
  const connection = head.header("connection") ?? ""
  const coding = head.header("transfer-encoding")
  const declared = head.header("content-length")
  const keepAlive = head.header("keep-alive")
  const length = declared === null ? undefined : lengthOf(declared)
  if (declared !== null && (length === undefined || coding !== null)) return badFraming
  if (coding !== null && coding.toLowerCase() !== "chunked") return badFraming
  const bodiless = status === 204 || status === 304
  const framing: Framing = bodiless ? "none" : coding !== null ? "chunked" : length === undefined ? "close" : "length"
  const kept = old ? saysKeepAlive.test(connection) && coding === null : !saysClose.test(connection)
  head.status = status
  head.framing = framing
  head.length = bodiless ? 0 : length
  head.keeps = kept && framing !== "close"
  head.keepSeconds = keepAlive === null ? undefined : keepTime(keepAlive)
  return head
}
