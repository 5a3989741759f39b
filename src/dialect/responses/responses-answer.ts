/**
 * The events of an answer as a stream of Responses, and as a whole one: the same items, told of one by one or all at once.
 */
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { type CallIdForm, CallIds } from "../fitted-chat.ts"
import type { JsonObject } from "../request-notes.ts"
import {
  echoText,
  EventWriter,
  failureOf,
  responseHead,
  type ResponseFailure,
  serverFailure,
  responseUsage,
  writeFailure
} from "./responses-events.ts"
import {
  CallItem,
  ImageItem,
  type ItemPlace,
  MessageItem,
  ReasoningItem,
  type ResponseItem
} from "./responses-items.ts"
import type { ToolForm } from "./responses-tools.ts"
import type { TransducerStep } from "../Transducer.ts"
import { Untold } from "../untold.ts"

const encoder = new TextEncoder()

/** What of a request its answer depends on. */
interface Asked {
  /** What the answer tells of it again. */
  readonly asked: JsonObject
  /** The tools that are more than functions of the names that the model knows, by these. */
  readonly tools: ReadonlyMap<string, ToolForm> | undefined
  /** Whether the client keeps what the model has thought for the next turn. */
  readonly seals: boolean
}

const idForm: CallIdForm = { fits: /^[A-Za-z0-9_.:-]{1,64}$/, prefix: "call_" }

const noMore = {}

const incomplete: Readonly<Record<string, string>> = { length: "max_output_tokens", filter: "content_filter" }

const prefixes = {
  custom: "ctc",
  function: "fc",
  tool_search: "tsc",
  apply_patch: "apc",
  local_shell: "lsh",
  shell: "sh"
} as const

/** What an item is made of, or a part of one. */
type Spoken = ChatEvent & {
  readonly type: "text" | "refusal" | "image" | "citation" | "reasoning" | "signature" | "call"
}

/** What is known of when an answer began: by the clock on the wall, and by one that runs evenly. */
interface Began {
  readonly wallMs: number
  readonly evenMs: number
}

/** What a response tells again of its request, as JSON without its brace: less to hold than what it is made of. */
interface Echo {
  readonly json: string
}

let latest: WeakRef<Echo> | undefined

// An agent asks with the same tools again and again: answers that are under way at once hold them once.
const sharedEcho = (asked: JsonObject): Echo => {
  const json = echoText(asked)
  const known = latest?.deref()
  if (known?.json === json) return known
  const own = { json }
  latest = new WeakRef(own)
  return own
}

class ResponseWriting implements TransducerStep<ChatEvent, Uint8Array> {
  private readonly context: AnswerContext
  private readonly tools: Asked["tools"]
  private readonly seals: boolean
  private readonly echo: Echo
  private readonly began: Began
  private ids: CallIds | undefined
  private readonly writer = new EventWriter()
  private readonly items: Array<ResponseItem> = []
  // One item is open at a time: many clients mind but one, whatever the events say of which they are.
  private open: MessageItem | ReasoningItem | CallItem | undefined
  // The call that is open, by the number of its server.
  private openCall = -1
  // What has come behind a call that is not whole, and the calls in it.
  private held: Array<ChatEvent> | undefined
  private heldCalls: Set<number> | undefined
  // How much of the text has come.
  private length = 0
  private untold: Untold | undefined
  private begun = false
  /** Whether it has come to its end. */
  over = false
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined
  /** What became of it, once it is whole. */
  whole: string | undefined
  /** Why it failed, once it has. */
  failure: string | undefined

  constructor(context: AnswerContext, asked: Asked, began: Began) {
    this.context = context
    this.tools = asked.tools
    this.seals = asked.seals
    this.echo = sharedEcho(asked.asked)
    this.began = began
  }

  push(event: ChatEvent): ReadonlyArray<Uint8Array> {
    this.event(event)
    return this.take()
  }

  end(): ReadonlyArray<Uint8Array> {
    return []
  }

