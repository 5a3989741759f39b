/**
 * The events of an answer as a stream of Messages, and as a whole one: blocks come one after the other and never overlap,
 * so what a backend says in between is held back until the block before it is whole.
 */
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { type CallIdForm, CallIds } from "../fitted-chat.ts"
import { inOneLine } from "../event-by-event-watch.ts"
import { GrowingText } from "../growing-text.ts"
import type { Transducer, TransducerStep } from "../Transducer.ts"
import { Untold } from "../untold.ts"
import { JsonEnd } from "../json-end.ts"
import { sealedCall, unsigned } from "../signatures.ts"
import { callArguments } from "../exact-json.ts"
import { isObjectText } from "../read-json.ts"
import { messageHead, messageStart, messageStop, messageUsage, wholeUsage } from "./messages-frame.ts"

const encoder = new TextEncoder()

/** An event as bytes. */
export const messagesEvent = (data: { readonly type: string }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`

const idForm: CallIdForm = { fits: /^[A-Za-z0-9_-]{1,64}$/, prefix: "toolu_" }

const noObject = (name: string): string => `The backend called '${name}' with arguments that are no JSON object`

/**
 * What a text goes back to, in the form that has a place for an address; who reads it elsewhere cannot open its index.
 * Some clients break off at a title that is null.
 */
const citationOf = ({ cited = "", title, url }: ChatEvent & { readonly type: "citation" }) => ({
  type: "web_search_result_location" as const,
  url,
  title: title === "" ? url : title,
  cited_text: cited,
  encrypted_index: unsigned
})

type Citation = ReturnType<typeof citationOf>

const imageAlone = "The backend answered with an image alone, and Messages has no place for one"

/** A block. */
interface Block {
  readonly kind: "text" | "thinking" | "call"
  readonly call: number
  readonly id: string
  readonly name: string
  signature: string
}

/** A block of a whole answer, and what has been said in it. */
interface WholeBlock extends Block {
  readonly args: GrowingText
  readonly citations: Array<Citation>
}

/** What a call is made with, as far as it has come. */
interface Input {
  readonly args: GrowingText
  /** Where its arguments end. */
  readonly end: JsonEnd
  /** Whether they are known to be whole; undefined while they have not ended. */
  whole: boolean | undefined
}

/** A block of a stream, and what has been said in it that has not been sent; one that is no call has no input. */
interface StreamedBlock extends Block {
  readonly pieces: Array<string>
  citations: Array<Citation> | undefined
  readonly input: Input | undefined
}

// What has ended is parsed once, not at each piece that comes while another block waits.
const isWhole = (input: Input): boolean => {
  if (!input.end.ended) return false
  input.whole ??= isObjectText(input.args.text)
  return input.whole
}

const blockStart = ({ id, kind, name }: Block) => {
  if (kind === "text") return { type: "text", text: "", citations: null }
  if (kind === "thinking") return { type: "thinking", thinking: "", signature: "" }
  return { type: "tool_use", id, name, input: {}, caller: { type: "direct" } }
}

const deltas = {
  text: '"text_delta","text":',
  thinking: '"thinking_delta","thinking":',
  call: '"input_json_delta","partial_json":'
} as const

// Of every token: written around its text, which takes a third of the time of writing the whole object.
const deltaEvent = (index: number, kind: Block["kind"], piece: string): string =>
  `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":{"type":${deltas[kind]}` +
  `${JSON.stringify(piece)}}}\n\n`

class StreamWriting implements TransducerStep<ChatEvent, Uint8Array> {
  private readonly context: AnswerContext
  private ids: CallIds | undefined
  private text = ""
  private begun = false
  /** Whether it has come to its end. */
  over = false
  private index = 0
  // The block that is open, and those behind it that wait for its end.
  private readonly blocks: Array<StreamedBlock> = []
  private opened = false
  private calls = 0
  private images = 0
  private untold: Untold | undefined
  // What goes back somewhere before there is any text.
  private cited: Array<Citation> | undefined
  private refused = false
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined

  constructor(context: AnswerContext) {
    this.context = context
  }

  push(event: ChatEvent): ReadonlyArray<Uint8Array> {
    this.event(event)
    return this.take()
  }

  end(): ReadonlyArray<Uint8Array> {
    return []
  }

  broken(error: string): Uint8Array {
    this.tellWhatWaits()
    this.over = true
    return encoder.encode(`${this.text}event: error\ndata: ${inOneLine(error)}\n\n`)
  }

  private take(): ReadonlyArray<Uint8Array> {
    if (this.text === "") return []
    const bytes = encoder.encode(this.text)
    this.text = ""
    return [bytes]
  }

  private event(event: ChatEvent): void {
    if (this.over) return
    if (event.type === "error") return this.fail(event.message)
    if (!this.begun) this.begin()
    switch (event.type) {
      case "text":
        return this.say("text", event.text)
      case "refusal":
        this.refused = true
        return this.say("text", event.text)
      case "image":
        this.images += 1
        return this.leaves(event.type)
      case "lost":
        return this.leaves(event.what)
      case "citation": {
        const last = this.blocks.at(-1)
        if (last?.kind !== "text") return void (this.cited ??= []).push(citationOf(event))
        ;(last.citations ??= []).push(citationOf(event))
        return this.advance()
      }
      case "reasoning":
        return this.say("thinking", event.text)
      case "signature":
        this.signs(event.signature)
        return this.advance()
      case "call":
        this.calls += 1
        if (event.signature !== undefined) this.signs(sealedCall(event.signature))
        this.blocks.push(this.block("call", event))
        return this.advance()
      case "arguments":
        return this.argue(event.call, event.text)
      case "stop":
        this.stop = event.stop
        return undefined
      case "usage":
        this.usage = event.usage
        return undefined
      case "done":
        return this.finish()
      case "start":
      case "choice":
        return undefined
    }
  }

  private block(kind: Block["kind"], made?: ChatEvent & { readonly type: "call" }): StreamedBlock {
    const citations = kind === "text" ? this.cited : undefined
    if (kind === "text") this.cited = undefined
    const id = made === undefined ? "" : (this.ids ??= new CallIds(this.context, idForm)).of(made.id)
    const input = made === undefined ? undefined : { args: new GrowingText(), end: new JsonEnd(), whole: undefined }
    return {
      kind,
      call: made?.call ?? -1,
      id,
      name: made?.name ?? "",
      input,
      signature: unsigned,
      pieces: [],
      citations
    }
  }

  private leaves(what: string): void {
    ;(this.untold ??= new Untold()).add(what)
  }

  private signs(signature: string): void {
    let last = this.blocks.at(-1)
    if (last?.kind !== "thinking" || last.signature !== unsigned) {
      last = this.block("thinking")
      this.blocks.push(last)
    }
    last.signature = signature
  }

  private say(kind: "text" | "thinking", text: string): void {
    let last = this.blocks.at(-1)
    // What follows a signature is a thought of its own.
    if (last?.kind !== kind || (kind === "thinking" && last.signature !== unsigned)) {
      last = this.block(kind)
      this.blocks.push(last)
    }
    last.pieces.push(text)
    this.advance()
  }

  private argue(call: number, text: string): void {
    const block = this.blocks.find((each) => each.call === call)
    if (block !== undefined) {
      block.input?.args.add(text)
      block.input?.end.push(text)
      block.pieces.push(text)
      return this.advance()
    }
    if (text.trim() !== "") this.fail("The backend went on with a call that was whole")
  }

  // Sends what may be sent, and goes on to the next block where the open one is whole.
  private advance(): void {
    for (;;) {
      const [open, next] = this.blocks
      if (open === undefined) return
      this.send(open)
      if (next === undefined || (open.input !== undefined && !isWhole(open.input))) return
      this.close(open)
    }
  }

  private send(block: StreamedBlock): void {
    const { index } = this
    if (!this.opened) {
      this.opened = true
      this.write({ type: "content_block_start", index, content_block: blockStart(block) })
    }
    // Libraries parse all that comes: blanks alone are an error to some, and a null no input to any.
    if (block.input?.end.begun === false) return
    for (const piece of block.pieces) this.text += deltaEvent(index, block.kind, piece)
    block.pieces.length = 0
    if (block.citations === undefined) return
    for (const citation of block.citations) {
      this.write({ type: "content_block_delta", index, delta: { type: "citations_delta", citation } })
    }
    block.citations = undefined
  }

  private close(block: Block): void {
    const { index } = this
    if (block.kind === "thinking") {
      const delta = { type: "signature_delta", signature: block.signature }
      this.write({ type: "content_block_delta", index, delta })
    }
    this.write({ type: "content_block_stop", index })
    this.blocks.shift()
    this.opened = false
    this.index += 1
  }

  private begin(): void {
    this.begun = true
    this.text += messageStart(this.context)
  }

  private finish(): void {
    const cut = this.stop?.reason === "length"
    const isEmpty = this.index === 0 && this.blocks.every(({ kind }) => kind === "thinking")
    if (this.images > 0 && isEmpty) return this.fail(imageAlone)
    if (this.index === 0 && this.blocks.length === 0) this.blocks.push(this.block("text"))
    for (let block = this.blocks[0]; block !== undefined; block = this.blocks[0]) {
      // A library would make of it what it can, and run a tool by that.
      const { args } = block.input ?? {}
      if (!cut && args !== undefined && args.length > 0 && callArguments(args.text) === undefined) {
        return this.fail(noObject(block.name))
      }
      this.send(block)
      this.close(block)
    }
    this.over = true
    // There is no going back to a text that is over.
    if (this.cited !== undefined) this.leaves("citation")
    this.text += this.untold?.comment() ?? ""
    const stop = messageStop(this.stop, { called: this.calls > 0, refused: this.refused })
    this.write({
      type: "message_delta",
      delta: { container: null, stop_details: null, ...stop },
      usage: messageUsage(this.usage)
    })
    this.write({ type: "message_stop" })
  }

  // What was said behind a call that is not whole when all fails. The call is not closed: some clients run one that is.
  private tellWhatWaits(): void {
    const [open, ...waiting] = this.blocks
    const said = waiting.filter(({ kind }) => kind !== "call")
    if (open === undefined || said.length === 0) return
    if (this.opened) this.index += 1
    this.opened = false
    this.blocks.splice(0, Infinity, ...said)
    for (const block of said) {
      this.send(block)
      this.close(block)
    }
  }

  private fail(message: string): void {
    this.tellWhatWaits()
    this.over = true
    this.write({ type: "error", error: { type: "api_error", message } })
  }

  private write(data: { readonly type: string; readonly [name: string]: unknown }): void {
    this.text += messagesEvent(data)
  }
}

/** The events of an answer as a stream. */
const messagesStreamEncoder = (context: AnswerContext): Transducer<ChatEvent, Uint8Array> => ({
  start: () => new StreamWriting(context)
})

/** The events of an answer as a whole one. */
const encodeMessagesAnswer = (
  events: ReadonlyArray<ChatEvent>,
  context: AnswerContext
): Result.Result<Uint8Array, string> => {
  const ids = new CallIds(context, idForm)
  const blocks: Array<WholeBlock> = []
  let stop: ChatStop | undefined
  let usage: ChatUsage | undefined
  let refused = false
  let images = 0
  let cited: Array<Citation> = []
  const say = (kind: "text" | "thinking", text: string): void => {
    const last = blocks.at(-1)
    if (last?.kind === kind && (kind === "text" || last.signature === unsigned)) return last.args.add(text)
    const said = {
      args: new GrowingText(text),
      signature: unsigned,
      citations: kind === "text" ? cited : []
    }
    if (kind === "text") cited = []
    blocks.push({ kind, call: -1, id: "", name: "", ...said })
  }
  const signs = (signature: string): void => {
    say("thinking", "")
    const last = blocks.at(-1)
    if (last !== undefined) last.signature = signature
  }
  for (const event of events) {
    if (event.type === "error") return Result.fail(event.message)
    if (event.type === "text" || event.type === "refusal") {
      refused ||= event.type === "refusal"
      say("text", event.text)
    } else if (event.type === "reasoning") say("thinking", event.text)
    else if (event.type === "image") images += 1
    else if (event.type === "citation") {
      const text = blocks.findLast(({ kind }) => kind === "text")
      ;(text?.citations ?? cited).push(citationOf(event))
    } else if (event.type === "signature") signs(event.signature)
    else if (event.type === "call") {
      const { call, id, name, signature } = event
      if (signature !== undefined) signs(sealedCall(signature))
      const said = { args: new GrowingText(), signature: "", citations: [] }
      blocks.push({ kind: "call", call, id: ids.of(id), name, ...said })
    } else if (event.type === "arguments") {
      const block = blocks.find(({ call }) => call === event.call)
      if (block !== undefined) block.args.add(event.text)
    } else if (event.type === "stop") ({ stop } = event)
    else if (event.type === "usage") ({ usage } = event)
  }
  if (images > 0 && blocks.every(({ kind }) => kind === "thinking")) return Result.fail(imageAlone)
  const content: Array<unknown> = []
  for (const block of blocks) {
    const { citations, kind, signature } = block
    const args = block.args.text
    // As null they are no answer to some clients.
    if (kind === "text") content.push({ type: "text", text: args, ...(citations.length === 0 ? {} : { citations }) })
    else if (kind === "thinking") content.push({ type: "thinking", thinking: args, signature })
    else {
      // One that was cut off at the limit that the client has set says so.
      const input = callArguments(args) ?? (stop?.reason === "length" ? {} : undefined)
      if (input === undefined) return Result.fail(noObject(block.name))
      content.push({ ...blockStart(block), input })
    }
  }
  const called = blocks.some(({ kind }) => kind === "call")
  const message = {
    ...messageHead(context),
    content: content.length === 0 ? [{ type: "text", text: "" }] : content,
    container: null,
    diagnostics: null,
    stop_details: null,
    ...messageStop(stop, { called, refused }),
    usage: wholeUsage(usage)
  }
  return Result.succeed(encoder.encode(JSON.stringify(message)))
}

/** How answers are told, whatever was asked. */
export const messagesAnswers: AnswerEncoder = {
  stream: messagesStreamEncoder,
  whole: encodeMessagesAnswer,
  untold: ({ type }) => (type === "image" ? type : undefined)
}
