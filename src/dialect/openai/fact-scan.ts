/**
 * Picks the facts out of a body that is gone through in slices: what JSON.parse would have, the last of several fields of
 * one name included, at the cost of a few fields instead of the whole.
 */
import type { Span } from "../Dialect.ts"
import type { Endpoint } from "./openai-endpoints.ts"
import {
  callFields,
  contentField,
  type Facts,
  imageParts,
  isToolsOff,
  type Json,
  addText,
  emptyBatch,
  jsonModes,
  type TextBatch
} from "./facts.ts"
import { type JsonListener, startsWithWord } from "../json-scan.ts"
import { isLongString, stringPieces, stringText } from "../string-pieces.ts"
import {
  addWeight,
  batchEstimate,
  TokenEstimator,
  estimateOf,
  estimatePrompt,
  type TokenEstimate,
  noTokens,
  weighText,
  weighKey,
  withTokenIds,
  type TokenWeight,
  noWeight
} from "../token-estimate.ts"

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
const weighed = 15
const tokenIds = 16

/** What there is of texts: their size at a glance, and their weight where it is wanted. */
interface Heap {
  bytes: number
  vision: boolean
  weight: TokenWeight
  /** Texts that are too long to be weighed in one go. */
  long: ReadonlyArray<Span>
}

const heap = (): Heap => ({ bytes: 0, vision: false, weight: noWeight(), long: [] })

const put = (to: Heap, from: Heap): void => {
  to.bytes += from.bytes
  to.vision ||= from.vision
  addWeight(to.weight, from.weight)
  if (from.long.length > 0) to.long = [...to.long, ...from.long]
}

/** What there is of a list of texts. */
interface TextHeap extends TextBatch {
  tokens: TokenEstimate
  long: ReadonlyArray<Span>
}

const textHeap = (): TextHeap => ({ ...emptyBatch(), tokens: noTokens, long: [] })

const empty = (it: Heap): void => {
  it.bytes = 0
  it.weight = noWeight()
  it.long = []
}

type Names = ReadonlyArray<readonly [name: string, role: number]>

const fields: Names = [
  ["model", field],
  ["stream", field],
  ["stream_format", field],
  ["messages", messages],
  ["input", texts],
  ["prompt", texts],
  ["tools", tools],
  ["functions", functions],
  ["response_format", format],
  ["tool_choice", field],
  ["max_tokens", field],
  ["max_completion_tokens", field],
  ["n", field],
  ["best_of", field]
]
const longestName = Math.max(...fields.map(([name]) => name.length))
const inFormat: Names = [
  ["type", formatType],
  ["json_schema", weighed]
]
const inMessage: Names = [["content", content], ...callFields.map((name) => [name, weighed] as const)]
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
  if (role === tools || role === functions || role === weighed) return weighed
  if (role === content) return part
  if (role === tokenIds) return tokenIds
  return role === texts ? oneText : nothing
}

/** What an array or object is for when its value was for something: an array in the place of an object is for nothing. */
const openedAs = (role: number, kind: "array" | "object"): number => {
  if (role === weighed) return role
  if (role === oneText && kind === "array") return tokenIds
  const isArray = role === messages || role === content || role === texts || role === tools || role === functions
  const isObject = role === root || role === format || role === message || role === part
  return (kind === "array" ? isArray : isObject) ? role : nothing
}

// A letter may be written as an escape of six bytes; what is longer than the longest name of a model need not be exact.
const keptBytes = 6 * 512 + 2

const long = "x".repeat(keptBytes)

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Takes what a scan tells of a body; its facts are there at the end. */
export class FactScan implements JsonListener {
  private readonly body: Uint8Array
  private readonly top: Record<string, unknown> = Object.create(null)
  // What the open arrays and objects are for.
  private readonly opened: Array<number> = []
  // What the next value of the open object is for, and its name at the top.
  private next = root
  private name = ""
  private ofMessages = heap()
  private ofMessage = heap()
  private ofPart = heap()
  private ofCalls = { tool_calls: heap(), function_call: heap() }
  private readonly ofTools = { tools: heap(), functions: heap() }
  private readonly ofForm = heap()
  // Where the texts go whose name says nothing of them.
  private current = this.ofForm
  private readonly ofTexts: Record<string, TextHeap> = {}
  private readonly filled: Record<string, boolean> = {}
  private jsonMode = false
  private whole: unknown
  /** Where the name of the model stands; undefined when there is none. */
  model: Span | undefined

  private readonly weighs: boolean

  /** `weighs`: whether the texts are to be looked at letter by letter. */
  constructor(body: Uint8Array, weighs = false) {
    this.body = body
    this.weighs = weighs
  }

  key(from: number, to: number, size: number): void {
    const role = this.opened.at(-1) ?? nothing
    this.next = nothing
    if (role === weighed) {
      this.next = weighed
      if (this.weighs) weighKey(this.text(from, to, size).length, this.current.weight)
      return
    }
    const names = namesIn(role)
    if (names === undefined || size > longestName) return
    const text = size === to - from - 2 ? undefined : this.parsed(from, to)
    for (const [name, meant] of names) {
      const same =
        text === undefined ? size === name.length && startsWithWord(this.body, from + 1, name) : name === text
      if (same) return this.begin(name, meant)
    }
  }

  string(from: number, to: number, size: number): void {
    const role = this.take()
    if (role === nothing) return
    if (role === content) this.count(this.ofMessage, from, to, size)
    else if (role === part) this.count(this.ofMessage, from, to, size)
    else if (role === partText) this.count(this.ofPart, from, to, size)
    else if (role === weighed) this.count(this.current, from, to, size)
    else if (role === partType) this.ofPart.vision = imageParts.has(this.kept(from, to))
    else if (role === oneText) this.countText(from, to, size)
    else if (role === formatType) this.jsonMode = jsonModes.has(this.kept(from, to))
    else if (role <= format) {
      if (role === texts) this.countText(from, to, size)
      if (this.name === "model") this.model = { from, to }
      this.put(role, this.kept(from, to))
    }
  }