  broken(error: string): Uint8Array {
    this.fail(failureOf(error))
    return Buffer.concat(this.take())
  }

  private take(): Array<Uint8Array> {
    const text = this.writer.take()
    return text === "" ? [] : [encoder.encode(text)]
  }

  event(event: ChatEvent): void {
    if (this.over) return
    this.begin()
    switch (event.type) {
      case "text":
        // How likely tokens were may be told without a text, beside calls too; that is no message.
        if (event.text === "" && !(this.open instanceof MessageItem)) return undefined
        return this.say(event)
      case "refusal":
      case "image":
      case "citation":
      case "reasoning":
      case "signature":
      case "call":
        return this.say(event)
      case "arguments":
        return this.argue(event)
      case "lost":
        return this.leaves(event.what)
      case "stop":
        this.stop = event.stop
        return undefined
      case "usage":
        this.usage = event.usage
        return undefined
      case "error":
        return this.fail(serverFailure(event.message))
      case "done":
        return this.finish()
      case "start":
      case "choice":
        return undefined
    }
  }

  private say(event: Spoken): void {
    if (this.held !== undefined || (this.open instanceof CallItem && !this.open.isOver)) {
      if (event.type === "call") (this.heldCalls ??= new Set()).add(event.call)
      ;(this.held ??= []).push(event)
      return
    }
    switch (event.type) {
      case "text":
        this.message().append("output_text", event.text, event.logprobs)
        this.length += event.text.length
        return undefined
      case "refusal":
        return this.message().append("refusal", event.text)
      case "image":
        return this.show(event)
      case "citation":
        return this.cited(event.start).cite(event)
      case "reasoning":
        return this.thought().append(event.text)
      case "signature":
        this.thought().signature = event.signature
        return undefined
      case "call":
        return this.call(event)
    }
  }

  private argue(event: ChatEvent & { readonly type: "arguments" }): void {
    if (event.call === this.openCall && this.open instanceof CallItem) {
      this.open.append(event.text)
      if (this.held !== undefined && this.open.isOver) this.release()
    } else if (this.heldCalls?.has(event.call) === true) this.held?.push(event)
    else if (event.text.trim() !== "") this.fail(serverFailure("The backend went on with a call that was whole"))
  }

  // Goes on behind a call with what had to wait for it.
  private release(status?: "completed" | "incomplete"): void {
    const { held = [] } = this
    this.held = undefined
    this.heldCalls = undefined
    this.closeOpen(status)
    for (const event of held) this.event(event)
  }

  // What was said behind a call that is not whole when all fails. The call is not closed: some clients run one that is.
  private tellWhatWaits(): void {
    const said = (this.held ?? []).flatMap((event) =>
      event.type === "text" || event.type === "refusal" || event.type === "reasoning" ? [event] : []
    )
    this.held = undefined
    this.heldCalls = undefined
    if (said.length > 0) this.open = undefined
    for (const event of said) this.say(event)
  }

  private fail(failure: ResponseFailure): void {
    this.begin()
    this.tellWhatWaits()
    this.over = true
    this.failure = failure.message
    writeFailure(this.writer, failure, (failed) => this.response(failed))
  }

  private begin(): void {
    if (this.begun) return
    this.begun = true
    const response = this.response(noMore)
    this.writer.tell("response.created", response)
    this.writer.tell("response.in_progress", response)
  }

  private response(more: object): string {
    const { context } = this
    const created = Math.floor(this.began.wallMs / 1000)
    const head = responseHead({ id: `resp_${context.id}`, created, model: context.model })
    return `${JSON.stringify({ ...head, ...more }).slice(0, -1)},${this.echo.json}`
  }

  private place(prefix: string): ItemPlace {
    const output_index = this.items.length
    return { id: `${prefix}_${this.context.id}_${output_index}`, output_index }
  }

  private message(): MessageItem {
    if (this.open instanceof MessageItem) return this.open
    this.closeOpen()
    const item = new MessageItem(this.writer, this.place("msg"), this.length)
    this.items.push(item)
    this.open = item
    return item
  }

