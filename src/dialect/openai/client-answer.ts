/**
 * The events of an answer as chunks of chat completions, and as a whole one.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage, MadeImage } from "../chat.ts"
import { type CallIdForm, CallIds } from "../fitted-chat.ts"
import { eventsByChoice, SeveralWriting } from "../several-answers.ts"
import { lineJson } from "../line-json.ts"
import type { Transducer, TransducerStep } from "../Transducer.ts"
import { Untold } from "../untold.ts"
import { thoughtDetail } from "./thought-details.ts"

const encoder = new TextEncoder()

/** What a client wants of its answer. */
export interface AnswerWishes {
  /** Whether the tokens that it took are to be told at the end of a stream. */
  readonly usage: boolean
  /** Whether what was thought is to be told. */
  readonly thoughts: boolean
  /** Whether it takes thoughts with what they are signed with, as OpenRouter tells of them. */
  readonly signatures: boolean
  /** Names of the tools whose input is any text. */
  readonly free: ReadonlySet<string>
  /** Whether it knows functions as they were before there were tools. */
  readonly older: boolean
  /** Whether it has asked for more answers than one. */
  readonly several: boolean
}

type Fields = Record<string, unknown>

// The longest that OpenAI takes back.
const idForm: CallIdForm = { fits: /^.{1,40}$/s, prefix: "call_" }

/** A call of the answer; its arguments are kept where they are needed whole. */
interface MadeCall {
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  args: string
}

const inputOf = (args: string): string => {
  try {
    const json: unknown = JSON.parse(args)
    const input = Predicate.isObject(json) ? json["input"] : undefined
    return typeof input === "string" ? input : args
  } catch {
    return args
  }
}

const signedBy = (signature: string | undefined): Fields =>
  signature === undefined ? {} : { extra_content: { google: { thought_signature: signature } } }

const reasons = {
  end: "stop",
  string: "stop",
  length: "length",
  filter: "content_filter",
  calls: "tool_calls"
} as const

const reasonOf = (stop: ChatStop | undefined, called: boolean, { older }: AnswerWishes): string => {
  const reason = stop?.reason ?? "end"
  if (reason !== "calls" && reason !== "end") return reasons[reason]
  // Some servers end with a plain stop though calls were made, and some the other way round.
  if (!called) return reasons.end
  return older ? "function_call" : reasons.calls
}

const usageOf = ({ cachedRead, cachedWrite, completion, prompt, reasoning }: ChatUsage): Fields => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  ...(cachedRead === 0 && cachedWrite === 0
    ? {}
    : {
        prompt_tokens_details: {
          cached_tokens: cachedRead,
          ...(cachedWrite === 0 ? {} : { cache_write_tokens: cachedWrite })
        }
      }),
  ...(reasoning === 0 ? {} : { completion_tokens_details: { reasoning_tokens: reasoning } })
})

const tierOf = (usage: ChatUsage | undefined): Fields => (usage?.tier === undefined ? {} : { service_tier: usage.tier })

/** What a text goes back to; all of it, where nothing more is known. */
const citationOf = (
  { cited, end, start = 0, title, url }: ChatEvent & { readonly type: "citation" },
  length: number
): Fields => ({
  type: "url_citation",
  url_citation: {
    url,
    title,
    start_index: start,
    end_index: end ?? length,
    ...(cited === undefined ? {} : { content: cited })
  }
})

// OpenAI has no place for it; OpenRouter and clients of its kind have this one.
const imageOf = (image: MadeImage, index: number): Fields => ({
  type: "image_url",
  image_url: { url: "url" in image ? image.url : `data:${image.mediaType};base64,${image.data}` },
  index
})

const answerHead = ({ id, model, now }: AnswerContext, object: string): Fields => ({
  id: `chatcmpl-${id}`,
  object,
  created: Math.floor(now / 1000),
  model
})

/** What is told in place of more than the one call that a client of the older form can be given. */
const oneCall = "The backend called several functions, where its client takes one"

