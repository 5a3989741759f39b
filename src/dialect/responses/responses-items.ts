/**
 * The items of a response: each opens, says what it holds piece by piece, and closes with all of it.
 */
import type { ChatEvent } from "../chat.ts"
import { exactJson } from "../exact-json.ts"
import { GrowingText } from "../growing-text.ts"
import { JsonEnd } from "../json-end.ts"
import { isObjectText, parsedJson } from "../read-json.ts"
import { type ItemStatus, saidByArgs } from "./client-tools.ts"
import { sealed } from "./reasoning-seal.ts"
import { eventHead, type EventWriter } from "./responses-events.ts"
import { textOfArgs, type ToolForm } from "./responses-tools.ts"

/** Where an item stands. */
export interface ItemPlace {
  readonly id: string
  readonly output_index: number
}

/** What a text goes back to, and where it does. */
interface UrlCitation {
  readonly type: "url_citation"
  readonly url: string
  readonly title: string
  readonly start_index: number
  readonly end_index: number
}

/** A part of a message that is its text. */
const textPart = (text: string, annotations: Array<UrlCitation>, logprobs: Array<unknown>) => ({
  type: "output_text" as const,
  text,
  annotations,
  logprobs
})

const refusalPart = (refusal: string) => ({ type: "refusal" as const, refusal })

const summaryPart = (text: string) => ({ type: "summary_text" as const, text })

const textDelta = eventHead("response.output_text.delta")
const refusalDelta = eventHead("response.refusal.delta")
const thoughtDelta = eventHead("response.reasoning_summary_text.delta")
const argumentsDelta = eventHead("response.function_call_arguments.delta")

const summaryAt = '"summary_index":0,'

// Where nearly all of what is said stands.
const firstAt = '"content_index":0,'

const noLogprobs: ReadonlyArray<unknown> = []
const withoutLogprobs = ',"logprobs":[]}'

/** What all items have in common. */
export abstract class ResponseItem {
  protected readonly writer: EventWriter
  protected readonly place: ItemPlace
  // What stands before each piece of a part, and of which part that is.
  private head = ""
  private headAt: string | undefined

  constructor(writer: EventWriter, place: ItemPlace) {
    this.writer = writer
    this.place = place
  }

  /** The item as it is told of. */
  abstract json(status: ItemStatus): object

  /** Tells that there is nothing more to come. */
  abstract close(status: Exclude<ItemStatus, "in_progress">): void

  protected open(): void {
    this.writer.write("response.output_item.added", {
      output_index: this.place.output_index,
      item: this.json("in_progress")
    })
  }

  protected closed(status: ItemStatus): void {
    this.writer.write("response.output_item.done", {
      output_index: this.place.output_index,
      item: this.json(status)
    })
  }

  // The events there are most of, by how they begin: their fields are written once.
  protected say(begin: string, at: string, delta: string, after = "}"): void {
    if (this.headAt !== at) {
      const { id, output_index } = this.place
      this.headAt = at
      // One string: put together of pieces, each of them would be held.
      this.head = ['"item_id":"', id, '","output_index":', output_index, ",", at, '"delta":'].join("")
    }
    this.writer.say(begin, this.head, delta, after)
  }

  protected said(type: string, fields: object): void {
    this.writer.write(type, { item_id: this.place.id, output_index: this.place.output_index, ...fields })
  }
}

/** What the model has thought, told as a summary: that is what clients show. */
export class ReasoningItem extends ResponseItem {
  signature: string | undefined
  callSignature: string | undefined
  private readonly thought = new GrowingText()
  private readonly seals: boolean
  private isClosed = false

  /** `seals` when the client keeps what it is given for the next turn. */
  constructor(writer: EventWriter, place: ItemPlace, seals: boolean) {
    super(writer, place)
    this.seals = seals
    this.open()
  }

