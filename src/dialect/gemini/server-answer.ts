/**
 * Answers of Google's generateContent as events of the hub, whole and streamed.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { readErrorText } from "../../domain/error-text.ts"
import type { AnswerDecoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { EventReader, type ReadEvent } from "../event-reader.ts"
import { exactMembers } from "../exact-json.ts"
import { SeveralReading } from "../several-answers.ts"
import type { Transducer } from "../Transducer.ts"
import { blockOf, candidatesOf, errorIn, finishOf, geminiTier, geminiUsage, wordsOfBlock } from "./gemini-read.ts"
import { likelyTokensIn } from "./gemini-logprobs.ts"
import { brokenEvent, countIn, isBrokenObject, objectsIn, parsedJson } from "../read-json.ts"

const decoder = new TextDecoder()

type Json = Readonly<Record<PropertyKey, unknown>>

const filtered =
  /^(?:(?:IMAGE_)?(?:SAFETY|RECITATION|PROHIBITED_CONTENT)|BLOCKLIST|SPII|MODEL_ARMOR|ESCALATION|PUP_LIMITED_DISABLED)$/

const text = (value: unknown): string => (typeof value === "string" ? value : "")

// What of a part has a place in an answer of the hub, or is told beside that alone.
const placed = new Set(
  "text thought thoughtSignature functionCall videoMetadata mediaResolution partMetadata".split(" ")
)
// What has none, by its name; whatever else comes has none either.
const odd = new Set("inlineData fileData executableCode codeExecutionResult toolCall toolResponse".split(" "))

/** Reads one candidate. */
class CandidateReading {
  private events: Array<ChatEvent> = []
  private calls = 0
  private stop: ChatStop | undefined
  private over = false
  // Something came that has no place in an answer of the hub.
  private odd = ""
  private said = false
  // Whether its text has as many bytes as letters.
  private plain = true
  private readonly cited = new Set<string>()
  private readonly called = new Set<string>()
  // How likely the tokens of this piece were, until its text has come.
  private likely: ReadonlyArray<unknown> | undefined

  take(): ReadonlyArray<ChatEvent> {
    return this.events.splice(0)
  }

  /** The prompt was refused; some say why. */
  blocks(why: string): void {
    this.refuses(why)
  }

  ends(): void {
    if (this.over) return
    this.over = true
    if (this.stop === undefined) return this.fail("The backend ended the stream before it finished")
    if (!this.said && this.odd !== "") return this.fail(`The backend answered with ${this.odd} alone`)
    const { reason } = this.stop
    // There is one word for both.
    this.events.push({ type: "stop", stop: reason === "end" && this.calls > 0 ? { reason: "calls" } : this.stop })
    this.events.push({ type: "done" })
  }

  private fail(message: string): void {
    this.over = true
    this.events.push({ type: "error", message })
  }

  private refuses(why: string): void {
    this.stop = { reason: "filter" }
    if (why !== "") this.events.push({ type: "refusal", text: why })
  }

  /** Takes a piece of it. */
  reads(candidate: Json): void {
    if (this.over) return
    const { content } = candidate
    const parts = Predicate.isObject(content) ? content["parts"] : undefined
    this.likely = likelyTokensIn(candidate["logprobsResult"])
    for (const part of Array.isArray(parts) ? parts : []) if (Predicate.isObject(part)) this.part(part)
    if (this.likely !== undefined) this.text("")
    this.cites(candidate["citationMetadata"])
    this.grounds(candidate["groundingMetadata"])
    if (Predicate.isObject(candidate["urlContextMetadata"])) this.loses("urlContextMetadata")
    const finish = finishOf(candidate)
    if (finish === "" || this.over) return
    if (finish === "STOP") this.stop ??= { reason: "end" }
    else if (finish === "MAX_TOKENS") this.stop = { reason: "length" }
    else if (filtered.test(finish)) this.refuses(text(candidate["finishMessage"]))
    else {
      const why = text(candidate["finishMessage"])
      this.fail(`The backend gave up its answer (finishReason '${finish}')${why === "" ? "" : `: ${why}`}`)
    }
  }

  // Each piece may tell again what the ones before it have told.
  private cites(told: unknown): void {
    if (!Predicate.isObject(told)) return
    const sources = told["citationSources"] ?? told["citations"]
    for (const source of Array.isArray(sources) ? sources : []) {
      const { title, uri } = Predicate.isObject(source) ? source : {}
      if (text(uri) === "" || this.cited.has(text(uri))) continue
      this.cited.add(text(uri))
      // Where it is cited is counted in bytes.
      this.events.push({ type: "citation", url: text(uri), title: text(title) })
    }
  }

  // What was found on the web, and what of the text goes back to it; places are counted in bytes.
  private grounds(told: unknown): void {
    if (!Predicate.isObject(told)) return
    const sources = objectsIn(told["groundingChunks"]).map(({ maps, retrievedContext, web }) => {
      const source = web ?? retrievedContext ?? maps
      return Predicate.isObject(source) ? source : {}
    })
    const grounded = new Set<Json>()
    for (const { groundingChunkIndices: of, segment } of objectsIn(told["groundingSupports"])) {
      const { endIndex: end, startIndex: start = 0, text: cited } = Predicate.isObject(segment) ? segment : {}
      const isPlaced = this.plain && typeof start === "number" && typeof end === "number"
      for (const at of Array.isArray(of) ? of : []) {
        const source = typeof at === "number" ? sources[at] : undefined
        if (source === undefined) continue
        grounded.add(source)
        this.ground(source, {
          ...(isPlaced ? { start, end } : {}),
          ...(text(cited) === "" ? {} : { cited: text(cited) })
        })
      }
    }
    for (const source of sources) if (!grounded.has(source)) this.ground(source, {})
  }