/** What several answers of one stream have in common. */
interface Shared {
  readonly ids: CallIds
  readonly untold: Untold
}

class ChunkWriting {
  private readonly wishes: AnswerWishes
  private readonly ids: CallIds
  // All that the chunks of an answer have in common, up to the delta.
  private readonly head: string
  private readonly frame: Fields
  private readonly calls = new Map<number, MadeCall>()
  private text = ""
  private readonly untold: Untold
  private signature: string | undefined
  private thought = 0
  private images = 0
  private length = 0
  private begun = false
  /** Whether it has come to its end. */
  over = false
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined

  constructor(context: AnswerContext, wishes: AnswerWishes, { ids, untold }: Shared, index: number) {
    this.untold = untold
    this.wishes = wishes
    this.ids = ids
    this.frame = answerHead(context, "chat.completion.chunk")
    this.head = `data: ${JSON.stringify(this.frame).slice(0, -1)},"choices":[{"index":${index},"delta":`
  }

  take(): ReadonlyArray<Uint8Array> {
    if (this.text === "") return []
    const bytes = encoder.encode(this.text)
    this.text = ""
    return [bytes]
  }

  event(event: ChatEvent): void {
    if (this.over) return
    switch (event.type) {
      case "start":
        if (!this.begun) this.write({ content: "" })
        return
      case "text":
        this.length += event.text.length
        return this.write({ content: event.text }, event.logprobs)
      case "image":
        this.images += 1
        return this.write({ images: [imageOf(event, this.images - 1)] })
      case "citation":
        return this.write({ annotations: [citationOf(event, this.length)] })
      case "refusal":
        return this.write({ refusal: event.text })
      case "reasoning":
        return this.think({ reasoning_content: event.text }, { text: event.text })
      case "signature":
        if (this.wishes.signatures) this.think({}, { signature: event.signature })
        this.thought += 1
        return
      case "call":
        return this.call(event.call, event)
      case "arguments":
        return this.argue(event.call, event.text)
      case "lost":
        if (event.signature === undefined) return this.untold.add(event.what)
        this.signature = event.signature
        return
      case "stop":
        this.stop = event.stop
        return
      case "usage":
        this.usage = event.usage
        return
      case "error":
        return this.fail(event.message, event.code)
      case "done":
        this.finish()
        return this.end()
      case "choice":
        return
    }
  }

  private think(delta: Fields, detail: { readonly text?: string; readonly signature?: string }): void {
    const { signatures, thoughts } = this.wishes
    if (thoughts)
      this.write({ ...delta, ...(signatures ? { reasoning_details: [thoughtDetail(this.thought, detail)] } : {}) })
  }

  private call(call: number, { id, name, signature }: ChatEvent & { readonly type: "call" }): void {
    const made: MadeCall = { id: this.ids.of(id), name, signature, args: "" }
    this.calls.set(call, made)
    // A tool whose input is any text is told of when that is there.
    if (this.wishes.free.has(name)) return
    if (this.wishes.older) {
      return this.calls.size > 1 ? this.fail(oneCall) : this.write({ function_call: { name, arguments: "" } })
    }
    this.write({
      tool_calls: [
        { index: call, id: made.id, type: "function", function: { name, arguments: "" }, ...signedBy(signature) }
      ]
    })
  }

  private argue(call: number, text: string): void {
    const made = this.calls.get(call)
    if (made === undefined || text === "") return
    made.args += text
    // Blanks alone are no arguments; what comes behind them brings them along.
    const before = made.args.length - text.length
    const piece = made.args.trim() === "" ? "" : made.args.slice(0, before).trim() === "" ? made.args : text
    if (piece === "" || this.wishes.free.has(made.name)) return
    this.writeArguments(call, piece)
  }

  private writeArguments(call: number, piece: string): void {
    if (this.wishes.older) this.write({ function_call: { arguments: piece } })
    else this.write({ tool_calls: [{ index: call, function: { arguments: piece } }] })
  }

