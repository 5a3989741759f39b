/**
 * Answers of OpenAI's chat completions as events of the hub, whole and streamed, in all the ways servers write them.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { readErrorText } from "../../domain/error-text.ts"
import type { AnswerDecoder, ChatEvent, ChatStop } from "../chat.ts"
import { EventReader, type ReadEvent } from "../event-reader.ts"
import { SeveralReading } from "../several-answers.ts"
import { type SaidText, TextTemplate } from "../text-template.ts"
import type { Transducer, TransducerStep } from "../Transducer.ts"
import { brokenEvent, countIn, isBrokenObject, listIn, parsedJson } from "../read-json.ts"
import { wholeToken } from "../token-logprobs.ts"
import { citationsIn, ToldSources } from "./answer-sources.ts"
import { chatUsageOf } from "./answer-usage.ts"
import { CallPieces, parsedAnswer, signatureOf } from "./call-pieces.ts"
import { finishKind, stopBy } from "./finish-reasons.ts"
import { isThinkingPart, thoughtsAmong } from "./thinking-parts.ts"
import { callSignatures, detailsOfBlocks, toldThoughts } from "./thought-details.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const nothing: ReadonlyArray<ChatEvent> = []

const decoder = new TextDecoder()

const said = (value: unknown): string => (typeof value === "string" ? value : "")

// Some servers give a list of parts where others give a text.
const textIn = (content: unknown): string =>
  Array.isArray(content)
    ? content.map((part) => (Predicate.isObject(part) && part["type"] === "text" ? said(part["text"]) : "")).join("")
    : said(content)

const textEvent = (text: string, likely: unknown): ChatEvent => {
  const content = Predicate.isObject(likely) ? likely["content"] : undefined
  return Array.isArray(content) && content.length > 0
    ? { type: "text", text, logprobs: content.map(wholeToken) }
    : { type: "text", text }
}

// Makers and those in between have several names for it.
const thoughtIn = (delta: Json): string =>
  said(delta["reasoning_content"]) ||
  said(delta["reasoning"]) ||
  said(delta["reasoning_text"]) ||
  said(delta["thinking"]) ||
  thoughtsAmong(delta["content"])

const dataUrl = /^data:(image\/[^;,]+)(?:;[^,]*)?;base64,/i

// As OpenRouter tells of them, beside the text or among its parts.
const imagesIn = ({ content, images }: Json): ReadonlyArray<ChatEvent> => {
  if (!Array.isArray(images) && !Array.isArray(content)) return nothing
  return [...listIn(images), ...listIn(content)].flatMap((part: unknown): ReadonlyArray<ChatEvent> => {
    const image = Predicate.isObject(part) ? part["image_url"] : undefined
    const url = said(Predicate.isObject(image) ? image["url"] : image)
    const [head, mediaType] = dataUrl.exec(url) ?? []
    if (head === undefined || mediaType === undefined) return url === "" ? [] : [{ type: "image", url }]
    return [{ type: "image", mediaType: mediaType.toLowerCase(), data: url.slice(head.length) }]
  })
}

// Parts of a content that there is no place for; a name of theirs may be any text, and is none to make a header of.
const oddPartsIn = ({ content }: Json): ReadonlyArray<ChatEvent> =>
  Array.isArray(content)
    ? content.flatMap((part: unknown): ReadonlyArray<ChatEvent> => {
        const type = Predicate.isObject(part) ? said(part["type"]) : ""
        return type === "" || type === "text" || type === "image_url" || isThinkingPart(part)
          ? nothing
          : [{ type: "lost", what: "content" }]
      })
    : nothing

const stoppedBy = (word: string, choice: Json): ChatStop => {
  const stop = stopBy(word)
  if (stop.reason !== "end") return stop
  // The string that was matched, where vLLM and SGLang tell it; a number is a token of the model's own.
  const matched = said(choice["stop_reason"]) || said(choice["matched_stop"])
  return matched === "" ? stop : { reason: "string", text: matched }
}

// OpenRouter tells why beside the choice that it has given up.
const wordsOf = ({ error }: Json): string | undefined =>
  Predicate.isObject(error) ? readErrorText(JSON.stringify({ error })).sentence : undefined

const areObjects = (choices: ReadonlyArray<unknown>): choices is ReadonlyArray<Json> =>
  choices.every(Predicate.isObject)

const choicesIn = ({ choices }: Json): ReadonlyArray<Json> => {
  const all = listIn(choices)
  return areObjects(all) ? all : all.filter(Predicate.isObject)
}

const noNames: ReadonlyArray<string> = []

class AnswerReading {
  private readonly names: ReadonlyArray<string>
  // Most answers have none.
  private calls: CallPieces | undefined
  private readonly sources: ToldSources
  private events: Array<ChatEvent> = []
  private stopped = false
  private cited: Set<string> | undefined

  // What is known of the calls that are told by now; what is said of the others waits for what they are signed with.
  private signatures: Map<unknown, string> | undefined
  private readonly late: boolean
  private waiting: Array<ChatEvent> | undefined

  /** `late` where what calls are signed with may come behind them; `names` are those of its tools. */
  constructor(sources = new ToldSources(), late = false, names: ReadonlyArray<string> = noNames) {
    this.sources = sources
    this.late = late
    this.names = names
  }

  /** How much has been read since it was last taken. */
  get untaken(): number {
    return this.events.length
  }

  /** What has been read since then, where that is a text and nothing else. */
  soleSince(untaken: number): SaidText | undefined {
    return this.events.length === untaken + 1 ? textAlone(this.events[untaken]) : undefined
  }

  /** Everything that has been read since it was last taken. */
  take(): ReadonlyArray<ChatEvent> {
    const { events } = this
    this.events = []
    return events
  }

  /** Takes what a chunk says. */
  reads(json: Json): void {
    for (const choice of choicesIn(json)) if (countIn(choice["index"]) === 0) this.chooses(choice)
    this.sourced(json)
    this.used(json)
  }

  /** Takes what the answer goes back to where that stands beside it. */
  sourced(json: Json): void {
    this.sources.reads(json)
  }

  /** Takes what a chunk says of this answer. */
  chooses(choice: Json): void {
    const { delta, logprobs, message, text } = choice
    if (Predicate.isObject(delta)) this.says(delta, logprobs)
    // There are servers that write a stream with the words of whole answers, or of completions.
    else if (Predicate.isObject(message)) this.says(message, logprobs)
    else if (said(text) !== "") this.says({ content: text }, logprobs)
    this.stops(choice)
  }

  /** Takes an answer that came whole. */
  chosen(choice: Json): void {
    if (Predicate.isObject(choice["message"])) this.says(choice["message"], choice["logprobs"])
    const word = said(choice["finish_reason"])
    this.stops({ ...choice, finish_reason: finishKind(word) === undefined ? "stop" : word })
  }

  /** Takes what is known without a look at its chunk. */
  knows(event: ChatEvent): void {
    this.calls?.settles()
    this.release()
    this.events.push(event)
  }

  /** Takes what a message, or a piece of one, says, and how likely its tokens were. */
  says(delta: Json, likely: unknown): void {
    const thought = thoughtIn(delta)
    const details = delta["reasoning_details"] ?? detailsOfBlocks(delta)
    if (thought !== "") this.calls?.settles()
    if (details !== undefined && details !== null) {
      for (const [id, signature] of callSignatures(details)) (this.signatures ??= new Map()).set(id, signature)
      this.events.push(...toldThoughts(details, thought))
    } else if (thought !== "") this.events.push({ type: "reasoning", text: thought })
    const text = textIn(delta["content"])
    if (text !== "") this.knows(textEvent(text, likely))
    for (const each of imagesIn(delta)) this.events.push(each)
    for (const each of oddPartsIn(delta)) this.events.push(each)
    for (const each of citationsIn(delta["annotations"])) {
      ;(this.cited ??= new Set()).add(each.url)
      this.events.push(each)
    }
    const refusal = said(delta["refusal"])
    if (refusal !== "") this.events.push({ type: "refusal", text: refusal })
    this.heard(delta["audio"], text)
    const signature = signatureOf(delta)
    if (signature !== "") {
      const what = delta["extra_content"] === undefined ? "provider_specific_fields" : "extra_content"
      this.events.push({ type: "lost", what, signature })
    }
    const { function_call: old, tool_calls: calls } = delta
    if (Array.isArray(calls)) this.pieces.readsAll(calls)
    if (Predicate.isObject(old)) this.pieces.reads({ index: 0, function: old })
  }

  // The words of what is spoken are the answer; nobody else has a place for the sound.
  private heard(audio: unknown, written: string): void {
    if (!Predicate.isObject(audio)) return
    const text = said(audio["transcript"])
    if (text !== "" && written === "") this.knows({ type: "text", text })
    if (said(audio["data"]) !== "") this.events.push({ type: "lost", what: "audio" })
  }

  /** Takes why the answer ended. */
  stops(choice: Json): void {
    const word = said(choice["finish_reason"])
    const finish = finishKind(word)
    if (finish === undefined || this.stopped) return
    if (finish === "bad")
      return this.fails(wordsOf(choice) ?? `The backend gave up its answer (finish_reason '${word}')`)
    this.stopped = true
    this.calls?.settles()
    this.release()
    for (const each of this.calls?.quoted() ?? []) this.events.push(each)
    this.events.push({ type: "stop", stop: stoppedBy(word, choice) })
  }

  used(json: Json): void {
    const usage = chatUsageOf(json)
    if (usage !== undefined) this.events.push({ type: "usage", usage })
  }

  fails(message: string): void {
    this.events.push({ type: "error", message })
  }

  ends(): void {
    if (this.calls?.isNameless === true) return this.fails("The backend made a call without a name")
    for (const each of this.sources.without(this.cited)) this.events.push(each)
    if (this.stopped) this.events.push({ type: "done" })
    else this.fails("The backend ended the stream before it finished")
  }

  private get pieces(): CallPieces {
    return (this.calls ??= new CallPieces((event) => this.called(event), this.names))
  }

  private called(event: ChatEvent): void {
    if (this.late) (this.waiting ??= []).push(event)
    else this.events.push(this.signed(event))
  }

  private signed(event: ChatEvent): ChatEvent {
    if (event.type !== "call") return event
    const signature = this.signatures?.get(event.id)
    return signature === undefined ? event : { ...event, signature }
  }

  private release(): void {
    if (this.waiting === undefined) return
    for (const event of this.waiting) this.events.push(this.signed(event))
    this.waiting = undefined
  }
}