  append(text: string): void {
    if (text === "") return
    if (this.thought.length === 0) {
      this.said("response.reasoning_summary_part.added", { summary_index: 0, part: summaryPart("") })
    }
    this.thought.add(text)
    this.say(thoughtDelta, summaryAt, text)
  }

  override json(status: ItemStatus) {
    const { callSignature, signature } = this
    const { text } = this.thought
    const seal = this.seals && this.isClosed ? { encrypted_content: sealed({ text, signature, callSignature }) } : {}
    return {
      id: this.place.id,
      type: "reasoning" as const,
      status,
      summary: text === "" || !this.isClosed ? [] : [summaryPart(text)],
      ...seal
    }
  }

  override close(status: Exclude<ItemStatus, "in_progress">): void {
    this.isClosed = true
    const { text } = this.thought
    if (text !== "") {
      this.said("response.reasoning_summary_text.done", { summary_index: 0, text })
      this.said("response.reasoning_summary_part.done", { summary_index: 0, part: summaryPart(text) })
    }
    this.closed(status)
  }
}

/** An image that the model has made; clients get it whole. */
export class ImageItem extends ResponseItem {
  private readonly result: string
  private readonly format: string

  constructor(writer: EventWriter, place: ItemPlace, { data, mediaType }: { data: string; mediaType: string }) {
    super(writer, place)
    this.result = data
    this.format = mediaType.replace("image/", "")
    this.open()
  }

  override json(status: ItemStatus) {
    const isOpen = status === "in_progress"
    return {
      id: this.place.id,
      type: "image_generation_call" as const,
      status: isOpen ? status : ("completed" as const),
      result: isOpen ? null : this.result,
      output_format: this.format
    }
  }

  override close(status: Exclude<ItemStatus, "in_progress">): void {
    this.said("response.image_generation_call.completed", {})
    this.closed(status)
  }
}

/** A part of a message, as far as it has come. */
interface MessagePart {
  readonly type: "output_text" | "refusal"
  readonly said: GrowingText
  readonly annotations: Array<UrlCitation>
  readonly logprobs: Array<unknown>
}

const partJson = ({ annotations, logprobs, said, type }: MessagePart) =>
  type === "refusal" ? refusalPart(said.text) : textPart(said.text, annotations, logprobs)

/** What the model says, or why it will not. */
export class MessageItem extends ResponseItem {
  /** How much of the text of the answer stands in the items before it. */
  readonly before: number
  private readonly parts: Array<MessagePart> = []

  constructor(writer: EventWriter, place: ItemPlace, before: number) {
    super(writer, place)
    this.before = before
    this.open()
  }

  append(type: MessagePart["type"], text: string, logprobs = noLogprobs): void {
    const part = this.partOf(type)
    part.said.add(text)
    if (logprobs.length > 0) part.logprobs.push(...logprobs)
    if (text === "") return
    const at = this.parts.length === 1 ? firstAt : `"content_index":${this.parts.length - 1},`
    if (type === "refusal") return this.say(refusalDelta, at, text)
    const likely = logprobs.length === 0 ? withoutLogprobs : `,"logprobs":${JSON.stringify(logprobs)}}`
    this.say(textDelta, at, text, likely)
  }

  /** Says what its text goes back to, by its place in all of the answer: all of it, where nothing more is known. */
  cite({ end, start = 0, title, url }: ChatEvent & { readonly type: "citation" }): void {
    const { annotations, said } = this.partOf("output_text")
    const start_index = Math.max(0, start - this.before)
    const end_index = end === undefined ? said.length : Math.max(0, end - this.before)
    const annotation = { type: "url_citation" as const, url, title, start_index, end_index }
    const content_index = this.parts.length - 1
    const annotation_index = annotations.push(annotation) - 1
    this.said("response.output_text.annotation.added", { content_index, annotation_index, annotation })
  }

  override json(status: ItemStatus) {
    return {
      id: this.place.id,
      type: "message" as const,
      role: "assistant" as const,
      status,
      content: status === "in_progress" ? [] : this.parts.map(partJson)
    }
  }

