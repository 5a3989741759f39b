/**
 * A stream of chunks put together to the whole answer that its server would have given: also what only that server knows
 * (`timings`, `system_fingerprint`, reasoning by any name) is kept.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { readErrorText } from "../../domain/error-text.ts"
import type { Assembly, StreamCollector } from "../Dialect.ts"
import { exactJson } from "../exact-json.ts"
import { EventReader } from "../event-reader.ts"
import { brokenEvent, isBrokenObject, parsedJson } from "../read-json.ts"
import { argumentsIn, beginsAnother, beginsById, emptyObject, parsedAnswer } from "./call-pieces.ts"

type Fields = Record<PropertyKey, unknown>

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const isSet = (value: unknown): boolean => value !== undefined && value !== null

const isFields = (value: unknown): value is Fields => Predicate.isObject(value) && !JSON.isRawJSON(value)

// Texts that come in pieces; any other is said whole, however often.
const inPieces: ReadonlySet<string> = new Set([
  "content",
  "text",
  "refusal",
  "reasoning",
  "reasoning_content",
  "reasoning_text",
  "thinking",
  "arguments",
  "data",
  "transcript",
  "summary"
])

// Of one kind behind each other they are one: texts, and what holds a list of them.
const joinedPart = (before: unknown, part: unknown): Fields | undefined => {
  if (!isFields(before) || !isFields(part) || before["type"] !== part["type"]) return undefined
  const { text, thinking } = part
  if (typeof before["text"] === "string" && typeof text === "string") return { ...before, text: before["text"] + text }
  if (!Array.isArray(before["thinking"]) || !Array.isArray(thinking)) return undefined
  return { ...before, thinking: joinedParts(before["thinking"], thinking) }
}

const partsIn = (content: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(content)) return content
  return typeof content === "string" && content !== "" ? [{ type: "text", text: content }] : []
}

/** What was said in parts, as Mistral does, with what goes on with it, as a text or in parts. */
const joinedParts = (before: unknown, more: unknown): ReadonlyArray<unknown> => {
  const parts = [...partsIn(before)]
  for (const part of partsIn(more)) {
    const joined = joinedPart(parts.at(-1), part)
    if (joined === undefined) parts.push(part)
    else parts[parts.length - 1] = joined
  }
  return parts
}

/** Lays a piece over what has come: texts and lists go on, objects are laid over each other, of all else the last counts. */
const lay = (whole: Fields, piece: Fields, except: ReadonlySet<string>): void => {
  for (const [name, value] of Object.entries(piece)) {
    // Laid over each other, what one answer calls so would be over every object there is.
    if (except.has(name) || name === "__proto__") continue
    const before = Object.hasOwn(whole, name) ? whole[name] : undefined
    if (!isSet(value) || (value === "" && before !== null)) {
      if (before === undefined) whole[name] = value
    } else if (name === "content" && (Array.isArray(value) || Array.isArray(before))) {
      whole[name] = joinedParts(before, value)
    } else if (typeof value === "string" && typeof before === "string" && inPieces.has(name)) {
      whole[name] = before + value
    } else if (Array.isArray(value) && Array.isArray(before)) {
      for (const each of value) before.push(each)
    } else if (isFields(value) && isFields(before)) {
      lay(before, value, nothing)
    } else {
      whole[name] = value
    }
  }
}

const nothing: ReadonlySet<string> = new Set()

/** A call, under what its pieces are told apart by. */
interface Call {
  readonly index: unknown
  readonly fields: Fields
  readonly made: Fields
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined)

const ofCall = new Set(["index", "function"])
const ofFunction = new Set(["name"])

// A name comes in pieces before there are arguments, or again, or longer each time.
const named = ({ arguments: args, name }: Fields, piece: string | undefined): string | undefined => {
  const before = textOf(name)
  if (before === undefined || piece === undefined || piece === before || args !== "") return before ?? piece
  return piece.startsWith(before) ? piece : before + piece
}
const ofDelta = new Set(["tool_calls"])
const ofChoice = new Set(["delta", "index", "message"])
const ofAnswer = new Set(["choices", "object", "id", "created", "model"])

class ChoiceAssembly {
  readonly index: number
  private readonly fields: Fields = {}
  private readonly message: Fields = {}
  private readonly calls: Array<Call> = []
  private speaks = false

  constructor(index: number) {
    this.index = index
  }

  take(choice: Fields): void {
    lay(this.fields, choice, ofChoice)
    // There are servers that write a stream with the words of whole answers, or with these beside its own.
    const delta = Predicate.isObject(choice["delta"]) ? choice["delta"] : choice["message"]
    if (!Predicate.isObject(delta)) return
    this.speaks = true
    lay(this.message, delta, ofDelta)
    const { tool_calls: calls } = delta
    if (!Array.isArray(calls)) return
    const begun = new Set<Call>()
    for (const call of calls) if (Predicate.isObject(call)) this.calling(call, begun)
  }

  /** Whether it was said why it ended. */
  get isOver(): boolean {
    return textOf(this.fields["finish_reason"]) !== undefined
  }