/** Answers that come in one, as so many are asked for. */
class ChoicesReading extends SeveralReading<AnswerReading> {
  private readonly sources: ToldSources
  private readonly asked: number

  constructor(most: number, late: boolean, names: ReadonlyArray<string>) {
    const sources = new ToldSources()
    super(most, () => new AnswerReading(sources, late, names))
    this.sources = sources
    this.asked = most
  }

  reads(json: Json): void {
    for (const choice of choicesIn(json)) this.of(countIn(choice["index"]), (reading) => reading.chooses(choice))
    this.sources.reads(json)
    this.used(json)
  }

  /** Takes answers that came whole. */
  tellsAll(json: Json): void {
    for (const choice of choicesIn(json)) this.of(countIn(choice["index"]), (reading) => reading.chosen(choice))
    this.sources.reads(json)
    this.used(json)
  }

  private used(json: Json): void {
    const usage = chatUsageOf(json, this.asked)
    if (usage !== undefined) this.tells({ type: "usage", usage })
  }
}

const isReal = (value: unknown): boolean => value !== undefined && value !== null && value !== false && value !== ""

const errorIn = ({ data, name }: ReadEvent, json: unknown): string | undefined => {
  const flat = Predicate.isObject(json) && (json["object"] === "error" || json["type"] === "error")
  const told = name === "error" || flat || (Predicate.isObject(json) && isReal(json["error"]))
  return told ? (readErrorText(data).sentence ?? "The backend failed in the middle of its answer") : undefined
}

