/**
 * Which pieces of calls belong together, where servers say too little of it: several give every call of an answer the same
 * index and no id, or one id.
 */
import * as Predicate from "effect/Predicate"
import type { ChatEvent } from "../chat.ts"
import { exactMembers } from "../exact-json.ts"
import { GrowingText } from "../growing-text.ts"
import { isObjectText, parsedJson } from "../read-json.ts"

type Fields = Readonly<Record<PropertyKey, unknown>>

const objectOfArguments = /"arguments"\s*:\s*\{/

/** An answer, or a piece of one: arguments that are an object in place of its text have the numbers that it came with. */
export const parsedAnswer = (text: string): unknown => {
  const json = parsedJson(text)
  return text.includes('"arguments"') && objectOfArguments.test(text) ? exactMembers(text, json, "arguments") : json
}

/** The arguments that a piece brings along; some write the object itself in place of its text. */
export const argumentsIn = ({ arguments: args }: Fields): string =>
  typeof args === "string" ? args : Predicate.isObject(args) ? JSON.stringify(args) : ""

/** Arguments as far as they have come. */
interface SaidArguments {
  readonly text: string
}

/**
 * Whether a piece that bears a name begins another call than the one it seems to go on with: the arguments of that one are
 * whole, and it begins an object of its own. Servers that repeat the name in every piece go on within one.
 */
export const beginsAnother = (said: SaidArguments, piece: string): boolean => {
  if (!piece.trimStart().startsWith("{")) return false
  const { text } = said
  return text.trimEnd().endsWith("}") && isObjectText(text)
}

/** Whether arguments that begin so are a text in quotes, where an object should be. */
const isQuoted = (said: string): boolean => said.trimStart().startsWith('"')

/** The object that is written in quotes, as a text of its own; what is no such text is left as it is. */
const unquoted = (said: string): string => {
  try {
    const text: unknown = JSON.parse(said)
    return typeof text === "string" && isObjectText(text) ? text : said
  } catch {
    return said
  }
}

/** Whether arguments may begin so, and not only go on. */
const beginsArguments = (text: string): boolean => text === "" || /^\s*"?\{/.test(text)

const isOver = ({ text }: SaidArguments): boolean => {
  const said = text.trim()
  return said === "" || isObjectText(isQuoted(said) ? unquoted(said) : said)
}

/**
 * The same of a piece whose id is another one: some give each piece of a call an id of its own, and say its name with each.
 * An object within the arguments of that name begins nothing.
 */
export const beginsById = (said: SaidArguments, isSameName: boolean, piece: string): boolean =>
  beginsArguments(piece) && (!isSameName || isOver(said))

/** A call; its arguments are kept where its name has not come yet, or where they are in quotes, until they are whole. */
interface OpenCall {
  readonly index: unknown
  readonly id: string | undefined
  name: string | undefined
  /** What has come of its name. */
  begun: string
  signature: string
  held: string
  quoted: boolean
  /** An empty object that came alone: with some servers the arguments have yet to come, and are not behind it. */
  empty: string
  readonly said: GrowingText
}

/** What some servers say of arguments before they come. */
export const emptyObject = /^\s*\{\s*\}\s*$/

const said = (value: unknown): string => (typeof value === "string" ? value : "")

/**
 * What Google's models have signed a call or a text with, as Google or LiteLLM tells it; empty where they have not. LiteLLM
 * tells beside a message again what its calls are signed with.
 */
export const signatureOf = ({
  extra_content: extra,
  provider_specific_fields: own,
  tool_calls: calls
}: Fields): string => {
  const google = Predicate.isObject(extra) ? extra["google"] : undefined
  const signature = Predicate.isObject(google) ? said(google["thought_signature"]) : ""
  if (signature !== "" || !Predicate.isObject(own)) return signature
  const { thought_signature: one, thought_signatures: all } = own
  return said(one) || (Array.isArray(all) && !Array.isArray(calls) ? said(all.at(-1)) : "")
}

/** The calls of one answer, by their pieces. */
export class CallPieces {
  private readonly calls: Array<OpenCall> = []
  private readonly tell: (event: ChatEvent) => void
  private readonly names: ReadonlyArray<string>
  private waits = false

  /** `names` are those of the tools that may be called. */
  constructor(tell: (event: ChatEvent) => void, names: ReadonlyArray<string>) {
    this.tell = tell
    this.names = names
  }

  /** Whether a call has no name. */
  get isNameless(): boolean {
    return this.calls.some(({ name }) => name === undefined)
  }

  /** Takes a list of pieces. */
  readsAll(pieces: ReadonlyArray<unknown>): void {
    const named = new Set<number>()
    for (const piece of pieces) if (Predicate.isObject(piece)) this.reads(piece, named)
  }

  /** Takes a piece; `named` are the calls that have a name in the same list: each entry with a name is one of its own. */
  reads(piece: Fields, named = new Set<number>()): void {
    const made = Predicate.isObject(piece["function"]) ? piece["function"] : {}
    const id = said(piece["id"]) || undefined
    const name = said(made["name"])
    const text = argumentsIn(made)
    // Some have an empty call for none.
    if (id === undefined && name === "" && text === "") return
    const at = this.placeOf(piece["index"], id, (known, place) => {
      if (name === "") return false
      const argued = known.empty === "" ? known.said : { text: known.empty }
      if (id !== undefined && id !== known.id) return beginsById(argued, name === known.begun, text)
      return known.begun !== "" && (named.has(place) || (known.name !== undefined && beginsAnother(argued, text)))
    })
    const known = this.calls[at]
    if (known === undefined) return
    if (name !== "") named.add(at)
    if (known.name === undefined) this.named(known, at, name, text !== "", piece)
    if (text === "") return
    if (known.said.length === 0 && known.empty === "" && emptyObject.test(text)) {
      known.empty = text
      this.waits = true
      return
    }
    this.takes(known, at, text)
  }

  private takes(known: OpenCall, at: number, piece: string): void {
    const { empty } = known
    const text = empty === "" || piece.trimStart().startsWith("{") ? piece : empty + piece
    known.empty = ""
    known.quoted ||= known.said.length === 0 && isQuoted(text)
    known.said.add(text)
    if (known.quoted) return
    if (known.name === undefined) known.held += text
    else this.tell({ type: "arguments", call: at, text })
  }

  /** Takes that something else is said, or nothing more: names are whole that might have gone on. */
  settles(): void {
    if (!this.waits) return
    this.waits = false
    for (const [at, call] of this.calls.entries()) {
      if (call.begun !== "") this.told(call, at)
      if (call.empty !== "") this.takes(call, at, "")
    }
  }

  /** Arguments that came in quotes. */
  quoted(): ReadonlyArray<ChatEvent> {
    return this.calls.flatMap(({ quoted, said: all }, call): ReadonlyArray<ChatEvent> =>
      quoted ? [{ type: "arguments", call, text: unquoted(all.text) }] : []
    )
  }

  private named(call: OpenCall, at: number, piece: string, isLast: boolean, made: Fields): void {
    if (piece !== "") {
      call.begun = this.joined(call.begun, piece)
      call.signature ||= signatureOf(made)
    }
    if (call.begun === "") return
    if (isLast || this.names.includes(call.begun) || !this.isBeginning(call.begun)) this.told(call, at)
    else this.waits = true
  }

  private isBeginning(name: string): boolean {
    return this.names.some((each) => each.startsWith(name))
  }

  // A name comes in pieces, or again, or longer each time.
  private joined(begun: string, piece: string): string {
    if (this.isBeginning(begun + piece)) return begun + piece
    return begun === "" || piece.startsWith(begun) ? piece : begun
  }

  private told(call: OpenCall, at: number): void {
    if (call.name !== undefined) return
    const { begun: name, id, signature } = call
    call.name = name
    this.tell({ type: "call", call: at, id, name, ...(signature === "" ? {} : { signature }) })
    if (call.held !== "") this.tell({ type: "arguments", call: at, text: call.held })
  }

  // By its index, else by its id, else it is the last one; some servers give every call the same index.
  private placeOf(
    index: unknown,
    id: string | undefined,
    isAnother: (known: OpenCall, place: number) => boolean
  ): number {
    const at =
      typeof index === "number"
        ? this.calls.findLastIndex((call) => call.index === index)
        : id === undefined
          ? this.calls.length - 1
          : this.calls.findLastIndex((call) => call.id === id)
    const known = this.calls[at]
    if (known !== undefined && !isAnother(known, at)) return at
    this.settles()
    this.calls.push({
      index,
      id,
      name: undefined,
      begun: "",
      signature: "",
      held: "",
      quoted: false,
      empty: "",
      said: new GrowingText()
    })
    return this.calls.length - 1
  }
}
