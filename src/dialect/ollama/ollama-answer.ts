/**
 * The events of an answer as lines of Ollama's, and as one whole: calls are told whole, before the last line.
 */
import * as Result from "effect/Result"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatStop, ChatUsage } from "../chat.ts"
import { GrowingText } from "../growing-text.ts"
import { type CallIdForm, CallIds } from "../fitted-chat.ts"
import { lineJson } from "../line-json.ts"
import type { Transducer } from "../Transducer.ts"
import { callArguments } from "../exact-json.ts"
import { Untold } from "../untold.ts"

const encoder = new TextEncoder()

/** Which of the two a request was for. */
type Form = "chat" | "generate"

/** Tells how long ago it was asked, in milliseconds. */
type Stopwatch = () => number

const stopwatch = (): Stopwatch => {
  const asked = performance.now()
  return () => performance.now() - asked
}

/** A moment as Ollama writes it. */
export const timeText = (ms: number): string => new Date(ms).toISOString()

/** Milliseconds as nanoseconds. */
export const nanoseconds = (ms: number): number => Math.max(0, Math.round(ms * 1e6))

// Any will do.
const idForm: CallIdForm = { fits: /./, prefix: "call_" }

/** A call, with its arguments as far as they have come. */
interface MadeCall {
  readonly call: number
  readonly id: string
  readonly name: string
  readonly args: GrowingText
}

/** What an answer is made of. */
interface Said {
  readonly content?: string
  readonly thinking?: string
  /** Their bytes in base64. */
  readonly images?: ReadonlyArray<string>
  readonly tool_calls?: ReadonlyArray<unknown>
  /** How likely its tokens were, which Ollama writes as OpenAI does. */
  readonly logprobs?: ReadonlyArray<unknown> | undefined
}

const lineOf = (value: unknown): string => `${lineJson(value)}\n`

const saying = (form: Form, { content = "", images, logprobs, thinking, tool_calls: calls }: Said) => {
  const likely = logprobs === undefined || logprobs.length === 0 ? {} : { logprobs }
  const thought = thinking === undefined ? {} : { thinking }
  const shown = images === undefined ? {} : { images }
  // What is generated has a place for one.
  if (form === "generate")
    return { response: content, ...thought, ...(images?.length === 1 ? { image: images[0] } : shown), ...likely }
  const called = calls === undefined ? {} : { tool_calls: calls }
  return { message: { role: "assistant", content, ...thought, ...shown, ...called }, ...likely }
}

// What stands between the head of a line and its text, and behind that.
const aroundText = {
  chat: [',"message":{"role":"assistant","content":', '},"done":false}\n'],
  generate: [',"response":', ',"done":false}\n']
} as const

/** What is known of an answer while it is told. */
class Telling {
  private readonly form: Form
  private readonly context: AnswerContext
  private readonly passed: Stopwatch
  private readonly calls: Array<MadeCall> = []
  private ids: CallIds | undefined
  // All of the line of a token before its text.
  private before: string | undefined
  private began: number | undefined
  private stop: ChatStop | undefined
  private usage: ChatUsage | undefined

  constructor(form: Form, context: AnswerContext, passed: Stopwatch) {
    this.form = form
    this.context = context
    this.passed = passed
  }

  get head() {
    return { model: this.context.model, created_at: timeText(this.context.now) }
  }

  line(said: Said): unknown {
    return { ...this.head, ...saying(this.form, said), done: false }
  }

  /** The line of a text and nothing else, of which there is one of every token: what stands around it is written once. */
  textLine(text: string): string {
    const [before, after] = aroundText[this.form]
    this.before ??= [lineJson(this.head).slice(0, -1), before].join("")
    return `${this.before}${lineJson(text)}${after}`
  }

  /** Takes what is told at the end alone. */
  notes(event: ChatEvent): void {
    this.began ??= this.passed()
    if (event.type === "call") {
      const ids = (this.ids ??= new CallIds(this.context, idForm))
      this.calls.push({ call: event.call, id: ids.of(event.id), name: event.name, args: new GrowingText() })
    } else if (event.type === "arguments") {
      const made = this.calls.find(({ call }) => call === event.call)
      if (made !== undefined) made.args.add(event.text)
    } else if (event.type === "stop") this.stop = event.stop
    else if (event.type === "usage") this.usage = event.usage
  }

