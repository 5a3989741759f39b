/**
 * JSON lines of one kind, written over and over: what is the same in all of them is put into words once, and what recurs is
 * remembered by whoever writes them. A line is the one that {@link jsonLine} makes of the same fields.
 */
import { fieldsText, headText, jsonLine, maxLine } from "./log-line.ts"
import type { LogLevel, LogNaming } from "./log-names.ts"

type Fields = Readonly<Record<string, unknown>>

/** A field whose value is a number that differs from line to line. */
export interface NumberField {
  /** What stands before the number, the comma among it. */
  readonly before: string
  /** What the number is multiplied by, where a convention has another unit. */
  readonly times: number
}

const second = 1000

/** The lines of one level and message, with fields that all of them have. */
export class LineTemplate {
  /** The longest that has every field in it, without the brace at its end. */
  readonly room = maxLine - 32
  private readonly naming: LogNaming
  private readonly level: LogLevel
  private readonly message: string
  private readonly fixed: Fields
  private readonly fixedText: string
  private since = Number.NaN
  private before = ""
  private after = ""
  private at = Number.NaN
  private head = ""

  /** `fixed` are fields of every line. */
  constructor(naming: LogNaming, level: LogLevel, message: string, fixed: Fields) {
    this.naming = naming
    this.level = level
    this.message = message
    this.fixed = fixed
    this.fixedText = this.fields(fixed)
  }

  /** What a line of this time begins with, in milliseconds since 1970; members follow, and a brace. */
  begin(time: number): string {
    if (time === this.at) return this.head
    const part = time % second
    if (time - part !== this.since) this.turn(time - part)
    this.at = time
    this.head = `${this.before}${part < 10 ? "00" : part < 100 ? "0" : ""}${part}${this.after}`
    return this.head
  }

  /** A line that may be too long to have every field in it: its parts as they are, else as many of its fields as there is room for. */
  cut(time: number, fields: Fields, parts: ReadonlyArray<string | number>): string {
    const { fixed, level, message, naming } = this
    const text = parts.join("")
    if (text.length <= this.room) return `${text}}`
    return jsonLine({ time, level, message, fields: { ...fixed, ...fields } }, naming)
  }

  /** Members, a comma before each; undefined ones are left out. */
  fields(fields: Fields): string {
    return fieldsText(fields, this.naming)
  }

  /** A field that is a number. */
  number(name: string): NumberField {
    const [member, ...more] = this.naming.field(name, 1)
    if (member === undefined || more.length > 0) throw new Error(`${name} is no number in every convention`)
    const [key, times] = member
    return { before: `,${JSON.stringify(key)}:`, times: Number(times) }
  }

  /** A field that is a text of letters, digits and what needs no escape. */
  plainText(name: string): string {
    const [[key] = [name]] = this.naming.field(name, "")
    return `,${JSON.stringify(key)}:"`
  }

  // Lines of the same second differ in its thousandths alone.
  private turn(since: number): void {
    const head = headText(since, this.level, this.message, this.naming)
    const at = head.indexOf(".000Z") + 1
    this.since = since
    this.before = head.slice(0, at)
    this.after = head.slice(at + 3) + this.fixedText
  }
}
