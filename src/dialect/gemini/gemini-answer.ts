/**
 * The events of an answer as Google's generateContent tells them, whole and streamed: texts as they come, calls whole and in
 * the last piece, with why the answer ended and what it took.
 */
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage, MadeImage } from "../chat.ts"
import { inOneLine } from "../event-by-event-watch.ts"
import { GrowingText } from "../growing-text.ts"
import { type CallIdForm, CallIds } from "../fitted-chat.ts"
import { SeveralWriting } from "../several-answers.ts"
import type { Transducer } from "../Transducer.ts"
import { sealedForGoogle } from "./gemini-seals.ts"
import { geminiError } from "./gemini-error.ts"
import { likelyTokens, type LogprobsResult, meanOf } from "./gemini-logprobs.ts"
import { callArguments } from "../exact-json.ts"
import { Untold } from "../untold.ts"
import { tierForGoogle } from "./gemini-tiers.ts"

const encoder = new TextEncoder()

/** A part of an answer. */
interface AnswerPart {
  readonly text?: string
  readonly thought?: true
  readonly thoughtSignature?: string
  readonly inlineData?: { readonly mimeType: string; readonly data: string }
  readonly fileData?: { readonly fileUri: string }
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
  readonly serviceTier?: string
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
    readonly logprobsResult?: LogprobsResult
    readonly avgLogprobs?: number
  }>
  readonly modelVersion: string
  readonly responseId: string
  readonly usageMetadata?: AnswerUsage
}

const tierOf = (tier: string | undefined): Pick<AnswerUsage, "serviceTier"> => {
  const serviceTier = tierForGoogle(tier)
  return serviceTier === undefined ? {} : { serviceTier }
}

const usageOf = ({ cachedRead, completion, prompt, reasoning, tier }: ChatUsage): AnswerUsage => ({
  promptTokenCount: prompt,
  candidatesTokenCount: Math.max(0, completion - reasoning),
  totalTokenCount: prompt + completion,
  ...(cachedRead === 0 ? {} : { cachedContentTokenCount: cachedRead }),
  ...(reasoning === 0 ? {} : { thoughtsTokenCount: reasoning }),
  ...tierOf(tier)
})

const reasonOf = (stop: ChatStop | undefined, refused: boolean): FinishReason => {
  if (stop?.reason === "length") return "MAX_TOKENS"
  return stop?.reason === "filter" || refused ? "SAFETY" : "STOP"
}

/** A part that has not been sent. */
interface Held {
  readonly kind: "text" | "thought" | "call" | "image"
  readonly image?: AnswerPart
  readonly call: number
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly said: GrowingText
}

const imagePart = (image: MadeImage): AnswerPart =>
  "url" in image
    ? { fileData: { fileUri: image.url } }
    : { inlineData: { mimeType: image.mediaType, data: image.data } }

/** The status of an answer that broke. */
const brokenStatus = 502

type GeminiError = ReturnType<typeof geminiError>

/** What is written: one of the answers to a request. */
interface Written {
  readonly context: AnswerContext
  readonly ids: CallIds
  readonly index: number
  /** Whether texts are sent as they come. */
  readonly streaming: boolean
  readonly thoughts: boolean
  readonly untold: Untold
}

class Writing {
  private readonly context: AnswerContext
  private readonly thoughts: boolean
  private readonly streaming: boolean
  private readonly index: number
  private readonly held: Array<Held> = []
  private readonly ids: CallIds
  private readonly sources: Array<CitationSource> = []
  /** How likely the tokens were, and from where on that has not been told. */
  private readonly likely: Array<unknown> = []
  private likelyTold = 0
  private readonly untold: Untold
  private called = false
  private refused = false
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined
  /** What may be sent. */
  private ready: Array<GeminiAnswer | GeminiError> = []
  /** Whether it has come to its end. */
  over = false

  constructor({ context, ids, index, streaming, thoughts, untold }: Written) {
    this.untold = untold
    this.context = context
    this.ids = ids
    this.index = index
    this.thoughts = thoughts
    this.streaming = streaming
  }

  take(): ReadonlyArray<GeminiAnswer | GeminiError> {
    const { ready } = this
    this.ready = []
    return ready
  }

