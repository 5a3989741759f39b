/**
 * Answers of Anthropic's Messages as events of the hub, whole and streamed.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { readErrorText } from "../../domain/error-text.ts"
import type { AnswerDecoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { EventReader, type ReadEvent } from "../event-reader.ts"
import { exactMembers } from "../exact-json.ts"
import { brokenEvent, isBrokenObject, parsedJson } from "../read-json.ts"
import { sealedHidden } from "../signatures.ts"
import type { Transducer } from "../Transducer.ts"
import { wordIn } from "../word-table.ts"
import { isZeroTold } from "./messages-watch.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const decoder = new TextDecoder()

const failed = "The backend failed in the middle of its answer"

const objectIn = (text: string, exact = true): Json | undefined => {
  const plain = parsedJson(text)
  const json = exact ? exactMembers(text, plain, "input") : plain
  return Predicate.isObject(json) ? json : undefined
}

const said = (value: unknown): string => (typeof value === "string" ? value : "")

const within = (json: Json, name: string): Json => {
  const value = json[name]
  return Predicate.isObject(value) ? value : {}
}

const reasons: Readonly<Record<string, ChatStop>> = {
  max_tokens: { reason: "length" },
  model_context_window_exceeded: { reason: "length" },
  tool_use: { reason: "calls" },
  refusal: { reason: "filter" }
}

const stopOf = (reason: string, sequence: unknown): ChatStop => {
  if (reason === "stop_sequence" && said(sequence) !== "") return { reason: "string", text: said(sequence) }
  // A turn that is paused has ended for whoever cannot go on with it.
  return wordIn(reasons, reason) ?? { reason: "end" }
}

const counts = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"] as const

// What OpenAI calls its own.
const tiers: Readonly<Record<string, string>> = { standard: "default", priority: "priority", batch: "batch" }

type Counts = Record<(typeof counts)[number] | "thinking_tokens", number>

/** The tokens of an answer, of which each word is the last until the next. */
class Tokens {
  private readonly known: Partial<Counts> = {}
  private tier: string | undefined

  says(usage: unknown): void {
    if (!Predicate.isObject(usage)) return
    this.tier = wordIn(tiers, usage["service_tier"]) ?? this.tier
    for (const name of counts) this.takes(name, usage[name], isZeroTold(usage, name))
    this.takes("thinking_tokens", within(usage, "output_tokens_details")["thinking_tokens"], false)
  }

  get all(): ChatUsage | undefined {
    const { known, tier } = this
    const { cache_creation_input_tokens: cachedWrite = 0, cache_read_input_tokens: cachedRead = 0 } = known
    if (known.input_tokens === undefined && known.output_tokens === undefined) return undefined
    return {
      prompt: (known.input_tokens ?? 0) + cachedRead + cachedWrite,
      cachedRead,
      cachedWrite,
      completion: known.output_tokens ?? 0,
      reasoning: known.thinking_tokens ?? 0,
      ...(tier === undefined ? {} : { tier })
    }
  }

  private takes(name: keyof Counts, value: unknown, isZeroNews: boolean): void {
    const isFirst = this.known[name] === undefined
    const isNews = Number.isSafeInteger(value) && (Number(value) > 0 || (value === 0 && (isZeroNews || isFirst)))
    if (isNews) this.known[name] = Number(value)
  }
}

/** What a text goes back to, where that has an address. */
interface Source {
  readonly url: string
  readonly title: string
  readonly cited: string
}

// What of an answer is no part of it elsewhere: what tools of Anthropic's own were told and found, and what was made short.
const ofServer = /^(?:server_tool_use|mcp_tool_(?:use|result)|[a-z_]+_tool_result|container_upload|compaction)$/

const sourceIn = (citation: unknown): Source | undefined => {
  if (!Predicate.isObject(citation)) return undefined
  const { cited_text: cited, source, title } = citation
  const url = said(citation["url"]) || said(source)
  return /^https?:/i.test(url) ? { url, title: said(title), cited: said(cited) } : undefined
}

