/**
 * A form of an answer that is no object, for those who hold a model to objects alone: it is told as the one member of an
 * object, and what stands in that is taken out of it again.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { AnswerDecoder, Chat, ChatEvent, ChatField } from "./chat.ts"
import { parsedJson } from "./read-json.ts"
import type { Transducer, TransducerStep } from "./Transducer.ts"

type Schema = Readonly<Record<string, unknown>>

/** A request as it is told, what of it is not, and how its answers are read. */
export interface BoxedForm {
  readonly chat: Chat
  readonly dropped: ReadonlyArray<ChatField>
  readonly opening: (decoder: AnswerDecoder) => AnswerDecoder
}

// What is referred to by its place stays where it is.
const named: ReadonlySet<string> = new Set(["$defs", "definitions"])

const isNoObject = (schema: unknown): schema is Schema => {
  if (!Predicate.isObject(schema)) return false
  const { type } = schema
  return Array.isArray(type) ? !type.includes("object") : typeof type === "string" && type !== "object"
}

const isMoved = (ref: string): boolean => /^#(?:$|\/(?!(?:\$defs|definitions)(?:\/|$)))/.test(ref)

// A reference to a place that is in the box now means it there.
const inBox = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(inBox)
  if (!Predicate.isObject(value) || JSON.isRawJSON(value)) return value
  const placed = (name: string, each: unknown): unknown =>
    name === "$ref" && typeof each === "string" && isMoved(each) ? `#/properties/value${each.slice(1)}` : inBox(each)
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, placed(name, each)]))
}

const boxOf = (schema: Schema): Schema => {
  const all = Object.entries(schema).map(([name, each]) => [name, inBox(each)] as const)
  return {
    type: "object",
    properties: { value: Object.fromEntries(all.filter(([name]) => !named.has(name))) },
    required: ["value"],
    additionalProperties: false,
    ...Object.fromEntries(all.filter(([name]) => named.has(name)))
  }
}

const head = /^\s*\{\s*"value"\s*:\s*/

const mayBecomeHead = (text: string): boolean => '{"value":'.startsWith(text.replaceAll(/\s/g, ""))

/** Where the blanks and braces at the end of a text begin: the last of these may be that of the box. */
const endOf = (text: string): number => {
  let at = text.length
  while (at > 0 && /[\s}]/.test(text.charAt(at - 1))) at -= 1
  return at
}

/** The text of one answer, taken out of its box. */
class Unboxing {
  private readonly bare: boolean
  private held = ""
  private isOpen = false
  private isNone = false

  /** `bare` where a text is told without its quotes. */
  constructor(bare: boolean) {
    this.bare = bare
  }

  /** What may be told of what has come. */
  says(piece: string): string {
    if (this.isNone) return piece
    this.held += piece
    if (this.bare) return ""
    if (!this.isOpen) {
      const found = head.exec(this.held)
      if (found === null) return mayBecomeHead(this.held) ? "" : this.asItIs()
      this.isOpen = true
      this.held = this.held.slice(found[0].length)
    }
    const at = endOf(this.held)
    const told = this.held.slice(0, at)
    this.held = this.held.slice(at)
    return told
  }

  /** What is left to tell before something else is told, behind which there is no box. */
  breaks(): string {
    if (this.held === "" && !this.isOpen) return ""
    const told = this.ends(false)
    this.isNone = true
    return told
  }

  /** What is left to tell in the end; what has been cut off has no end of its own. */
  ends(isCut: boolean): string {
    const { held } = this
    this.held = ""
    if (this.bare) {
      const json = parsedJson(held)
      const value: unknown = Predicate.isObject(json) ? json["value"] : undefined
      if (value === undefined) return isCut ? held.replace(head, "").replace(/^"/, "") : held
      return typeof value === "string" ? value : JSON.stringify(value)
    }
    return this.isOpen && !isCut ? held.replace(/\}\s*$/, "") : held
  }

  private asItIs(): string {
    const { held } = this
    this.isNone = true
    this.held = ""
    return held
  }
}

/** Reads answers whose texts stand in boxes. */
class UnboxedReading {
  private readonly bare: boolean
  private readonly all = new Map<number, Unboxing>()
  private choice = 0

  constructor(bare: boolean) {
    this.bare = bare
  }

  read(events: ReadonlyArray<ChatEvent>): ReadonlyArray<ChatEvent> {
    return events.flatMap((event) => this.event(event))
  }

  private event(event: ChatEvent): ReadonlyArray<ChatEvent> {
    if (event.type === "choice") this.choice = event.choice
    if (event.type !== "text" && event.type !== "stop" && event.type !== "call") return [event]
    const box = this.all.get(this.choice) ?? new Unboxing(this.bare)
    this.all.set(this.choice, box)
    const text =
      event.type === "text"
        ? box.says(event.text)
        : event.type === "call"
          ? box.breaks()
          : box.ends(event.stop.reason === "length")
    const told: ReadonlyArray<ChatEvent> = text === "" ? [] : [{ type: "text", text }]
    return event.type === "text" ? told : [...told, event]
  }
}

const unboxed = (stream: Transducer<Uint8Array, ChatEvent>, bare: boolean): Transducer<Uint8Array, ChatEvent> => ({
  start: (): TransducerStep<Uint8Array, ChatEvent> => {
    const step = stream.start()
    const reading = new UnboxedReading(bare)
    return { push: (piece) => reading.read(step.push(piece)), end: () => reading.read(step.end()) }
  }
})

const none: ReadonlyArray<ChatField> = []

const asItIs: BoxedForm["opening"] = (decoder) => decoder

/** A request whose answer is in a form that a server takes, which may take objects alone; the very same where it is. */
export const boxedForm = (chat: Chat, takesObjectsAlone: boolean): BoxedForm => {
  const { format } = chat
  return format?.type === "schema" && isNoObject(format.schema) && (takesObjectsAlone || format.bare === true)
    ? boxed(chat, format, format.schema)
    : { chat, dropped: none, opening: asItIs }
}

const boxed = (
  chat: Chat,
  format: NonNullable<Chat["format"]> & { readonly type: "schema" },
  schema: Schema
): BoxedForm => {
  const { format: _format, logprobs, ...others } = chat
  const { bare = false, ...form } = format
  return {
    chat: { ...others, format: { ...form, schema: boxOf(schema) } },
    // They are those of the box as well.
    dropped: logprobs === undefined ? [] : ["logprobs"],
    opening: ({ stream, whole }) => ({
      stream: unboxed(stream, bare),
      whole: (body) => Result.map(whole(body), (events) => new UnboxedReading(bare).read(events))
    })
  }
}