  event(event: ChatEvent): void {
    if (this.over) return
    switch (event.type) {
      case "text":
        if (event.logprobs !== undefined) for (const each of event.logprobs) this.likely.push(each)
        return this.say({ text: event.text })
      case "refusal":
        this.refused = true
        return this.say({ text: event.text })
      case "image":
        return this.show(imagePart(event))
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
      case "lost":
        this.untold.add(event.what)
        return undefined
      case "stop":
        this.stop = event.stop
        return undefined
      case "usage":
        this.usage = event.usage
        return undefined
      case "error":
        return this.fail(event.message)
      case "done":
        this.finish()
        return undefined
      case "start":
      case "choice":
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

  private show(image: AnswerPart): void {
    if (this.streaming && !this.called) this.ready.push(this.answer([image]))
    else
      this.held.push({
        kind: "image",
        image,
        call: -1,
        id: "",
        name: "",
        signature: undefined,
        said: new GrowingText()
      })
  }

  private partOf({ id, image, kind, name, said, signature }: Held): AnswerPart | undefined {
    const { text } = said
    const signed = signature === undefined ? {} : { thoughtSignature: signature }
    if (kind === "image") return image
    if (kind === "text") return { text, ...signed }
    if (kind === "thought") return { text, thought: true, ...signed }
    const args = callArguments(text)
    return args === undefined ? undefined : { functionCall: { id, name, args }, ...signed }
  }

  finish(): boolean {
    this.over = true
    const parts: Array<AnswerPart> = []
    for (const each of this.held) {
      const part = this.partOf(each)
      if (part !== undefined) parts.push(part)
      // A call that the limit has cut is none, and nobody is to make it.
      else if (this.stop?.reason !== "length") {
        this.fail(`The backend called '${each.name}' with arguments that are no JSON object`)
        return false
      }
    }
    const finishReason = reasonOf(this.stop, this.refused)
    this.ready.push(this.answer(parts.length === 0 ? [{ text: "" }] : parts, finishReason))
    return true
  }

  // Nothing stands beside its candidates.
  end(): void {}

  /** Tells what was said behind a call, where all ends before that is whole: it is none then. */
  tellWhatWaits(): void {
    if (!this.streaming) return
    const said = this.held.filter(({ kind }) => kind !== "call").flatMap((each) => this.partOf(each) ?? [])
    this.held.length = 0
    if (said.length > 0) this.ready.push(this.answer(said))
  }

  private fail(message: string): void {
    this.tellWhatWaits()
    this.over = true
    this.ready.push(geminiError(brokenStatus, message))
  }

  private get mean() {
    return this.likely.length === 0 ? {} : { avgLogprobs: meanOf(likelyTokens(this.likely)) }
  }

  private get newlyLikely() {
    if (this.likely.length === this.likelyTold) return {}
    const logprobsResult = likelyTokens(this.likely.slice(this.likelyTold))
    this.likelyTold = this.likely.length
    return { logprobsResult }
  }

  private answer(parts: ReadonlyArray<AnswerPart>, finishReason?: FinishReason): GeminiAnswer {
    const { id, model } = this.context
    const cited = this.sources.length === 0 ? {} : { citationMetadata: { citationSources: this.sources } }
    const ends = finishReason === undefined ? {} : { finishReason, ...cited, ...this.mean }
    const used = finishReason === undefined || this.usage === undefined ? {} : { usageMetadata: usageOf(this.usage) }
    return {
      candidates: [{ content: { role: "model", parts }, index: this.index, ...ends, ...this.newlyLikely }],
      modelVersion: model,
      responseId: id,
      ...used,
      ...(finishReason === undefined || !this.streaming ? {} : this.untold.field())
    }
  }
}

// Clients lose an event that anything else stands beside, such as its name.
const eventOf = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

/** What its client wants of an answer. */
interface AnswerWishes {
  readonly thoughts: boolean
  /** Whether it has asked for more candidates than one. */
  readonly several: boolean
}

const idForm: CallIdForm = { fits: /./, prefix: "call_" }

const writingOf = (context: AnswerContext, { several, thoughts }: AnswerWishes, streaming: boolean) => {
  const ids = new CallIds(context, idForm)
  const untold = new Untold()
  const begin = (index: number) => new Writing({ context, ids, index, streaming, thoughts, untold })
  return several ? new SeveralWriting(begin) : begin(0)
}

const streamEncoder =
  (wishes: AnswerWishes) =>
  (context: AnswerContext): Transducer<ChatEvent, Uint8Array> => ({
    start: () => {
      const writing = writingOf(context, wishes, true)
      const take = (): string => writing.take().map(eventOf).join("")
      return {
        push: (event) => {
          writing.event(event)
          const text = take()
          return text === "" ? [] : [encoder.encode(text)]
        },
        end: () => [],
        broken: (error) => {
          writing.tellWhatWaits()
          return encoder.encode(`${take()}data: ${inOneLine(error)}\n\n`)
        }
      }
    }
  })

/** How answers are told to a client that has these wishes. */
export const geminiAnswers = (wishes: AnswerWishes): AnswerEncoder => ({
  stream: streamEncoder(wishes),
  whole: (events, context) => {
    const writing = writingOf(context, wishes, false)
    for (const event of events) writing.event(event)
    const all = writing.take()
    for (const each of all) if ("error" in each) return Result.fail(each.error.message)
    const answers = all.flatMap((each) => ("error" in each ? [] : [each]))
    // The last one has what they took.
    const last = answers.at(-1)
    if (last === undefined) return Result.fail("nothing that ended")
    const candidates = answers.flatMap((each) => each.candidates).toSorted((a, b) => a.index - b.index)
    return Result.succeed(encoder.encode(JSON.stringify({ ...last, candidates })))
  }
})