// An event that is a text and nothing more.
const textAlone = (event: ChatEvent | undefined): SaidText | undefined =>
  event?.type === "reasoning" || (event?.type === "text" && event.logprobs === undefined) ? event : undefined

// What a chunk says that says a text and nothing else.
const soleText = (data: string): SaidText | undefined => {
  const json = parsedJson(data)
  if (!Predicate.isObject(json) || errorIn({ name: "", data }, json) !== undefined) return undefined
  const reading = new AnswerReading()
  reading.reads(json)
  return reading.soleSince(0)
}

/** A stream of chunks as events. */
class ChunkReading implements TransducerStep<Uint8Array, ChatEvent> {
  private readonly reader = new EventReader()
  private readonly reading: AnswerReading | ChoicesReading
  private readonly template: TextTemplate | undefined
  private begun = false
  private ended = false

  constructor(reading: AnswerReading | ChoicesReading) {
    this.reading = reading
    this.template = reading instanceof AnswerReading ? new TextTemplate(soleText) : undefined
  }

  push(piece: Uint8Array): ReadonlyArray<ChatEvent> {
    return this.take(this.reader.push(piece))
  }

  end(): ReadonlyArray<ChatEvent> {
    const last = this.take(this.reader.end())
    if (this.ended) return last
    this.ended = true
    this.reading.ends()
    return [...last, ...this.reading.take()]
  }

