/**
 * JSON lines of one kind, written over and over: what is the same in all of them is put into words once, and what recurs is
 * remembered by whoever writes them. A line is the one that {@link jsonLine} makes of the same fields.
 */
import { fieldsText, headText, maxLine } from "./log-line.ts"
import type { LogLevel, LogNaming } from "./log-names.ts"

type Fields = Readonly<Record<string, unknown>>

/** A field whose value is a number that differs from line to line. */
export interface NumberField {
  /** What stands before the number, the comma among it. */
  readonly before: string
  /** What the number is multiplied by, where a convention has another unit. */
  readonly times: number
}

/** The lines of one level and message, with fields that all of them have. */
export class LineTemplate {
  private readonly naming: LogNaming
  private readonly level: LogLevel
  private readonly message: string
  private readonly fixed: string
  private time = Number.NaN
  private head = ""

  private readonly now: () => number

  /** `fixed` are fields of every line, `now` tells the milliseconds since 1970. */
  constructor(naming: LogNaming, level: LogLevel, message: string, fixed: Fields, now: () => number) {
    this.now = now
    this.naming = naming
    this.level = level
    this.message = message
    this.fixed = this.fields(fixed)
  }

  /** What a line begins with that is written now; members follow, and a brace. */
  begin(): string {
    const time = this.now()
    if (time !== this.time) {
      this.time = time
      this.head = headText(time, this.level, this.message, this.naming) + this.fixed
    }
    return this.head
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
}

/** A member that is a number. */
export const numberText = ({ before, times }: NumberField, value: number): string =>
  Number.isFinite(value) ? `${before}${value * times}` : `${before}null`
