/**
 * The events of Responses on the wire, and the response that the first and the last of them hold.
 */
import * as Predicate from "effect/Predicate"
import { readErrorText } from "../../domain/error-text.ts"
import type { ChatUsage } from "../chat.ts"
import type { JsonObject } from "../request-notes.ts"
import { fieldsIn } from "../read-json.ts"

/** All of an event before its number: of those that there are many of it is put together once. */
export const eventHead = (type: string): string => `event: ${type}\ndata: {"type":"${type}","sequence_number":`

/** Writes events, one after the other, and counts them. */
export class EventWriter {
  private text = ""
  private next: number

  /** `next` is the number of the first one. */
  constructor(next = 0) {
    this.next = next
  }

  /** An event with these fields. */
  write(type: string, fields: object): void {
    this.append(eventHead(type), JSON.stringify(fields).slice(1))
  }

  /** An event that begins so, with a text behind fields that are JSON already, and all that is behind the text. */
  say(head: string, before: string, text: string, after: string): void {
    this.text += `${head}${this.next},${before}${JSON.stringify(text)}${after}\n\n`
    this.next += 1
  }

  /** An event with a response, given as JSON. */
  tell(type: string, response: string): void {
    this.append(eventHead(type), `"response":${response}}`)
  }

  /** Something that is no event, for those who look. */
  remark(comment: string): void {
    this.text += comment
  }

  /** What has been written since it was last taken. */
  take(): string {
    const { text } = this
    this.text = ""
    return text
  }

  private append(head: string, rest: string): void {
    this.text += `${head}${this.next},${rest}\n\n`
    this.next += 1
  }
}

/** Why a response failed. */
export interface ResponseFailure {
  readonly code: string
  readonly message: string
  readonly param: string | null
}

// The codes that clients act on; whatever else happened, it happened at a server.
const codes: ReadonlySet<unknown> = new Set(["rate_limit_exceeded", "context_length_exceeded"])

/** What went wrong by itself. */
export const serverFailure = (message: string): ResponseFailure => ({ code: "server_error", message, param: null })

/** The failure in the body of an error. */
export const failureOf = (error: string): ResponseFailure => {
  const { json, sentence } = readErrorText(error)
  const { code, param } = Predicate.isObject(json) && Predicate.isObject(json["error"]) ? json["error"] : {}
  return {
    code: typeof code === "string" && codes.has(code) ? code : "server_error",
    message: sentence ?? "The answer broke off",
    param: typeof param === "string" ? param : null
  }
}

const toldAsGiven = ["top_logprobs", "user", "safety_identifier", "prompt_cache_key"]

const given = (asked: JsonObject): JsonObject => {
  const found: Record<string, unknown> = {}
  for (const name of toldAsGiven) if (asked[name] !== undefined) found[name] = asked[name]
  return found
}

/** What a response tells again of its request, and what is so for all of them. */
export const echoOf = (asked: JsonObject) => ({
  instructions: asked["instructions"] ?? null,
  max_output_tokens: asked["max_output_tokens"] ?? null,
  metadata: asked["metadata"] ?? {},
  parallel_tool_calls: asked["parallel_tool_calls"] ?? true,
  previous_response_id: null,
  reasoning: {
    effort: fieldsIn(asked["reasoning"])["effort"] ?? null,
    summary: fieldsIn(asked["reasoning"])["summary"] ?? null
  },
  store: false,
  temperature: asked["temperature"] ?? null,
  text: { format: { type: "text" }, ...fieldsIn(asked["text"]) },
  tool_choice: asked["tool_choice"] ?? "auto",
  tools: asked["tools"] ?? [],
  top_p: asked["top_p"] ?? null,
  truncation: "disabled" as const,
  ...given(asked)
})

const textOfEcho = (asked: JsonObject): string => JSON.stringify(echoOf(asked)).slice(1)

const told: ReadonlySet<string> = new Set([...Object.keys(echoOf({})), ...toldAsGiven])
const plainEcho = textOfEcho({})

const isTold = (asked: JsonObject): boolean => {
  for (const name in asked) if (told.has(name)) return true
  return false
}

/** The same as JSON without its brace: of a request that says nothing of it, one for all. */
export const echoText = (asked: JsonObject): string => (isTold(asked) ? textOfEcho(asked) : plainEcho)

/** The tokens of a response. */
export const responseUsage = (usage: ChatUsage) => ({
  input_tokens: usage.prompt,
  input_tokens_details: { cached_tokens: usage.cachedRead, cache_write_tokens: usage.cachedWrite },
  output_tokens: usage.completion,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.prompt + usage.completion
})

/** What is known of a response whatever becomes of it. */
export interface ResponseFacts {
  readonly id: string
  /** In seconds since 1970. */
  readonly created: number
  readonly model: string
}

/** A response that has begun, before anything has been said. */
export const responseHead = ({ created, id, model }: ResponseFacts) => ({
  id,
  object: "response" as const,
  created_at: created,
  status: "in_progress" as const,
  background: false,
  error: null,
  incomplete_details: null,
  model,
  output: [],
  usage: null
})

/** Ends a stream that broke: for those who read the response, and for those who look for an error. */
export const writeFailure = (
  writer: EventWriter,
  { code, message, param }: ResponseFailure,
  response: (failed: object) => string
): void => {
  writer.tell("response.failed", response({ status: "failed", error: { code, message } }))
  writer.write("error", { code, message, param })
}
