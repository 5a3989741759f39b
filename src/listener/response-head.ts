/**
 * The head of an answer as bytes: how its body is framed is ours to say, and no field can bring in a line of its own.
 */
import { STATUS_CODES } from "node:http"
import { isLineValue, LineBegins } from "../domain/header-lines.ts"

// No lines of what is given: these frame the message, or concern one connection; and the date is told once.
const lineBegins = new LineBegins(
  new Set(["connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
)

/** The fields of an answer, as lines and as what they ask for. */
export interface AnswerFields {
  readonly lines: string
  /** Whether the connection is to end with the answer. */
  readonly closes: boolean
  /** The length that is told of a body which is not sent: of the answer to a HEAD request. */
  readonly length: string | undefined
  /** Whether they tell a date of their own. */
  readonly dated: boolean
}

/** Takes the fields of an answer one by one; throws for one that cannot be written. */
export class FieldWriter implements AnswerFields {
  lines = ""
  closes = false
  length: string | undefined
  dated = false

  add(name: string, value: string): void {
    const begin = lineBegins.of(name)
    if (begin === undefined || !isLineValue(value)) throw new TypeError(`the field ${name} cannot be written`)
    if (begin !== "") this.lines += `${begin}${value}\r\n`
    else this.tells(name.toLowerCase(), value)
  }

  private tells(name: string, value: string): void {
    if (name === "connection") this.closes ||= /(?:^|,)\s*close\s*(?:,|$)/i.test(value)
    else if (name === "content-length") this.length = value
    else if (name === "date") {
      this.dated = true
      this.lines += `Date: ${value}\r\n`
    }
  }
}

/** The fields of a record. */
export const answerFields = (record: Readonly<Record<string, string>>): AnswerFields => {
  const writer = new FieldWriter()
  for (const name in record) writer.add(name, record[name] ?? "")
  return writer
}

/** What a client is told of how the body ends. */
export type AnswerFraming = { readonly length: number | string } | "chunked" | "close" | "none"

const begins = new Map<number, string>()

const beginOf = (status: number): string => {
  const known = begins.get(status)
  if (known !== undefined) return known
  if (!Number.isInteger(status) || status < 200 || status > 999) throw new RangeError("no status of an answer")
  const begin = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`
  begins.set(status, begin)
  return begin
}

/** Whether an answer of this status has no body, and none is told of. */
export const isBodiless = (status: number): boolean => status === 204 || status === 304

/** The head of an answer, with the blank line behind it, as Latin-1 text. */
export const answerHeadText = (
  status: number,
  { dated, lines }: Pick<AnswerFields, "dated" | "lines">,
  framing: AnswerFraming,
  connection: "close" | "keep-alive" | undefined,
  date: string
): string => {
  const framed =
    framing === "chunked"
      ? "Transfer-Encoding: chunked\r\n"
      : framing === "close" || framing === "none"
        ? ""
        : `Content-Length: ${framing.length}\r\n`
  const kept =
    connection === undefined ? "" : connection === "close" ? "Connection: close\r\n" : "Connection: keep-alive\r\n"
  return `${beginOf(status)}${lines}${dated ? "" : `Date: ${date}\r\n`}${framed}${kept}\r\n`
}

const decimals = 1000

/** The date of answers, made anew once a second; `wallMs` is the time of the day in milliseconds since the epoch. */
export class AnswerDate {
  private readonly wallMs: () => number
  private readonly now: () => number
  private text = ""
  private until = -Infinity

  constructor(wallMs: () => number, now: () => number) {
    this.wallMs = wallMs
    this.now = now
  }

  /** As it stands now. */
  get current(): string {
    const now = this.now()
    if (now >= this.until) {
      const wall = this.wallMs()
      this.text = new Date(wall).toUTCString()
      this.until = now + decimals - (wall % decimals)
    }
    return this.text
  }
}