  private ground({ title, uri }: Json, more: { start?: number; end?: number; cited?: string }): void {
    const key = `${text(uri)} ${more.start} ${more.end} ${more.cited}`
    if (text(uri) === "" || this.cited.has(key)) return
    this.cited.add(key)
    this.events.push({ type: "citation", url: text(uri), title: text(title), ...more })
  }

  private part(part: Json): void {
    const { fileData, functionCall, inlineData, thought } = part
    if (Predicate.isObject(functionCall)) return this.call(functionCall, text(part["thoughtSignature"]))
    const words = text(part["text"])
    if (words !== "") {
      this.said ||= thought !== true
      if (thought === true) this.events.push({ type: "reasoning", text: words })
      else this.text(words)
    }
    const { fileUri: url, mimeType: kind } = Predicate.isObject(fileData) ? fileData : {}
    if (text(kind).startsWith("image/") && text(url) !== "" && thought !== true) {
      this.said = true
      this.events.push({ type: "image", url: text(url) })
      return
    }
    // What signs thoughts that are not told signs nothing elsewhere; a text, which may be an empty one, is taken without it.
    const signature = text(part["thoughtSignature"])
    if (thought !== true && signature !== "") {
      const signs = typeof part["text"] === "string" ? { signature } : {}
      this.events.push({ type: "lost", what: "thoughtSignature", ...signs })
    }
    const { data, mimeType: mediaType } = Predicate.isObject(inlineData) ? inlineData : {}
    if (text(mediaType).startsWith("image/") && text(data) !== "") {
      // What it draws while it thinks is no answer.
      if (thought === true) return
      this.said = true
      this.events.push({ type: "image", mediaType: text(mediaType), data: text(data) })
      return
    }
    if (thought === true) return
    for (const name in part) {
      if (placed.has(name)) continue
      // A name of theirs may be any text, and is none to make a header of.
      this.odd = odd.has(name) ? name : "parts"
      this.loses(this.odd)
    }
  }

  private loses(what: string): void {
    this.events.push({ type: "lost", what })
  }

  private text(words: string): void {
    const { likely: logprobs } = this
    this.likely = undefined
    this.plain &&= Buffer.byteLength(words) === words.length
    this.events.push({ type: "text", text: words, ...(logprobs === undefined ? {} : { logprobs }) })
  }

  private call({ args, id, name }: Json, signature: string): void {
    if (text(name) === "") return this.fail("The backend made a call without a name")
    const told = JSON.stringify(args ?? {})
    // A stream may tell a call again, without what it is signed with.
    const key = text(id) === "" ? "" : `${text(id)} ${text(name)} ${told}`
    if (key !== "" && this.called.has(key)) return
    this.called.add(key)
    const call = this.calls
    this.calls += 1
    this.said = true
    this.events.push(
      {
        type: "call",
        call,
        id: text(id) || undefined,
        name: text(name),
        ...(signature === "" ? {} : { signature })
      },
      { type: "arguments", call, text: told }
    )
  }
}

class Reading extends SeveralReading<CandidateReading> {
  private usage: ChatUsage | undefined

  constructor(most: number) {
    super(most, () => new CandidateReading())
  }

  /** Takes an answer, or a piece of one. */
  answer(json: unknown, source: string, name = ""): void {
    if (json === undefined && isBrokenObject(source)) return this.fails(brokenEvent)
    if (name === "error" || errorIn(json) !== undefined) {
      return this.fails(readErrorText(source).sentence ?? "The backend failed in the middle of its answer")
    }
    const candidates = candidatesOf(json)
    for (const candidate of candidates) this.of(countIn(candidate["index"]), (reading) => reading.reads(candidate))
    if (candidates.length === 0 && blockOf(json) !== "") this.of(0, (reading) => reading.blocks(wordsOfBlock(json)))
    const usage = geminiUsage(json)
    if (usage === undefined) return
    const { cached, completion, prompt, reasoning } = usage
    const tier = geminiTier(json)
    const told = { prompt, cachedRead: cached, cachedWrite: 0, completion, reasoning }
    this.usage = tier === undefined ? told : { ...told, tier }
  }

  override ends(): void {
    super.ends(this.usage)
  }
}

// Only the arguments of a call are written again as JSON.
const exactly = (source: string): unknown => {
  const plain = parsedJson(source)
  return plain !== undefined && source.includes('"functionCall"') ? exactMembers(source, plain, "args") : plain
}

const streamDecoder = (candidates: number): Transducer<Uint8Array, ChatEvent> => ({
  start: () => {
    const reader = new EventReader()
    const reading = new Reading(candidates)
    let begun = false
    const take = (events: ReadonlyArray<ReadEvent>): ReadonlyArray<ChatEvent> => {
      const all: Array<ChatEvent> = []
      for (const { data, name } of events) {
        reading.answer(exactly(data), data, name)
        const made = reading.take()
        if (!begun && made.every(({ type }) => type === "lost")) all.push({ type: "start" })
        begun = true
        for (const event of made) all.push(event)
      }
      return all
    }
    return {
      push: (piece) => take(reader.push(piece)),
      end: () => {
        const last = take(reader.end())
        reading.ends()
        return [...last, ...reading.take()]
      }
    }
  }
})

/** How answers to a request for so many candidates are read. */
export const geminiAnswerReader = (candidates = 1): AnswerDecoder => ({
  stream: streamDecoder(candidates),
  whole: (body) => {
    const source = decoder.decode(body)
    const reading = new Reading(candidates)
    reading.answer(exactly(source), source)
    reading.ends()
    const events = reading.take()
    for (const event of events) if (event.type === "error") return Result.fail(event.message)
    return Result.succeed([{ type: "start" }, ...events])
  }
})