  /** Tells why this answer has ended. */
  finish(): boolean {
    for (const [call, { args, id, name }] of this.calls) {
      if (this.wishes.free.has(name)) {
        const custom = { name, input: inputOf(args) }
        this.write({ tool_calls: [{ index: call, id, type: "custom", custom }] })
      } else if (args.trim() === "" && this.stop?.reason !== "length") this.writeArguments(call, "{}")
    }
    if (!this.begun) this.write({ content: "" })
    // Once and whole: clients put pieces of a text together.
    if (this.signature !== undefined) this.write(signedBy(this.signature))
    this.over = true
    const reason = reasonOf(this.stop, this.calls.size > 0, this.wishes)
    this.text += this.untold.comment()
    this.text += `${this.head}{},"finish_reason":"${reason}"}]}\n\n`
    return true
  }

  /** Tells what there is to tell of all answers. */
  end(): void {
    if (this.wishes.usage && this.usage !== undefined) {
      this.text += `data: ${JSON.stringify({ ...this.frame, choices: [], usage: usageOf(this.usage), ...tierOf(this.usage) })}\n\n`
    }
    this.text += "data: [DONE]\n\n"
  }

  private fail(message: string, code = "bad_gateway"): void {
    this.over = true
    const error = { message, type: "server_error", param: null, code }
    this.text += `data: ${lineJson({ error })}\n\n`
  }

  private write(delta: Fields, logprobs?: ReadonlyArray<unknown>): void {
    const told = this.begun ? delta : { role: "assistant", ...delta }
    const beside = logprobs === undefined ? "" : `"logprobs":${lineJson({ content: logprobs, refusal: null })},`
    this.begun = true
    this.text += `${this.head}${lineJson(told)},${beside}"finish_reason":null}]}\n\n`
  }
}

class StreamWriting implements TransducerStep<ChatEvent, Uint8Array> {
  private readonly writing: ChunkWriting | SeveralWriting<Uint8Array>

  constructor(context: AnswerContext, wishes: AnswerWishes) {
    const shared = { ids: new CallIds(context, idForm), untold: new Untold() }
    const begin = (index: number) => new ChunkWriting(context, wishes, shared, index)
    this.writing = wishes.several ? new SeveralWriting(begin) : begin(0)
  }

  get over(): boolean {
    return this.writing.over
  }

  push(event: ChatEvent): ReadonlyArray<Uint8Array> {
    this.writing.event(event)
    return this.writing.take()
  }

  end(): ReadonlyArray<Uint8Array> {
    return []
  }
}

const streamEncoder =
  (wishes: AnswerWishes) =>
  (context: AnswerContext): Transducer<ChatEvent, Uint8Array> => ({
    start: () => new StreamWriting(context, wishes)
  })

/** Everything that was said, put together. */
class Whole {
  readonly calls = new Map<number, MadeCall>()
  readonly logprobs: Array<unknown> = []
  readonly annotations: Array<Fields> = []
  readonly images: Array<Fields> = []
  private readonly ids: CallIds
  content = ""
  refusal = ""
  thoughts = ""
  // Each thought with what it is signed with.
  readonly details: Array<{ text: string; signature?: string }> = []
  stop: ChatStop | undefined
  signature: string | undefined

  constructor(ids: CallIds, events: ReadonlyArray<ChatEvent>) {
    this.ids = ids
    for (const event of events) this.event(event)
  }