  private take(events: ReadonlyArray<ReadEvent>): ReadonlyArray<ChatEvent> {
    if (events.length === 0) return nothing
    for (const each of events) this.event(each)
    const taken = this.reading.take()
    if (this.begun) return taken
    this.begun = true
    return [{ type: "start" }, ...taken]
  }

  private event(read: ReadEvent): void {
    const { reading, template } = this
    if (this.ended) return
    const known = read.name === "" ? template?.read(read.data) : undefined
    if (known !== undefined && reading instanceof AnswerReading) return reading.knows(known)
    if (read.data.trim() === "[DONE]") {
      this.ended = true
      return reading.ends()
    }
    const json = parsedAnswer(read.data)
    const error = errorIn(read, json)
    if (error !== undefined) return this.fails(error)
    if (json === undefined && isBrokenObject(read.data)) return this.fails(brokenEvent)
    if (!Predicate.isObject(json)) return
    if (template?.mayLearn !== true || !(reading instanceof AnswerReading)) return reading.reads(json)
    const { untaken } = reading
    reading.reads(json)
    template.learn(read.data, reading.soleSince(untaken))
  }

  private fails(why: string): void {
    this.ended = true
    this.reading.fails(why)
  }
}

const streamDecoder = (reads: () => AnswerReading | ChoicesReading): Transducer<Uint8Array, ChatEvent> => ({
  start: () => new ChunkReading(reads())
})

// A filter may leave no message at all, as Azure's does.
const isAnswer = ({ finish_reason: word, message }: Json): boolean =>
  Predicate.isObject(message) || stopBy(said(word)).reason === "filter"

/** A whole answer as events. */
const decodeChatAnswer = (body: Uint8Array): Result.Result<ReadonlyArray<ChatEvent>, string> => {
  const json = parsedAnswer(decoder.decode(body))
  const [choice] = Predicate.isObject(json) ? choicesIn(json) : []
  if (!Predicate.isObject(json) || choice === undefined || !isAnswer(choice)) {
    return Result.fail("JSON without a message")
  }
  const reading = new AnswerReading()
  reading.chosen(choice)
  reading.sourced(json)
  reading.used(json)
  reading.ends()
  return Result.succeed([{ type: "start" }, ...reading.take()])
}

const decodeSeveral =
  (most: number): AnswerDecoder["whole"] =>
  (body) => {
    const json = parsedAnswer(decoder.decode(body))
    const choices = Predicate.isObject(json) ? choicesIn(json) : []
    if (!Predicate.isObject(json) || !choices.some(isAnswer)) {
      return Result.fail("JSON without a message")
    }
    const reading = new ChoicesReading(most, false, [])
    reading.tellsAll(json)
    reading.ends()
    return Result.succeed([{ type: "start" }, ...reading.take()])
  }

/** How answers of chat completions are read, whatever was asked. */
export const chatAnswers: AnswerDecoder = { stream: streamDecoder(() => new AnswerReading()), whole: decodeChatAnswer }

/**
 * The same of a request for so many answers, with tools of these names; `late` where what calls are signed with may come
 * behind them.
 */
export const chatAnswersOf = (names: ReadonlyArray<string>, choices = 1, late = false): AnswerDecoder => {
  if (choices > 1) {
    return { stream: streamDecoder(() => new ChoicesReading(choices, late, names)), whole: decodeSeveral(choices) }
  }
  if (!late && names.length === 0) return chatAnswers
  return { ...chatAnswers, stream: streamDecoder(() => new AnswerReading(undefined, late, names)) }
}
