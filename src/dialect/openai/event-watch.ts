/**
 * What is known of an event stream while its bytes pass: whether it has begun well, which of its answers have ended and
 * how, and where it stands, so that what is added to it is an event of its own. State is kept, not bytes; the result is
 * the same however the bytes are cut.
 */
import type { Usage } from "../../telemetry/meter.ts"
import type { StreamEnding, StreamOpening, StreamWatch } from "../Dialect.ts"
import { eventBytes } from "../event-stream.ts"
import { ChunkScan } from "./chunk-scan.ts"
import { usageFrom } from "./usage.ts"
import { EventTemplate } from "./event-template.ts"
import { type Finish, finishKind } from "./finish-reasons.ts"
import { finishesOf } from "../finish-words.ts"
import { tokensWritten } from "../written-tokens.ts"

const encoder = new TextEncoder()

const LF = 10
const CR = 13
const colon = 0x3a

/** Where in a line the bytes stand. */
const at = { begin: 0, comment: 1, name: 2, data: 3, event: 4, other: 5 } as const

// The data of the last event of a good stream.
const endMarker = "[DONE]"

const mark = Array.from(endMarker, (letter) => letter.charCodeAt(0))

const byteOrderMark = "\u00ef\u00bb\u00bf"

/** Longest name of a field, or of an event, that is looked at. */
const longestName = 16

/** Most choices of one answer that are told apart; a backend that makes up more has not ended well. */
const mostChoices = 1024

const isData = (piece: Uint8Array, from: number): boolean =>
  piece[from] === 0x64 &&
  piece[from + 1] === 0x61 &&
  piece[from + 2] === 0x74 &&
  piece[from + 3] === 0x61 &&
  piece[from + 4] === colon

const lineEnd = (piece: Uint8Array, from: number): number => {
  let to = from
  while (to < piece.length && piece[to] !== LF && piece[to] !== CR) to += 1
  return to
}

const longer = (text: string, piece: Uint8Array, from: number, to: number): string => {
  let whole = text
  for (let place = from; place < to && whole.length < longestName; place += 1) {
    whole += String.fromCharCode(piece[place] ?? 0)
  }
  return whole
}

/** How each choice of an answer has ended so far; of most there is one, which takes no table. */
class ChoiceEnds {
  private first: number | undefined
  private firstEnd: Finish | undefined
  private firstWord = ""
  private others: Map<number, Finish | undefined> | undefined
  private otherWords: Array<string> | undefined

  get size(): number {
    return this.first === undefined ? 0 : 1 + (this.others?.size ?? 0)
  }

  has(index: number): boolean {
    return index === this.first || this.others?.has(index) === true
  }

  set(index: number, end: Finish | undefined, word = ""): void {
    this.first ??= index
    if (index === this.first) {
      this.firstEnd = end
      this.firstWord = word
      return
    }
    if (end !== undefined && this.others?.get(index) === undefined) (this.otherWords ??= []).push(word)
    ;(this.others ??= new Map()).set(index, end)
  }

  all(): ReadonlyArray<Finish | undefined> {
    return this.first === undefined ? [] : [this.firstEnd, ...(this.others?.values() ?? [])]
  }

  words(): ReadonlyArray<string> {
    return [this.firstWord, ...(this.otherWords ?? [])]
  }
}

/** Watches one event stream of a chat or completion. */
export class EventWatch implements StreamWatch {
  /** Bytes that have been watched, without those that were forgotten. */
  size = 0
  /** Events that have told of tokens. */
  meters = 0
  private readonly scan = new ChunkScan()
  private readonly choices = new ChoiceEnds()
  private state: StreamOpening = "waiting"
  private failed = false
  private done = false
  private readonly pattern = new EventTemplate()
  // Of such an event, all but its text; and the bytes of text in those that were known again.
  private aroundText = 0
  private knownText = 0
  // Events with a choice.
  private events = 0
  // What this piece has held: whether all of it may come again without telling anything, its objects, its blank lines.
  private plain = false
  private objects = 0
  private blanks = 0
  private line: number = at.begin
  // Whether the last byte was a carriage return, which a line feed may belong to.
  private returned = false
  // Whether no line of an event has come since the last blank one.
  private fresh = true
  private spoken = false
  private name = ""
  private eventName = ""
  private hasData = false
  // How much of the marker the data of this line has come to; -1 when it is something else.
  private marked = 0

