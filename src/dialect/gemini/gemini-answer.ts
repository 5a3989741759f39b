/**
 * The events of an answer as Google's generateContent tells them, whole and streamed: texts as they come, calls whole and in
 * the last piece, with why the answer ended and what it took.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { exactJson } from "../exact-json.ts"
import { GrowingText } from "../growing-text.ts"
import { CallIds } from "../fitted-chat.ts"
import type { Transducer } from "../Transducer.ts"
import { sealedForGoogle } from "./gemini-seals.ts"
import { geminiError } from "./gemini-error.ts"

const encoder = new TextEncoder()

/** A part of an answer. */
interface AnswerPart {
  readonly text?: string
  readonly thought?: true
  readonly thoughtSignature?: string
  readonly functionCall?: {
    readonly id: string
    readonly name: string
    readonly args: Readonly<Record<string, unknown>>
  }
}

/** Why an answer ended. */
type FinishReason = "STOP" | "MAX_TOKENS" | "SAFETY"

/** What an answer took. */
interface AnswerUsage {
  readonly promptTokenCount: number
  readonly candidatesTokenCount: number
  readonly totalTokenCount: number
  readonly cachedContentTokenCount?: number
  readonly thoughtsTokenCount?: number
}

/** What an answer goes back to. */
interface CitationSource {
  readonly uri: string
  readonly title?: string
}

/** An answer, or a piece of one. */
export interface GeminiAnswer {
  readonly candidates: ReadonlyArray<{
    readonly content: { readonly role: "model"; readonly parts: ReadonlyArray<AnswerPart> }
    readonly index: number
    readonly finishReason?: FinishReason
    readonly citationMetadata?: { readonly citationSources: ReadonlyArray<CitationSource> }
  }>
  readonly modelVersion: string
  readonly responseId: string
  readonly usageMetadata?: AnswerUsage
}

const usageOf = ({ cachedRead, completion, prompt, reasoning }: ChatUsage): AnswerUsage => ({
  promptTokenCount: prompt,
  candidatesTokenCount: Math.max(0, completion - reasoning),
  totalTokenCount: prompt + completion,
  ...(cachedRead === 0 ? {} : { cachedContentTokenCount: cachedRead }),
  ...(reasoning === 0 ? {} : { thoughtsTokenCount: reasoning })
})

const reasonOf = (stop: ChatStop | undefined, refused: boolean): FinishReason => {
  if (stop?.reason === "length") return "MAX_TOKENS"
  return stop?.reason === "filter" || refused ? "SAFETY" : "STOP"
}

/** A part that has not been sent. */
interface Held {
  readonly kind: "text" | "thought" | "call"
  readonly call: number
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly said: GrowingText
}

const argsOf = (text: string): Readonly<Record<string, unknown>> | undefined => {
  if (text.trim() === "") return {}
  try {
    const args = exactJson(text, JSON.parse(text))
    return args === null ? {} : Predicate.isObject(args) ? args : undefined
  } catch {
    return undefined
  }
}

class Writing {
  private readonly context: AnswerContext
  private readonly thoughts: boolean
  // Whether texts are sent as they come.
  private readonly streaming: boolean
  private readonly held: Array<Held> = []
  private readonly ids: CallIds
  private readonly sources: Array<CitationSource> = []
  private called = false
  private refused = false
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined
  /** What may be sent. */
  readonly ready: Array<GeminiAnswer> = []
  /** Why there is no answer, once that is known. */
  failure: string | undefined
  over = false

  constructor(context: AnswerContext, thoughts: boolean, streaming: boolean) {
    this.context = context
    this.ids = new CallIds(context, { fits: /./, prefix: "call_" })
    this.thoughts = thoughts
    this.streaming = streaming
  }