  override close(status: Exclude<ItemStatus, "in_progress">): void {
    this.closePart()
    this.closed(status)
  }

  private partOf(type: MessagePart["type"]): MessagePart {
    const last = this.parts.at(-1)
    if (last?.type === type) return last
    this.closePart()
    const part: MessagePart = { type, said: new GrowingText(), annotations: [], logprobs: [] }
    this.parts.push(part)
    this.said("response.content_part.added", { content_index: this.parts.length - 1, part: partJson(part) })
    return part
  }

  private closePart(): void {
    const part = this.parts.at(-1)
    if (part === undefined) return
    const content_index = this.parts.length - 1
    const { logprobs } = part
    const { text } = part.said
    if (part.type === "refusal") this.said("response.refusal.done", { content_index, refusal: text })
    else this.said("response.output_text.done", { content_index, text, logprobs })
    this.said("response.content_part.done", { content_index, part: partJson(part) })
  }
}

/** A call of a tool. */
export class CallItem extends ResponseItem {
  private args = new GrowingText()
  // Where its arguments end, once somebody waits for that.
  private end: JsonEnd | undefined
  private whole: boolean | undefined
  private readonly callId: string
  private readonly form: ToolForm

  constructor(writer: EventWriter, place: ItemPlace, callId: string, form: ToolForm) {
    super(writer, place)
    this.callId = callId
    this.form = form
    this.open()
  }

  /** Whether what has come is a whole JSON value, or nothing at all. */
  get isWhole(): boolean {
    if (this.args.length === 0) return true
    try {
      JSON.parse(this.args.text)
      return true
    } catch {
      return false
    }
  }

  /** Whether all of its arguments have come, as far as they show it. */
  get isOver(): boolean {
    if (this.end === undefined) {
      this.end = new JsonEnd()
      this.end.push(this.args.text)
    }
    if (!this.end.ended) return false
    this.whole ??= isObjectText(this.args.text)
    return this.whole
  }

  append(args: string): void {
    if (args === "") return
    this.args.add(args)
    this.end?.push(args)
    // A free text is told at once: in pieces it would have to be taken out of the JSON that it comes in.
    if (this.form.kind === "function") this.say(argumentsDelta, "", args)
  }

  override json(status: ItemStatus) {
    const { callId, form, place } = this
    const args = this.args.text
    const isOpen = status === "in_progress"
    if (form.kind === "tool_search") {
      const told = isOpen ? {} : (exactJson(args, parsedJson(args)) ?? args)
      const execution = "client" as const
      return { type: "tool_search_call" as const, id: place.id, status, call_id: callId, execution, arguments: told }
    }
    if (form.kind !== "custom" && form.kind !== "function") {
      return { id: place.id, call_id: callId, ...saidByArgs(form.kind, isOpen ? "{}" : args, status) }
    }
    const head = { id: place.id, status, call_id: callId, name: form.name }
    const space = form.namespace === undefined ? {} : { namespace: form.namespace }
    return form.kind === "custom"
      ? { type: "custom_tool_call" as const, ...head, ...space, input: isOpen ? "" : textOfArgs(args) }
      : { type: "function_call" as const, ...head, ...space, arguments: isOpen ? "" : args }
  }

  override close(status: Exclude<ItemStatus, "in_progress">): void {
    if (status === "completed" && this.args.text.trim() === "") {
      this.args = new GrowingText()
      if (this.form.kind !== "custom") this.args.add("{}")
    }
    const args = this.args.text
    if (this.form.kind === "custom") {
      const input = textOfArgs(args)
      this.said("response.custom_tool_call_input.delta", { delta: input })
      this.said("response.custom_tool_call_input.done", { input })
    } else if (this.form.kind === "function") this.said("response.function_call_arguments.done", { arguments: args })
    this.closed(status)
  }
}