  /** How the stream has begun. */
  get opening(): StreamOpening {
    return this.state
  }

  /** Whether a choice has begun, although none has said anything. */
  get begun(): boolean {
    return this.choices.size > 0
  }

  /** Whether an error has come, or what stands last may be one. */
  get erring(): boolean {
    return this.failed || this.scan.erring || (this.hasData && this.isNamedError())
  }

  /** Whether what has come ends with a whole event. */
  get between(): boolean {
    return this.line === at.begin && this.fresh
  }

  /** Whether nothing has come but whole comments and blank lines. */
  get silent(): boolean {
    return !this.spoken && this.line === at.begin
  }

  /** Tokens that have come by now. */
  get written(): number {
    return tokensWritten(this.events, this.scan.text + this.knownText)
  }

  /** The last usage object that came, as bytes; empty when there was none. */
  usage(): Uint8Array {
    return this.scan.usage()
  }

  /** Leaves out of the count what was passed on by another way; gives it back. */
  forget(bytes: Uint8Array): Uint8Array {
    this.size -= bytes.length
    return bytes
  }

  /** What must stand before an event that is added, so that it is one. */
  separator(): string {
    if (this.line !== at.begin) return "\n\n"
    if (this.fresh) return ""
    // A line feed behind a carriage return ends no line.
    return this.returned ? "\n\n" : "\n"
  }

  /** The tokens that it told of. */
  used(): Usage | undefined {
    return usageFrom(this.usage(), this.choices.size)
  }

  /** Why its choices ended. */
  finishes(): ReadonlyArray<string> {
    return finishesOf(this.choices.words())
  }

  /** What ends the event under way. */
  rest(): Uint8Array {
    return encoder.encode(this.separator())
  }

  /** The end marker as an event of its own. */
  last(): Uint8Array {
    return eventBytes(endMarker, this.separator())
  }

  /** An event with an error. */
  broken(error: string): Uint8Array {
    return eventBytes(error, this.separator())
  }

  /** How the stream has ended; `orderly` when its body came to its end, and was not torn off. */
  ending(orderly: boolean): StreamEnding {
    const done = this.done || (this.line === at.data && this.marked === mark.length)
    const ends = this.choices.all()
    if (this.failed || (done && ends.includes("bad"))) return done ? "failed and done" : "failed"
    if (done) return "done"
    if (ends.length === 0 || this.scan.open) return "cut"
    return ends.every((end) => end === "good" || (end === "unknown" && orderly)) ? "finished" : "cut"
  }

  /** Takes the next piece; whether it is progress, and not comments and blank lines alone. */
  push(piece: Uint8Array): boolean {
    this.size += piece.length
    const { between } = this
    if (between && this.pattern.fits(piece)) {
      this.returned = false
      this.events += 1
      this.knownText += piece.length - this.aroundText
      return true
    }
    const { text } = this.scan
    this.plain = between && this.state === "good"
    this.objects = 0
    this.blanks = 0
    const progress = this.read(piece)
    if (this.plain && this.fresh && this.line === at.begin && this.objects === 1 && this.blanks === 1) {
      this.pattern.learn(piece, this.scan.stringFrom, this.scan.stringTo)
      this.aroundText = piece.length - (this.scan.text - text)
    }
    return progress
  }

  private read(piece: Uint8Array): boolean {
    let progress = false
    let from = 0
    while (from < piece.length) {
      const byte = piece[from] ?? 0
      if (byte === LF || byte === CR) {
        if (this.line !== at.begin) this.endLine()
        else if (byte === CR || !this.returned) this.endEvent()
        this.returned = byte === CR
        from += 1
        continue
      }
      if (this.line === at.begin) from = this.beginLine(piece, from)
      progress ||= this.line !== at.comment
      from = this.readLine(piece, from)
    }
    return progress
  }