/** A call under way: what its start held of it counts where nothing more comes. */
interface OpenCall {
  readonly call: number
  readonly input: string
  argued: boolean
}

// Nothing is said of it by `{}`: pieces may follow.
const givenInput = (input: unknown): string =>
  Predicate.isObject(input) && Object.keys(input).length > 0 ? JSON.stringify(input) : "{}"

class MessageReading {
  private readonly events: Array<ChatEvent> = []
  private readonly tokens = new Tokens()
  private readonly open = new Map<unknown, OpenCall>()
  private calls = 0
  // How much of the text has come, and of that what came before the block that is open; what goes back somewhere is all of it.
  private length = 0
  private before = 0
  private sources: ReadonlyArray<Source> = []
  private stop: ChatStop | undefined
  // Why the model will not answer, where that is said.
  private why = ""
  over = false

  /** Everything that has been read since it was last taken. */
  take(): ReadonlyArray<ChatEvent> {
    return this.events.splice(0)
  }

  starts(message: Json): void {
    this.tokens.says(message["usage"])
    this.events.push({ type: "start" })
    // A stream may begin with blocks that are whole, and say at once why it ends.
    const { content } = message
    if (!Array.isArray(content) || content.length === 0) return
    for (const [index, block] of content.entries()) {
      if (!Predicate.isObject(block)) continue
      this.opens(index, block)
      if (block["type"] === "thinking") this.signs(block["signature"])
      this.closes(index)
    }
    if (said(message["stop_reason"]) !== "") this.changes(message, undefined)
  }

  opens(index: unknown, block: Json): void {
    const { citations, data, id, input, name, text, thinking, type } = block
    if (type === "text") {
      this.before = this.length
      this.says("text", text)
      if (Array.isArray(citations)) this.sources = citations.flatMap((each: unknown) => this.sourceIn(each))
    } else if (type === "thinking") this.says("reasoning", thinking)
    else if (type === "redacted_thinking" && said(data) !== "") this.signs(sealedHidden(said(data)))
    else if (type === "tool_use" && said(name) === "") this.fails("The backend made a call without a name")
    else if (type === "tool_use") {
      const call = this.calls
      this.calls += 1
      this.open.set(index, { call, input: givenInput(input), argued: false })
      this.events.push({ type: "call", call, id: said(id) || undefined, name: said(name) })
    } else if (ofServer.test(said(type))) this.events.push({ type: "lost", what: said(type) })
    // A name of theirs may be any text, and is none to make a header of.
    else if (type !== "redacted_thinking") this.events.push({ type: "lost", what: "content" })
  }

  adds(index: unknown, delta: Json): void {
    const { citation, partial_json: piece, signature, text, thinking, type } = delta
    if (type === "text_delta") this.says("text", text)
    else if (type === "thinking_delta") this.says("reasoning", thinking)
    else if (type === "signature_delta") this.signs(signature)
    else if (type === "citations_delta") this.sources = [...this.sources, ...this.sourceIn(citation)]
    else if (type === "input_json_delta" && said(piece) !== "") {
      const call = this.open.get(index)
      // What a tool of the server's own is told is nobody's to run.
      if (call === undefined) return
      call.argued = true
      this.events.push({ type: "arguments", call: call.call, text: said(piece) })
    }
  }

  closes(index: unknown): void {
    const call = this.open.get(index)
    if (call !== undefined && !call.argued) {
      this.events.push({ type: "arguments", call: call.call, text: call.input })
    }
    this.open.delete(index)
    this.cites()
  }

  signs(signature: unknown): void {
    if (said(signature) !== "") this.events.push({ type: "signature", signature: said(signature) })
  }