  whole(): Fields {
    const { finish_reason: finish = null, ...others } = this.fields
    if (!this.speaks) return { index: this.index, ...others, finish_reason: finish }
    const { content = null, role = "assistant", ...more } = this.message
    const calls = this.calls.map(({ fields, made }) => ({ ...fields, function: made }))
    const said = calls.length === 0 ? (content ?? "") : content === "" ? null : content
    const message = { role, content: said, ...more, ...(calls.length === 0 ? {} : { tool_calls: calls }) }
    return { index: this.index, message, ...others, finish_reason: finish }
  }

  // `begun` are the calls that have been named in the same list: each of its entries with a name is one of its own.
  private calling(call: Fields, begun: Set<Call>): void {
    const own = this.callOf(call, begun)
    const { fields, made } = own
    lay(fields, call, ofCall)
    const piece = call["function"]
    if (!Predicate.isObject(piece)) return
    if (textOf(piece["name"]) !== undefined) begun.add(own)
    made["name"] = named(made, textOf(piece["name"])) ?? piece["name"] ?? ""
    // With some servers it stands before the arguments, and is none of them.
    const isBefore = emptyObject.test(String(made["arguments"])) && argumentsIn(piece).trimStart().startsWith("{")
    if (isBefore) made["arguments"] = ""
    lay(made, piece, ofFunction)
  }

  // By its index, else by its id, else it is the last one; some servers give every call the same index.
  private callOf(call: Fields, begun: ReadonlySet<Call>): Call {
    const { index } = call
    const id = textOf(call["id"])
    const made = Predicate.isObject(call["function"]) ? call["function"] : {}
    const known =
      typeof index === "number"
        ? this.calls.findLast((each) => each.index === index)
        : id === undefined
          ? this.calls.at(-1)
          : this.calls.findLast(({ fields }) => fields["id"] === id)
    const isAnother = (than: Call): boolean => {
      if (textOf(made["name"]) === undefined) return false
      const { arguments: text, name } = than.made
      const said = { text: textOf(text) ?? "" }
      if (id !== undefined && than.fields["id"] !== id)
        return beginsById(said, made["name"] === name, argumentsIn(made))
      return textOf(name) !== undefined && (begun.has(than) || beginsAnother(said, argumentsIn(made)))
    }
    if (known !== undefined && !isAnother(known)) return known
    const next: Call = { index, fields: {}, made: { name: "", arguments: "" } }
    this.calls.push(next)
    return next
  }
}

class ChunkAssembly implements Assembly {
  private readonly reader = new EventReader()
  private readonly answer: Fields = {}
  private readonly choices = new Map<number, ChoiceAssembly>()
  private fault: string | undefined

  push(piece: Uint8Array): void {
    for (const { data } of this.reader.push(piece)) this.take(data)
  }

  end(): Result.Result<Uint8Array, string> {
    for (const { data } of this.reader.end()) this.take(data)
    if (this.fault !== undefined) return Result.fail(this.fault)
    if (this.choices.size === 0) return Result.fail("an event stream without an answer")
    const all = [...this.choices.values()].sort((a, b) => a.index - b.index)
    if (!all.every(({ isOver }) => isOver)) return Result.fail("the stream ended before its answer was complete")
    const choices = all.map((choice) => choice.whole())
    const { created, id, model, object, ...others } = this.answer
    const head = Object.entries({ id, object, created, model }).filter(([, value]) => value !== undefined)
    return Result.succeed(encoder.encode(JSON.stringify({ ...Object.fromEntries(head), choices, ...others })))
  }

  private take(data: string): void {
    if (data.trim() === "[DONE]") return
    const chunk = parsedAnswer(data)
    if (chunk === undefined && isBrokenObject(data)) this.fault ??= brokenEvent
    if (!Predicate.isObject(chunk)) return
    const fields: Fields = chunk
    if (isSet(fields["error"]) || fields["object"] === "error") {
      this.fault ??= readErrorText(data).sentence ?? "an error in the middle of its answer"
      return
    }
    for (const name of ["id", "created", "model"]) {
      if (!isSet(this.answer[name]) && isSet(fields[name])) this.answer[name] = fields[name]
    }
    const { choices, object } = fields
    if (typeof object === "string") this.answer["object"] = object.replace(/\.chunk$/, "")
    for (const [name, value] of Object.entries(fields)) {
      if (!ofAnswer.has(name) && (isSet(value) || this.answer[name] === undefined)) this.answer[name] = value
    }
    for (const choice of Array.isArray(choices) ? choices : []) if (Predicate.isObject(choice)) this.choice(choice)
  }

  private choice(choice: Fields): void {
    const index = typeof choice["index"] === "number" ? choice["index"] : 0
    const known = this.choices.get(index) ?? new ChoiceAssembly(index)
    this.choices.set(index, known)
    known.take(choice)
  }
}

const asStream = (body: Uint8Array): Uint8Array => {
  const text = decoder.decode(body)
  const json = exactJson(text, parsedJson(text))
  if (!Predicate.isObject(json)) return body
  const { stream_options: options } = json
  const asked = { ...(Predicate.isObject(options) ? options : {}), include_usage: true }
  return encoder.encode(JSON.stringify({ ...json, stream: true, stream_options: asked }))
}

/** Whole answers of chat completions and completions by way of a stream. */
export const chunkCollector: StreamCollector = { request: asStream, start: () => new ChunkAssembly() }
