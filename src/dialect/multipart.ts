/**
 * Goes through a form with files (`multipart/form-data`) as it comes and keeps nothing of it but the fields that are wanted:
 * what it tells is the same however the form is cut.
 */
import type { Span } from "./Dialect.ts"

/** A field that was wanted: where its value stands in the form, and the value. */
export interface FormField {
  readonly name: string
  readonly span: Span
  readonly value: Uint8Array
}

/** Why a form cannot be read. */
export type FormFault =
  | "something behind a boundary"
  | "the head of a part without an end"
  | "a part without a name"
  | "a field that is too long"

/** Longest head of a part, and longest value of a field that is wanted, in bytes. */
const longestHead = 16 * 1024
const longestValue = 64 * 1024

const LF = 10
const CR = 13
const dash = 0x2d

const lineEnd = Buffer.from("\r\n")
const blankLine = Buffer.from("\r\n\r\n")
const nothing = Buffer.alloc(0)

const boundaryIn = /;\s*boundary=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/i

/** The boundary that a media type tells of a form; undefined when it tells none, or is no such form. */
export const boundaryOf = (mediaType: string): string | undefined => {
  if (!/^\s*multipart\/form-data\b/i.test(mediaType)) return undefined
  const [, quoted, bare] = boundaryIn.exec(mediaType) ?? []
  const boundary = quoted?.replaceAll(/\\(.)/g, "$1") ?? bare ?? ""
  return boundary === "" || boundary.length > 200 || /[^\x20-\x7e]/.test(boundary) ? undefined : boundary
}

const disposition = /^content-disposition:[ \t]*form-data\b(.*)$/im
const nameIn = /;\s*name=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]+))/i
const isFile = /;\s*filename\*?=/i

/** What the head of a part says of it; undefined when it says no name. */
const partOf = (head: string): { readonly name: string; readonly file: boolean } | undefined => {
  const said = disposition.exec(head)?.[1]
  const [, quoted, bare] = said === undefined ? [] : (nameIn.exec(said) ?? [])
  const name = quoted?.replaceAll(/\\(.)/g, "$1") ?? bare
  return said === undefined || name === undefined ? undefined : { name, file: isFile.test(said) }
}

/** Where in a form a scan is. */
type Place = "preamble" | "boundary" | "head" | "value" | "end"

/** One form on its way through. */
export class FormScan {
  /** Fields that were wanted and have come whole, in their order. */
  readonly fields: Array<FormField> = []
  /** Why it goes no further. */
  fault: FormFault | undefined
  /** Where its first boundary stands; undefined before that. */
  begins: number | undefined
  private readonly wanted: ReadonlySet<string>
  // What ends a value, with the line end before it; a form may begin with it but for that.
  private readonly mark: Buffer
  private place: Place = "preamble"
  // Bytes before those that are kept.
  private passed = 0
  // What has come and is not gone through: the end of a value that may be a part of the mark, or a head.
  private kept: Buffer
  // The field that is open, what there is of its value, and where that begins.
  private name: string | undefined
  private value: Array<Buffer> = []
  private size = 0
  private from = 0

  /** `wanted` are the names of the fields whose values are told. */
  constructor(boundary: string, wanted: Iterable<string>) {
    this.wanted = new Set(wanted)
    this.mark = Buffer.from(`\r\n--${boundary}`, "latin1")
    // As if a line had ended before it.
    this.kept = lineEnd
    this.passed = -lineEnd.length
  }

  /** Whether its last boundary has come. */
  get ended(): boolean {
    return this.place === "end"
  }

  /** Takes the next piece. */
  push(piece: Uint8Array): void {
    if (this.fault !== undefined || this.place === "end") return
    let bytes: Buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
    if (this.kept.length > 0) {
      if (this.place === "value" && this.passesBy(bytes)) return
      bytes = Buffer.concat([this.kept, bytes])
      this.kept = nothing
    }
    let at = 0
    while (at >= 0 && this.fault === undefined) at = this.step(bytes, at)
  }