  changes(delta: Json, usage: unknown): void {
    const { stop_reason: reason, stop_sequence: sequence } = delta
    if (typeof reason === "string") this.stop = stopOf(reason, sequence)
    this.why = said(within(delta, "stop_details")["explanation"]) || this.why
    this.tokens.says(usage)
  }

  fails(message: string, code?: string): void {
    this.over = true
    this.events.push({ type: "error", message, ...(code === undefined ? {} : { code }) })
  }

  ends(): void {
    this.over = true
    const { stop } = this
    const usage = this.tokens.all
    if (stop === undefined) return this.fails("The backend ended its answer without a reason")
    this.cites()
    if (stop.reason === "filter" && this.why !== "") this.events.push({ type: "refusal", text: this.why })
    this.events.push({ type: "stop", stop })
    if (usage !== undefined) this.events.push({ type: "usage", usage })
    this.events.push({ type: "done" })
  }

  // What is cited of a file has no address.
  private sourceIn(citation: unknown): ReadonlyArray<Source> {
    const source = sourceIn(citation)
    if (source === undefined) this.events.push({ type: "lost", what: "citations" })
    return source === undefined ? [] : [source]
  }

  // It may be told before its text, and where that ends is known by then.
  private cites(): void {
    const { before: start, length: end } = this
    for (const { cited, title, url } of this.sources)
      this.events.push({ type: "citation", url, title, start, end, ...(cited === "" ? {} : { cited }) })
    this.sources = []
  }

  private says(type: "reasoning" | "text", text: unknown): void {
    if (said(text) === "") return
    if (type === "text") this.length += said(text).length
    this.events.push({ type, text: said(text) })
  }
}

const readEvent = (reading: MessageReading, { data, name }: ReadEvent): void => {
  // The numbers of a piece stand in its text.
  const json = objectIn(data, name !== "content_block_delta")
  if (json === undefined) {
    if (name === "error") reading.fails(data)
    else if (isBrokenObject(data)) reading.fails(brokenEvent)
    return
  }
  switch (said(json["type"]) || name) {
    case "message_start":
      return reading.starts(within(json, "message"))
    case "content_block_start":
      return reading.opens(json["index"], within(json, "content_block"))
    case "content_block_delta":
      return reading.adds(json["index"], within(json, "delta"))
    case "content_block_stop":
      return reading.closes(json["index"])
    case "message_delta":
      return reading.changes(within(json, "delta"), json["usage"])
    case "message_stop":
      return reading.ends()
    case "error": {
      const { message, type } = within(json, "error")
      return reading.fails(said(message) || failed, said(type) || undefined)
    }
    default: {
      // A proxy in between has the words of another API.
      const { error } = json
      if (Predicate.isObject(error) || said(error) !== "") reading.fails(readErrorText(data).sentence ?? failed)
    }
  }
}

const stream: Transducer<Uint8Array, ChatEvent> = {
  start: () => {
    const reader = new EventReader()
    const reading = new MessageReading()
    const take = (events: ReadonlyArray<ReadEvent>): ReadonlyArray<ChatEvent> => {
      for (const event of events) if (!reading.over) readEvent(reading, event)
      return reading.take()
    }
    return {
      push: (piece) => take(reader.push(piece)),
      end: () => {
        const last = take(reader.end())
        if (reading.over) return last
        reading.fails("The backend ended the stream before it finished")
        return [...last, ...reading.take()]
      }
    }
  }
}

const whole = (body: Uint8Array): Result.Result<ReadonlyArray<ChatEvent>, string> => {
  const message = objectIn(decoder.decode(body))
  const content = message?.["content"]
  if (message === undefined || !Array.isArray(content)) return Result.fail("JSON without content")
  const reading = new MessageReading()
  reading.starts(message)
  reading.changes({ ...message, stop_reason: said(message["stop_reason"]) || "end_turn" }, undefined)
  reading.ends()
  return Result.succeed(reading.take())
}

/** How answers are read. */
export const messageReader: AnswerDecoder = { stream, whole }