  event(event: ChatEvent): void {
    if (this.over) return
    switch (event.type) {
      case "text":
        return this.say({ text: event.text })
      case "refusal":
        this.refused = true
        return this.say({ text: event.text })
      case "citation":
        // Where it does is counted in bytes here, and in letters there.
        this.sources.push({ uri: event.url, ...(event.title === "" ? {} : { title: event.title }) })
        return undefined
      case "reasoning":
        return this.say({ text: event.text, thought: true })
      case "signature":
        return this.say({ text: "", thought: true, thoughtSignature: sealedForGoogle(event.signature) })
      case "call":
        this.called = true
        this.held.push({
          kind: "call",
          call: event.call,
          id: this.ids.of(event.id),
          name: event.name,
          signature: event.signature,
          said: new GrowingText()
        })
        return undefined
      case "arguments": {
        const call = this.held.find((each) => each.call === event.call)
        if (call !== undefined) call.said.add(event.text)
        return undefined
      }
      case "stop":
        this.stop = event.stop
        return undefined
      case "usage":
        this.usage = event.usage
        return undefined
      case "error":
        return this.fail(event.message)
      case "done":
        return this.finish()
      case "start":
        return undefined
    }
  }

  private say(part: AnswerPart & { readonly text: string }): void {
    const { text, thought, thoughtSignature: signature } = part
    if (thought === true && !this.thoughts) return
    // What is said behind a call stays behind it.
    if (this.streaming && !this.called) {
      this.ready.push(this.answer([part]))
      return
    }
    const kind = thought === true ? "thought" : "text"
    const last = this.held.at(-1)
    if (last?.kind === kind && last.signature === undefined && signature === undefined) last.said.add(text)
    else this.held.push({ kind, call: -1, id: "", name: "", signature, said: new GrowingText(text) })
  }

  private partOf({ id, kind, name, said, signature }: Held): AnswerPart | undefined {
    const { text } = said
    const signed = signature === undefined ? {} : { thoughtSignature: signature }
    if (kind === "text") return { text, ...signed }
    if (kind === "thought") return { text, thought: true, ...signed }
    const args = argsOf(text)
    return args === undefined ? undefined : { functionCall: { id, name, args }, ...signed }
  }

  private finish(): void {
    this.over = true
    const parts: Array<AnswerPart> = []
    for (const each of this.held) {
      const part = this.partOf(each)
      if (part !== undefined) parts.push(part)
      // A call that the limit has cut is none, and nobody is to make it.
      else if (this.stop?.reason !== "length") {
        return this.fail(`The backend called '${each.name}' with arguments that are no JSON object`)
      }
    }
    const finishReason = reasonOf(this.stop, this.refused)
    this.ready.push(this.answer(parts.length === 0 ? [{ text: "" }] : parts, finishReason))
  }

  private fail(message: string): void {
    this.over = true
    this.failure = message
  }

  private answer(parts: ReadonlyArray<AnswerPart>, finishReason?: FinishReason): GeminiAnswer {
    const { id, model } = this.context
    const cited = this.sources.length === 0 ? {} : { citationMetadata: { citationSources: this.sources } }
    const ends = finishReason === undefined ? {} : { finishReason, ...cited }
    const used = finishReason === undefined || this.usage === undefined ? {} : { usageMetadata: usageOf(this.usage) }
    return {
      candidates: [{ content: { role: "model", parts }, index: 0, ...ends }],
      modelVersion: model,
      responseId: id,
      ...used
    }
  }
}

// Clients lose an event that anything else stands beside, such as its name.
const eventOf = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

/** The status of an answer that broke. */
const brokenStatus = 502

const streamEncoder =
  (thoughts: boolean) =>
  (context: AnswerContext): Transducer<ChatEvent, Uint8Array> => ({
    start: () => {
      const writing = new Writing(context, thoughts, true)
      return {
        push: (event) => {
          if (writing.over) return []
          writing.event(event)
          let text = ""
          for (const answer of writing.ready.splice(0)) text += eventOf(answer)
          if (writing.failure !== undefined) text += eventOf(geminiError(brokenStatus, writing.failure))
          return text === "" ? [] : [encoder.encode(text)]
        },
        end: () => []
      }
    }
  })

/** Answers to a request; `thoughts` unless its client wants to see none. */
export const geminiAnswers = ({ thoughts }: { readonly thoughts: boolean }): AnswerEncoder => ({
  stream: streamEncoder(thoughts),
  whole: (events, context) => {
    const writing = new Writing(context, thoughts, false)
    for (const event of events) writing.event(event)
    const [answer] = writing.ready
    if (answer !== undefined && writing.failure === undefined) {
      return Result.succeed(encoder.encode(JSON.stringify(answer)))
    }
    return Result.fail(writing.failure ?? "nothing that ended")
  }
})
