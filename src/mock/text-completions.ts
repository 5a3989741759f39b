/**
 * OpenAI's older completions, for which no dialect has a codec: a text that goes on.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AnswerContext, AnswerEncoder, ChatEvent, ChatUsage } from "../dialect/chat.ts"
import { BadRequest } from "../domain/errors.ts"

const Completion = Schema.Struct({
  prompt: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  stream: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  max_tokens: Schema.optionalKey(Schema.NullOr(Schema.Int)),
  stream_options: Schema.optionalKey(
    Schema.NullOr(Schema.Struct({ include_usage: Schema.optionalKey(Schema.NullOr(Schema.Boolean)) }))
  )
})

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Completion))

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const reasonIn = (events: ReadonlyArray<ChatEvent>): string =>
  events.some((event) => event.type === "stop" && event.stop.reason === "length") ? "length" : "stop"

const usageOf = ({ completion, prompt }: ChatUsage) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion
})

const headOf = ({ id, model, now }: AnswerContext) => ({
  id: `cmpl-${id}`,
  object: "text_completion",
  created: Math.floor(now / 1000),
  model
})

const choiceOf = (text: string, reason: string | null) => ({ index: 0, text, logprobs: null, finish_reason: reason })

const answersFor = (includesUsage: boolean): AnswerEncoder => ({
  stream: (context) => ({
    start: () => {
      const head = headOf(context)
      const said = (value: unknown) => [encoder.encode(`data: ${JSON.stringify(value)}\n\n`)]
      let reason = "stop"
      let usage: ChatUsage | undefined
      return {
        push: (event) => {
          if (event.type === "text") return said({ ...head, choices: [choiceOf(event.text, null)] })
          if (event.type === "usage") ({ usage } = event)
          if (event.type === "stop") reason = reasonIn([event])
          if (event.type === "error") return said({ error: { message: event.message, type: "server_error" } })
          if (event.type !== "done") return []
          return [
            ...said({ ...head, choices: [choiceOf("", reason)] }),
            ...(includesUsage && usage !== undefined ? said({ ...head, choices: [], usage: usageOf(usage) }) : []),
            encoder.encode("data: [DONE]\n\n")
          ]
        },
        end: () => []
      }
    }
  }),
  whole: (events, context) => {
    const text = events.map((event) => (event.type === "text" ? event.text : "")).join("")
    const usage = events.find((event) => event.type === "usage")?.usage
    const choices = [choiceOf(text, reasonIn(events))]
    const answer = { ...headOf(context), choices, ...(usage === undefined ? {} : { usage: usageOf(usage) }) }
    return Result.succeed(encoder.encode(JSON.stringify(answer)))
  }
})

/** A request that was understood, and how it is answered. */
export interface TextRequest {
  readonly prompt: string
  readonly stream: boolean
  readonly maxTokens: number | undefined
  readonly answers: AnswerEncoder
}

/** Reads a request. */
export const readTextRequest = (body: Uint8Array): Result.Result<TextRequest, BadRequest> => {
  const read = decode(decoder.decode(body))
  if (Option.isNone(read)) return Result.fail(new BadRequest({ message: "The body cannot be read", param: null }))
  const { max_tokens: most, prompt, stream, stream_options: options } = read.value
  return Result.succeed({
    prompt: [prompt].flat().join(" "),
    stream: stream === true,
    maxTokens: most ?? undefined,
    answers: answersFor(options?.include_usage === true)
  })
}
