/**
 * Picks the facts out of a body that is gone through in slices: what JSON.parse would have, the last of several fields of
 * one name included, at the cost of a few fields instead of the whole.
 */
import type { Endpoint } from "../domain/request.ts"
import { contentField, type Facts, imageParts, type Json, jsonModes, type Weight } from "./facts.ts"
import { type Listener, startsWith } from "./json-scan.ts"

/** Where a value stands in its body. */
export interface Span {
  readonly from: number
  readonly to: number
}

// What a value is for; most are for nothing.
const nothing = 0
const root = 1
const field = 2
const messages = 3
const texts = 4
const tools = 5
const functions = 6
const format = 7
const message = 8
const content = 9
const part = 10
const partText = 11
const partType = 12
const oneText = 13
const formatType = 14

type Names = ReadonlyArray<readonly [name: string, role: number]>

const fields: Names = [
  ["model", field],
  ["stream", field],
  ["messages", messages],
  ["input", texts],
  ["prompt", texts],
  ["tools", tools],
  ["functions", functions],
  ["response_format", format],
  ["max_tokens", field],
  ["max_completion_tokens", field]
]
const longestName = Math.max(...fields.map(([name]) => name.length))
const inFormat: Names = [["type", formatType]]
const inMessage: Names = [["content", content]]
const inPart: Names = [
  ["text", partText],
  ["type", partType]
]

/** The fields that are looked at in an object that is for something. */
const namesIn = (role: number): Names | undefined => {
  if (role === root) return fields
  if (role === message) return inMessage
  if (role === part) return inPart
  return role === format ? inFormat : undefined
}

/** What the elements of an array are for, by what the array is for. */
const elementOf = (role: number): number => {
  if (role === messages) return message
  if (role === content) return part
  return role === texts ? oneText : nothing
}

/** What an array or object is for when its value was for something: an array in the place of an object is for nothing. */
const openedAs = (role: number, kind: "array" | "object"): number => {
  const isArray = role === messages || role === content || role === texts || role === tools || role === functions
  const isObject = role === root || role === format || role === message || role === part
  return (kind === "array" ? isArray : isObject) ? role : nothing
}

// A letter may be written as an escape of six bytes; what is longer than the longest name of a model need not be exact.
const keptBytes = 6 * 512 + 2

const long = "x".repeat(keptBytes)

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Takes what a scan tells of a body; its facts are there at the end. */
export class Sift implements Listener {
  private readonly body: Uint8Array
  private readonly top: Record<string, unknown> = Object.create(null)
  // What the open arrays and objects are for.
  private readonly opened: Array<number> = []
  // What the next value of the open object is for, and its name at the top.
  private next = root
  private name = ""
  private ofMessages: Weight = { bytes: 0, vision: false }
  private ofMessage: Weight = { bytes: 0, vision: false }
  private ofPart: Weight = { bytes: 0, vision: false }
  private readonly ofTexts: Record<string, number> = {}
  private readonly filled: Record<string, boolean> = {}
  private jsonMode = false
  private whole: unknown
  /** Where the name of the model stands; undefined when there is none. */
  model: Span | undefined

  constructor(body: Uint8Array) {
    this.body = body
  }

  key(from: number, to: number, size: number): void {
    const role = this.opened.at(-1) ?? nothing
    this.next = nothing
    const names = namesIn(role)
    if (names === undefined || size > longestName) return
    const text = size === to - from - 2 ? undefined : this.parsed(from, to)
    for (const [name, meant] of names) {
      const same = text === undefined ? size === name.length && startsWith(this.body, from + 1, name) : name === text
      if (same) return this.begin(name, meant)
    }
  }

  string(from: number, to: number, size: number): void {
    const role = this.take()
    if (role === nothing) return
    if (role === content) this.ofMessage.bytes = size
    else if (role === part) this.ofMessage.bytes += size
    else if (role === partText) this.ofPart.bytes = size
    else if (role === partType) this.ofPart.vision = imageParts.has(this.kept(from, to))
    else if (role === oneText) this.ofTexts[this.name] = Math.max(this.ofTexts[this.name] ?? 0, size)
    else if (role === formatType) this.jsonMode = jsonModes.has(this.kept(from, to))
    else if (role <= format) {
      if (role === texts) this.ofTexts[this.name] = size
      if (this.name === "model") this.model = { from, to }
      this.put(role, this.kept(from, to))
    }
  }

  plain(from: number, to: number): void {
    const role = this.take()
    if (role !== nothing && role <= format) this.put(role, to - from > keptBytes ? 0 : this.parsed(from, to))
  }

  open(kind: "array" | "object"): void {
    const role = this.take()
    if (role === root) this.whole = kind === "array" ? [] : this.top
    else if (role !== nothing && role <= format) this.put(role, kind === "array" ? [] : {})
    const as = openedAs(role, kind)
    if (as === message) this.ofMessage = { bytes: 0, vision: false }
    if (as === part) this.ofPart = { bytes: 0, vision: false }
    this.opened.push(as)
  }

  close(): void {
    const role = this.opened.pop()
    if (role === message) add(this.ofMessages, this.ofMessage)
    if (role === part) add(this.ofMessage, this.ofPart)
  }

  /** What the whole body is: its fields at the top, or a value of its kind when it is no object. */
  get value(): unknown {
    return this.whole
  }

  /** The facts of a body whose fields at the top are known. */
  factsOf(endpoint: Endpoint, top: Json): Facts {
    const field = contentField(endpoint, top)
    return {
      top,
      content: field === "messages" ? this.ofMessages : { bytes: this.ofTexts[field] ?? 0, vision: false },
      tools: this.filled["tools"] === true || this.filled["functions"] === true,
      jsonMode: this.jsonMode
    }
  }

  /** A field of this name begins: what an earlier one of the same name said is forgotten. */
  private begin(name: string, role: number): void {
    this.next = role
    if (role <= format) this.name = name
    if (name === "model") this.model = undefined
    else if (role === messages) this.ofMessages = { bytes: 0, vision: false }
    else if (role === texts) this.ofTexts[name] = 0
    else if (role === tools || role === functions) this.filled[name] = false
    else if (role === format || role === formatType) this.jsonMode = false
    else if (role === content) this.ofMessage = { bytes: 0, vision: false }
    else if (role === partText) this.ofPart.bytes = 0
    else if (role === partType) this.ofPart.vision = false
  }

  /** What the value that begins now is for. */
  private take(): number {
    const role = this.opened.at(-1)
    if (role === tools || role === functions) this.filled[this.name] = true
    const isArray = role !== undefined && namesIn(role) === undefined
    return isArray ? elementOf(role) : this.next
  }

  private put(role: number, value: unknown): void {
    if (role === root) this.whole = value
    else this.top[this.name] = value
  }

  private parsed(from: number, to: number): unknown {
    return JSON.parse(decoder.decode(this.body.subarray(from, to)))
  }

  private kept(from: number, to: number): string {
    return to - from > keptBytes ? long : String(this.parsed(from, to))
  }
}

const add = (to: Weight, from: Weight): void => {
  to.bytes += from.bytes
  to.vision ||= from.vision
}