  // A text may be known to go back to something when it is over, and others have come behind it.
  private cited(start = Infinity): MessageItem {
    const holds = (item: ResponseItem): item is MessageItem => item instanceof MessageItem && item.before <= start
    return this.items.findLast(holds) ?? this.message()
  }

  private thought(): ReasoningItem {
    // What follows a signature is a thought of its own.
    if (this.open instanceof ReasoningItem && this.open.signature === undefined) return this.open
    this.closeOpen()
    const item = new ReasoningItem(this.writer, this.place("rs"), this.seals)
    this.items.push(item)
    this.open = item
    return item
  }

  private call({ call, id, name, signature }: ChatEvent & { readonly type: "call" }): void {
    // There is no place for it but in what was thought before the call.
    if (signature !== undefined && this.seals) this.thought().callSignature = signature
    this.closeOpen()
    const form = this.tools?.get(name) ?? { kind: "function" as const, name }
    const place = this.place(prefixes[form.kind])
    const ids = (this.ids ??= new CallIds(this.context, idForm))
    const item = new CallItem(this.writer, place, ids.of(id), form)
    this.items.push(item)
    this.open = item
    this.openCall = call
  }

  private show(image: ChatEvent & { readonly type: "image" }): void {
    // There is a place for an image, and none for where it is.
    if ("url" in image) return this.leaves(image.type)
    this.closeOpen()
    const item = new ImageItem(this.writer, this.place("ig"), image)
    this.items.push(item)
    item.close("completed")
  }

  private leaves(what: string): void {
    ;(this.untold ??= new Untold()).add(what)
  }

  private closeOpen(status: "completed" | "incomplete" = "completed"): void {
    this.open?.close(status)
    this.open = undefined
  }

  private finish(): void {
    const reason = incomplete[this.stop?.reason ?? ""]
    while (this.held !== undefined) {
      const isCut = reason !== undefined && this.open instanceof CallItem && !this.open.isWhole
      this.release(isCut ? "incomplete" : "completed")
    }
    if (this.over) return
    if (this.items.length === 0 && reason === undefined) this.message().append("output_text", "")
    const last = reason === undefined ? undefined : this.items.at(-1)
    const statuses = new Map(
      this.items.map((item) => {
        const isCut = item === last || (last !== undefined && item instanceof CallItem && !item.isWhole)
        return [item, isCut ? ("incomplete" as const) : ("completed" as const)]
      })
    )
    if (this.open !== undefined) this.closeOpen(statuses.get(this.open))
    this.over = true
    const { usage } = this
    const end = {
      status: reason === undefined ? "completed" : "incomplete",
      incomplete_details: reason === undefined ? null : { reason },
      output: [...statuses].map(([item, status]) => item.json(status)),
      usage: usage === undefined ? null : responseUsage(usage),
      ...(usage?.tier === undefined ? {} : { service_tier: usage.tier }),
      ...(reason === undefined ? { completed_at: this.now() } : {})
    }
    this.whole = this.response(end)
    this.writer.remark(this.untold?.comment() ?? "")
    this.writer.tell(`response.${end.status}`, this.whole)
  }

  private now(): number {
    const { evenMs, wallMs } = this.began
    return Math.floor((wallMs + performance.now() - evenMs) / 1000)
  }
}

/** How the answer to one request is told. */
export const responsesAnswers = (asked: Asked): AnswerEncoder => {
  const evenMs = performance.now()
  const writingFor = (context: AnswerContext): ResponseWriting =>
    new ResponseWriting(context, asked, { wallMs: context.now, evenMs })
  return {
    stream: (context) => ({ start: () => writingFor(context) }),
    whole: (events, context) => {
      const writing = writingFor(context)
      for (const event of events) writing.event(event)
      const { failure = "an answer without an end", whole } = writing
      return whole === undefined ? Result.fail(failure) : Result.succeed(encoder.encode(whole))
    },
    untold: (event) => (event.type === "image" && "url" in event ? "image" : undefined)
  }
}