  plain(from: number, to: number): void {
    const role = this.take()
    if (role === tokenIds || role === oneText) this.countId(from)
    else if (role !== nothing && role <= format) this.put(role, to - from > keptBytes ? 0 : this.parsed(from, to))
  }

  open(kind: "array" | "object"): void {
    const role = this.take()
    if (role === root) this.whole = kind === "array" ? [] : this.top
    else if (role !== nothing && role <= format) this.put(role, kind === "array" ? [] : {})
    const as = openedAs(role, kind)
    if (as === tokenIds) this.textsNow().texts += 1
    if (as === message) {
      this.ofMessage = heap()
      this.ofCalls = { tool_calls: heap(), function_call: heap() }
    }
    if (as === part) this.ofPart = heap()
    this.opened.push(as)
  }

  close(): void {
    const role = this.opened.pop()
    if (role === message) {
      put(this.ofMessages, this.ofMessage)
      for (const calls of Object.values(this.ofCalls)) put(this.ofMessages, { ...calls, bytes: 0 })
    }
    if (role === part) put(this.ofMessage, this.ofPart)
  }

  deep(from: number, to: number, size: number, isKey: boolean): void {
    if (!this.weighs || this.opened.at(-1) !== weighed) return
    if (isKey) weighKey(this.text(from, to, size).length, this.current.weight)
    else this.count(this.current, from, to, size)
  }

  /** What the whole body is: its fields at the top, or a value of its kind when it is no object. */
  get value(): unknown {
    return this.whole
  }

  /** The facts of a body whose fields at the top are known. */
  factsOf(endpoint: Endpoint, top: Json): Facts {
    const field = contentField(endpoint, top)
    const batch = field === "messages" ? undefined : (this.ofTexts[field] ?? emptyBatch())
    return {
      top,
      content: batch === undefined ? this.ofMessages : { bytes: batch.bytes, vision: false },
      batch,
      tools: this.filled["tools"] === true || this.filled["functions"] === true,
      jsonMode: this.jsonMode
    }
  }

  /** The tokens of a body whose fields at the top are known; what was too long is weighed now, piece by piece. */
  *tokensOf(endpoint: Endpoint, top: Json): Generator<undefined, TokenEstimate> {
    const field = contentField(endpoint, top)
    if (field !== "messages") {
      const texts = this.ofTexts[field] ?? textHeap()
      let { tokens } = texts
      for (const span of texts.long) {
        const weight = noWeight()
        yield* this.weighLong(span, weight)
        tokens = batchEstimate(tokens, estimateOf(weight))
      }
      return withTokenIds(tokens, texts.ids)
    }
    const { ofForm, ofMessages } = this
    const ofTools = heap()
    put(ofTools, this.ofTools.tools)
    put(ofTools, this.ofTools.functions)
    for (const { long, weight } of [ofMessages, ofTools, ofForm]) {
      for (const span of long) yield* this.weighLong(span, weight)
    }
    return estimatePrompt({
      said: ofMessages.weight,
      tools: ofTools.weight,
      toolsOff: isToolsOff(top),
      form: ofForm.weight
    })
  }

  private *weighLong(span: Span, into: TokenWeight): Generator<undefined, void> {
    const scale = new TokenEstimator()
    for (const piece of stringPieces(this.body, span)) {
      scale.put(piece, into)
      yield undefined
    }
  }

  private text(from: number, to: number, size: number): string {
    return stringText(this.body, from + 1, to - 1, size === to - from - 2)
  }

  private count(into: Heap, from: number, to: number, size: number): void {
    into.bytes += size
    if (!this.weighs) return
    if (isLongString(from, to)) into.long = [...into.long, { from, to }]
    else weighText(this.text(from, to, size), into.weight)
  }

  private textsNow(): TextHeap {
    return (this.ofTexts[this.name] ??= textHeap())
  }

  // A number begins with a digit or its sign.
  private countId(from: number): void {
    if ((this.body[from] ?? 0) < 0x3a) this.textsNow().ids += 1
  }

  private countText(from: number, to: number, size: number): void {
    const texts = this.textsNow()
    addText(texts, size)
    if (!this.weighs) return
    if (isLongString(from, to)) {
      texts.long = [...texts.long, { from, to }]
      return
    }
    const weight = noWeight()
    weighText(this.text(from, to, size), weight)
    texts.tokens = batchEstimate(texts.tokens, estimateOf(weight))
  }

  /** A field of this name begins: what an earlier one of the same name said is forgotten. */
  private begin(name: string, role: number): void {
    this.next = role
    if (role <= format) this.name = name
    if (name === "model") this.model = undefined
    else if (role === messages) this.ofMessages = heap()
    else if (role === texts) this.ofTexts[name] = textHeap()
    else if (role === tools || role === functions) {
      this.filled[name] = false
      this.current = this.ofTools[role === tools ? "tools" : "functions"]
      empty(this.current)
    } else if (role === format) {
      this.jsonMode = false
      empty(this.ofForm)
    } else if (role === formatType) this.jsonMode = false
    else if (role === content) this.ofMessage = heap()
    else if (role === partText) empty(this.ofPart)
    else if (role === weighed) this.beginWeighed(name)
    else if (role === partType) this.ofPart.vision = false
  }

  private beginWeighed(name: string): void {
    const { function_call: older, tool_calls: calls } = this.ofCalls
    this.current = name === "json_schema" ? this.ofForm : name === "tool_calls" ? calls : older
    empty(this.current)
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
