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
  private readonly naming: LogNaming
  private readonly level: LogLevel
  private readonly message: string
  private readonly fixed: Fields
  private readonly fixedText: string
  private since = Number.NaN
  private before = ""
  private after = ""

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
    const part = time % second
    if (time - part !== this.since) this.turn(time - part)
    return `${this.before}${part < 10 ? "00" : part < 100 ? "0" : ""}${part}${this.after}`
  }

  /** A line that is too long to have every field in it. */
  cut(time: number, fields: Fields): string {
    const { fixed, level, message, naming } = this
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

  /** The whole line, unless it is too long to have every field in it. */
  whole(members: string): string | undefined {
    return members.length > maxLine - 32 ? undefined : `${members}}`
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

/** A member that is a number. */
export const numberText = ({ before, times }: NumberField, value: number): string =>
  Number.isFinite(value) ? `${before}${value * times}` : `${before}null`