  private beginLine(piece: Uint8Array, from: number): number {
    this.returned = false
    this.fresh = false
    if (piece[from] === colon) {
      this.line = at.comment
      return from
    }
    this.spoken = true
    if (isData(piece, from)) {
      this.beginData()
      return from + 5
    }
    this.line = at.name
    this.name = ""
    return from
  }

  // Reads on to the end of the line, or of what is known of it so far.
  private readLine(piece: Uint8Array, from: number): number {
    switch (this.line) {
      case at.data:
        return this.readData(piece, from)
      case at.name:
        return this.readName(piece, from)
      default: {
        const to = lineEnd(piece, from)
        if (this.line === at.event) this.eventName = longer(this.eventName, piece, from, to)
        return to
      }
    }
  }

  private readName(piece: Uint8Array, from: number): number {
    for (let to = from; to < piece.length; to += 1) {
      const byte = piece[to] ?? 0
      if (byte === LF || byte === CR) return to
      if (byte === colon) {
        this.beginValue()
        return to + 1
      }
      if (this.name.length < longestName) this.name += String.fromCharCode(byte)
      if (this.name === byteOrderMark && this.size - piece.length + to === 2) {
        this.line = at.begin
        this.fresh = true
        return to + 1
      }
    }
    return piece.length
  }

  private beginValue(): void {
    this.plain = false
    if (this.name === "data") return this.beginData()
    this.line = this.name === "event" ? at.event : at.other
    if (this.line === at.event) this.eventName = ""
  }

  private beginData(): void {
    this.line = at.data
    this.hasData = true
    this.marked = 0
  }

  private readData(piece: Uint8Array, from: number): number {
    const start = this.marked < 0 ? from : this.readMark(piece, from)
    if (this.marked >= 0) return start
    const to = this.scan.read(piece, start)
    if (this.scan.closed) this.take()
    return to
  }

  // Follows the marker as far as it goes, blanks before and behind it.
  private readMark(piece: Uint8Array, from: number): number {
    for (let to = from; to < piece.length; to += 1) {
      const byte = piece[to] ?? 0
      if (byte === LF || byte === CR) return to
      const blank = byte === 0x20 || byte === 9
      if (blank && (this.marked === 0 || this.marked === mark.length)) continue
      if (byte !== mark[this.marked]) {
        this.marked = -1
        return to
      }
      this.marked += 1
    }
    return piece.length
  }

  private endLine(): void {
    if (this.line === at.data && this.marked === mark.length) {
      this.done = true
      this.plain = false
      this.open("error")
    }
    this.line = at.begin
  }

  private endEvent(): void {
    this.blanks += 1
    if (this.hasData && this.isNamedError()) this.fail()
    this.scan.reset()
    this.eventName = ""
    this.hasData = false
    this.fresh = true
  }

  private isNamedError(): boolean {
    return this.eventName.trim() === "error"
  }

  private open(how: StreamOpening): void {
    if (this.state === "waiting") this.state = how
  }

  private fail(): void {
    this.failed = true
    this.plain = false
    this.open("error")
  }

  // An event's object has come whole: what it says counts from now on.
  private take(): void {
    const { scan } = this
    scan.closed = false
    this.objects += 1
    if (scan.metered) this.meters += 1
    if (scan.metered || scan.flat) this.plain = false
    if (scan.error || this.isNamedError()) return this.fail()
    if (scan.flat && !scan.listed) this.open("error")
    if (scan.indexes.length > 0) this.events += 1
    let says = scan.says
    for (const [place, index] of scan.indexes.entries()) {
      const word = scan.words[place] ?? ""
      const end = finishKind(word)
      if (end === "bad") this.open("error")
      if (end !== undefined) says = true
      if (end !== undefined || !this.choices.has(index)) this.note(index, end, word)
    }
    if (says) this.open("good")
  }

  private note(index: number, end: Finish | undefined, word: string): void {
    this.plain = false
    const known = this.choices.size < mostChoices || this.choices.has(index)
    // What is no longer told apart never ends.
    if (known) this.choices.set(index, end, word)
    else this.choices.set(-1, undefined)
  }
}