  private event(event: ChatEvent): void {
    if (event.type === "text") {
      this.content += event.text
      for (const each of event.logprobs ?? []) this.logprobs.push(each)
    } else if (event.type === "refusal") this.refusal += event.text
    else if (event.type === "image") this.images.push(imageOf(event, this.images.length))
    else if (event.type === "citation") this.annotations.push(citationOf(event, this.content.length))
    else if (event.type === "reasoning") this.thinks(event.text)
    else if (event.type === "signature") {
      const last = this.details.at(-1)
      // A server may sign a thought that it does not tell.
      if (last === undefined || last.signature !== undefined)
        this.details.push({ text: "", signature: event.signature })
      else last.signature = event.signature
    } else if (event.type === "call") {
      const { call, id, name, signature } = event
      this.calls.set(call, { id: this.ids.of(id), name, signature, args: "" })
    } else if (event.type === "arguments") {
      const made = this.calls.get(event.call)
      if (made !== undefined) made.args += event.text
    } else if (event.type === "lost") this.signature = event.signature ?? this.signature
    else if (event.type === "stop") this.stop = event.stop
  }

  private thinks(text: string): void {
    this.thoughts += text
    const last = this.details.at(-1)
    if (last !== undefined && last.signature === undefined) last.text += text
    else this.details.push({ text })
  }
}

const callOf = ({ args, id, name, signature }: MadeCall, { free }: AnswerWishes, cut: boolean): Fields =>
  free.has(name)
    ? { id, type: "custom", custom: { name, input: inputOf(args) } }
    : {
        id,
        type: "function",
        function: { name, arguments: args.trim() === "" && !cut ? "{}" : args },
        ...signedBy(signature)
      }

const callsOf = (calls: ReadonlyArray<Fields>, { older }: AnswerWishes): Fields => {
  const [first] = calls
  if (first === undefined) return {}
  return older ? { function_call: first["function"] } : { tool_calls: calls }
}

const choiceOf = (all: Whole, index: number, wishes: AnswerWishes): Fields => {
  const { annotations, content, details, images, logprobs, refusal, signature, stop, thoughts } = all
  const calls = [...all.calls.values()].map((call) => callOf(call, wishes, stop?.reason === "length"))
  const tellsThoughts = wishes.thoughts && details.length > 0
  const message = {
    role: "assistant",
    content: content === "" && (calls.length > 0 || refusal !== "") ? null : content,
    ...(refusal === "" ? {} : { refusal }),
    ...(annotations.length === 0 ? {} : { annotations }),
    ...(images.length === 0 ? {} : { images }),
    ...(tellsThoughts && thoughts !== "" ? { reasoning_content: thoughts } : {}),
    ...(tellsThoughts && wishes.signatures
      ? { reasoning_details: details.map((each, index) => thoughtDetail(index, each)) }
      : {}),
    ...signedBy(signature),
    ...callsOf(calls, wishes)
  }
  return {
    index,
    message,
    ...(logprobs.length === 0 ? {} : { logprobs: { content: logprobs, refusal: null } }),
    finish_reason: reasonOf(stop, calls.length > 0, wishes)
  }
}

const wholeEncoder =
  (wishes: AnswerWishes) =>
  (events: ReadonlyArray<ChatEvent>, context: AnswerContext): Result.Result<Uint8Array, string> => {
    const ids = new CallIds(context, idForm)
    let usage: ChatUsage | undefined
    for (const event of events) {
      if (event.type === "error") return Result.fail(event.message)
      if (event.type === "usage") ({ usage } = event)
    }
    const all = [...eventsByChoice(events)].map(([index, some]) => [index, new Whole(ids, some)] as const)
    if (wishes.older && all.some(([, { calls }]) => calls.size > 1)) return Result.fail(oneCall)
    const answer = {
      ...answerHead(context, "chat.completion"),
      choices: all.map(([index, each]) => choiceOf(each, index, wishes)),
      ...(usage === undefined ? {} : { usage: usageOf(usage), ...tierOf(usage) })
    }
    return Result.succeed(encoder.encode(JSON.stringify(answer)))
  }

/** How answers are told to a client that has these wishes. */
export const answersFor = (wishes: AnswerWishes): AnswerEncoder => ({
  stream: streamEncoder(wishes),
  whole: wholeEncoder(wishes),
  signsTexts: true
})