  /** The calls; fails with what is wrong with them. */
  made(): Result.Result<ReadonlyArray<unknown>, string> {
    const made: Array<unknown> = []
    for (const { args, id, name } of this.calls) {
      const read = callArguments(args.text)
      if (read !== undefined) {
        made.push({ id, function: { index: made.length, name, arguments: read } })
        // One that was cut off at the limit of its client cannot be told: arguments are objects here.
      } else if (this.stop?.reason !== "length") {
        return Result.fail(`The backend called '${name}' with arguments that are no JSON object`)
      }
    }
    return Result.succeed(made)
  }

  /** The last line, or all of a whole answer. */
  end(said: Said): object {
    const now = this.passed()
    const { began = now, stop, usage } = this
    return {
      ...this.head,
      ...saying(this.form, said),
      done: true,
      done_reason: stop?.reason === "length" ? "length" : "stop",
      total_duration: nanoseconds(now),
      load_duration: 0,
      prompt_eval_count: usage?.prompt ?? 0,
      prompt_eval_duration: nanoseconds(began),
      eval_count: usage?.completion ?? 0,
      eval_duration: nanoseconds(now - began)
    }
  }
}

const streamEncoder =
  (form: Form, passed: Stopwatch) =>
  (context: AnswerContext): Transducer<ChatEvent, Uint8Array> => ({
    start: () => {
      const telling = new Telling(form, context, passed)
      const untold = new Untold()
      let over = false
      const lines = (...values: ReadonlyArray<unknown>) => [encoder.encode(values.map(lineOf).join(""))]
      const fail = (error: string) => {
        over = true
        return lines({ error })
      }
      const finish = () => {
        const made = telling.made()
        if (Result.isFailure(made)) return fail(made.failure)
        over = true
        const calls = made.success
        const last = { ...telling.end({}), ...untold.field() }
        return calls.length === 0 ? lines(last) : lines(telling.line({ tool_calls: calls }), last)
      }
      const push = (event: ChatEvent): ReadonlyArray<Uint8Array> => {
        if (over) return []
        telling.notes(event)
        switch (event.type) {
          case "text":
            return event.logprobs === undefined || event.logprobs.length === 0
              ? [encoder.encode(telling.textLine(event.text))]
              : lines(telling.line({ content: event.text, logprobs: event.logprobs }))
          case "refusal":
            return [encoder.encode(telling.textLine(event.text))]
          case "reasoning":
            return lines(telling.line({ thinking: event.text }))
          case "image":
            if (!("url" in event)) return lines(telling.line({ images: [event.data] }))
            untold.add(event.type)
            return []
          case "citation":
            untold.add(event.type)
            return []
          case "lost":
            untold.add(event.what)
            return []
          case "error":
            return fail(event.message)
          case "done":
            return finish()
          default:
            return []
        }
      }
      return { push, end: () => [] }
    }
  })

const whole = (
  form: Form,
  passed: Stopwatch,
  events: ReadonlyArray<ChatEvent>,
  context: AnswerContext
): Result.Result<Uint8Array, string> => {
  const telling = new Telling(form, context, passed)
  let content = ""
  let thinking = ""
  const images: Array<string> = []
  const logprobs: Array<unknown> = []
  for (const event of events) {
    if (event.type === "error") return Result.fail(event.message)
    telling.notes(event)
    if (event.type === "text") logprobs.push(...(event.logprobs ?? []))
    if (event.type === "text" || event.type === "refusal") content += event.text
    else if (event.type === "reasoning") thinking += event.text
    else if (event.type === "image" && !("url" in event)) images.push(event.data)
  }
  return Result.map(telling.made(), (calls) =>
    encoder.encode(
      JSON.stringify(
        telling.end({
          content,
          logprobs,
          ...(thinking === "" ? {} : { thinking }),
          ...(images.length === 0 ? {} : { images }),
          ...(calls.length === 0 ? {} : { tool_calls: calls })
        })
      )
    )
  )
}

/** How answers are told. */
export const ollamaAnswers = (form: Form, passed: Stopwatch = stopwatch()): AnswerEncoder => ({
  stream: streamEncoder(form, passed),
  whole: (events, context) => whole(form, passed, events, context),
  untold: (event) => (event.type === "citation" || (event.type === "image" && "url" in event) ? event.type : undefined)
})

/** The answer to who only wants a model in memory, or out of it. */
export const loadedAnswer =
  (form: Form, out: boolean) =>
  ({ model, now }: AnswerContext): Uint8Array =>
    encoder.encode(
      `${JSON.stringify({
        model,
        created_at: timeText(now),
        ...saying(form, {}),
        done: true,
        done_reason: out ? "unload" : "load"
      })}\n`
    )