  // The usual piece of a file: nothing in it, nor at the seam with what was kept, ends the value.
  private passesBy(bytes: Buffer): boolean {
    const { kept, mark } = this
    if (bytes.length < mark.length) return false
    const seam = Buffer.concat([kept, bytes.subarray(0, mark.length - 1)])
    if (seam.includes(mark) || bytes.includes(mark)) return false
    this.take(kept, 0, kept.length)
    this.passed += kept.length
    const to = bytes.length - this.tail(bytes, 0)
    this.take(bytes, 0, to)
    this.keep(bytes, to)
    return true
  }

  // Goes on from a place in these bytes; -1 when more of them is needed.
  private step(bytes: Buffer, at: number): number {
    switch (this.place) {
      case "preamble":
      case "value":
        return this.valueStep(bytes, at)
      case "boundary":
        return this.boundaryStep(bytes, at)
      case "head":
        return this.headStep(bytes, at)
      case "end":
        return -1
    }
  }

  private valueStep(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(this.mark, at)
    const to = found < 0 ? bytes.length - this.tail(bytes, at) : found
    this.take(bytes, at, to)
    if (this.fault !== undefined) return -1
    if (found < 0) return this.keep(bytes, to)
    this.begins ??= this.passed + found + lineEnd.length
    this.close(found)
    this.place = "boundary"
    return found + this.mark.length
  }

  // Two dashes end the form; blanks and a line end begin a part, whose head is read from that line end on.
  private boundaryStep(bytes: Buffer, at: number): number {
    let to = at
    if (bytes[to] === dash) {
      if (to + 1 >= bytes.length) return this.keep(bytes, at)
      if (bytes[to + 1] === dash) {
        this.place = "end"
        return -1
      }
    }
    while (bytes[to] === 0x20 || bytes[to] === 9) to += 1
    if (to + 1 >= bytes.length && (to >= bytes.length || bytes[to] === CR)) {
      return to - at > longestHead ? this.fails("the head of a part without an end") : this.keep(bytes, at)
    }
    if (bytes[to] !== CR || bytes[to + 1] !== LF) return this.fails("something behind a boundary")
    this.place = "head"
    return to
  }

  private headStep(bytes: Buffer, at: number): number {
    const to = bytes.indexOf(blankLine, at)
    if (to < 0) {
      return bytes.length - at > longestHead ? this.fails("the head of a part without an end") : this.keep(bytes, at)
    }
    if (to - at > longestHead) return this.fails("the head of a part without an end")
    const part = partOf(bytes.toString("utf8", at, to))
    if (part === undefined) return this.fails("a part without a name")
    this.place = "value"
    this.name = !part.file && this.wanted.has(part.name) ? part.name : undefined
    const from = to + blankLine.length
    this.from = this.passed + from
    this.size = 0
    return from
  }

  private take(bytes: Buffer, from: number, to: number): void {
    if (this.name === undefined || to <= from) return
    this.size += to - from
    if (this.size > longestValue) this.fails("a field that is too long")
    else this.value.push(Buffer.from(bytes.subarray(from, to)))
  }

  private close(at: number): void {
    const { name } = this
    if (name === undefined) return
    this.name = undefined
    this.fields.push({ name, span: { from: this.from, to: this.passed + at }, value: Buffer.concat(this.value) })
    this.value = []
  }

  // How many bytes at the end may be the beginning of the mark.
  private tail(bytes: Buffer, from: number): number {
    const { mark } = this
    const most = Math.min(mark.length - 1, bytes.length - from)
    const at = bytes.indexOf(CR, bytes.length - most)
    for (let begin = at; begin >= 0; begin = bytes.indexOf(CR, begin + 1)) {
      if (mark.subarray(0, bytes.length - begin).equals(bytes.subarray(begin))) return bytes.length - begin
    }
    return 0
  }

  private keep(bytes: Buffer, from: number): number {
    // A copy: a view would hold on to all of a large piece.
    this.kept = from === bytes.length ? nothing : Buffer.from(bytes.subarray(from))
    this.passed += from
    return -1
  }

  private fails(fault: FormFault): number {
    this.fault = fault
    return -1
  }
}
