/**
 * HTTP/1.1 by hand, for both ends of the tests: nothing is normalised, so that what was on the wire can be seen.
 */

/** Header names and values as written, in order. */
export type Headers = ReadonlyArray<readonly [name: string, value: string]>

const encoder = new TextEncoder()
const latin = new TextDecoder("latin1")

/** The bytes of a text in UTF-8. */
export const bytesOf = (text: string): Uint8Array => encoder.encode(text)

/** Two pieces as one. */
export const end = (before: Uint8Array, after: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(before.byteLength + after.byteLength)
  whole.set(before)
  whole.set(after, before.byteLength)
  return whole
}

/** Any number of pieces as one. */
export const join = (pieces: ReadonlyArray<string | Uint8Array>): Uint8Array =>
  new Uint8Array(Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? bytesOf(piece) : piece))))

/** The first value of a header, whatever its case. */
export const headerOf = (headers: Headers, name: string): string | undefined =>
  headers.find(([each]) => each.toLowerCase() === name.toLowerCase())?.[1]

const headersIn = (head: string): Headers =>
  head
    .split("\r\n")
    .slice(1)
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
    })

/** Where the head ends (after its blank line), or undefined while it has not. */
const headEnd = (bytes: Uint8Array): number | undefined => {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("\r\n\r\n")
  return at < 0 ? undefined : at + 4
}

/** Takes a body out of its framing, piece by piece. */
export class BodyReader {
  private pieces: Array<Uint8Array> = []
  private pending: Uint8Array = new Uint8Array(0)
  private left: number
  private state: "chunk" | "data" | "crlf" | "trailer" | "until-close" | "done" | "bad"
  private readonly chunked: boolean

  /** `framing` is a length in bytes, or the form of the body. */
  constructor(framing: number | "chunked" | "until-close") {
    this.chunked = framing === "chunked"
    this.left = typeof framing === "number" ? framing : 0
    this.state = framing === "chunked" ? "chunk" : framing === "until-close" ? "until-close" : "data"
    this.push(new Uint8Array(0))
  }

  /** True once the body has ended by its own framing. */
  get complete(): boolean {
    return this.state === "done"
  }

  /** True when only the end of the connection ends it. */
  get untilClose(): boolean {
    return this.state === "until-close"
  }

  /** The body as far as it has come. */
  get body(): Uint8Array {
    if (this.pieces.length > 1) this.pieces = [join(this.pieces)]
    return this.pieces[0] ?? new Uint8Array(0)
  }

  /** What came after the body. */
  get rest(): Uint8Array {
    return this.pending
  }

  /** Takes the next piece of the connection. */
  push(piece: Uint8Array): void {
    this.pending = this.pending.byteLength === 0 ? piece : end(this.pending, piece)
    while (this.step());
  }

  private take(count: number): Uint8Array {
    const taken = this.pending.subarray(0, count)
    this.pending = this.pending.subarray(count)
    return taken
  }

  private line(): string | undefined {
    const at = Buffer.from(this.pending.buffer, this.pending.byteOffset, this.pending.byteLength).indexOf("\r\n")
    if (at < 0) return undefined
    return latin.decode(this.take(at + 2).subarray(0, at))
  }

  private step(): boolean {
    if (this.state === "until-close" || this.state === "data") {
      const take = this.state === "data" ? Math.min(this.left, this.pending.byteLength) : this.pending.byteLength
      if (take > 0) this.pieces.push(this.take(take))
      if (this.state === "until-close") return false
      this.left -= take
      if (this.left > 0) return false
      this.state = this.chunked ? "crlf" : "done"
      return this.chunked
    }
    if (this.state === "done" || this.state === "bad") return false
    const line = this.line()
    if (line === undefined) return false
    if (this.state === "chunk") {
      this.left = Number.parseInt(line, 16)
      this.state = !/^[0-9a-fA-F]+(;.*)?$/.test(line) ? "bad" : this.left === 0 ? "trailer" : "data"
    } else if (this.state === "crlf") this.state = line === "" ? "chunk" : "bad"
    else if (line === "") this.state = "done"
    return true
  }
}

/** A request cut off the front of what a connection received. */
export interface Taken {
  readonly method: string
  readonly target: string
  readonly head: string
  readonly headers: Headers
  readonly body: Uint8Array
  readonly rest: Uint8Array
}

/** The first whole request in the bytes, or the number of bytes it takes at least. */
export const takeRequest = (bytes: Uint8Array): Taken | number => {
  const from = headEnd(bytes)
  if (from === undefined) return bytes.byteLength + 1
  const head = latin.decode(bytes.subarray(0, from))
  const [method = "", target = ""] = head.slice(0, head.indexOf("\r\n")).split(" ")
  const headers = headersIn(head.slice(0, -2))
  const chunked = headerOf(headers, "transfer-encoding") !== undefined
  const length = Number(headerOf(headers, "content-length") ?? 0)
  if (!chunked && bytes.byteLength < from + length) return from + length
  const reader = new BodyReader(chunked ? "chunked" : length)
  reader.push(bytes.subarray(from))
  if (!reader.complete) return bytes.byteLength + 1
  return { method, target, head, headers, body: reader.body.slice(), rest: reader.rest }
}

/** The head of an answer. */
export interface Head {
  readonly status: number
  readonly headers: Headers
  /** What has come of the body. */
  readonly rest: Uint8Array
}

/** The head of an answer in the bytes, after interim answers; undefined while there is none. */
export const takeHead = (bytes: Uint8Array): Head | undefined => {
  const from = headEnd(bytes)
  if (from === undefined) return undefined
  const head = latin.decode(bytes.subarray(0, from))
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0)
  const rest = bytes.subarray(from)
  return status >= 100 && status < 200 ? takeHead(rest) : { status, headers: headersIn(head.slice(0, -2)), rest }
}

/** The reader of an answer's body. */
export const readerFor = ({ status, headers }: Head, headOnly: boolean): BodyReader => {
  if (headOnly || status === 204 || status === 304) return new BodyReader(0)
  if (headerOf(headers, "transfer-encoding") !== undefined) return new BodyReader("chunked")
  const length = headerOf(headers, "content-length")
  return new BodyReader(length === undefined ? "until-close" : Number(length))
}
