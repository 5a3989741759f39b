/**
 * Errors as Anthropic writes them: a failure of the gateway, and what a backend says in any shape.
 */
import * as Predicate from "effect/Predicate"
import { isContextOverflow } from "../../domain/context-overflow.ts"
import { readErrorText, shortened } from "../../domain/error-text.ts"
import type { Failure } from "../failures.ts"

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
  529: "overloaded_error"
}

const typeOf = (status: number): string =>
  types[status] ?? (status < 500 && status !== 499 ? "invalid_request_error" : "api_error")

const textOf = (status: number, message: string, requestId: string | undefined): string =>
  JSON.stringify({
    type: "error",
    error: { type: typeOf(status), message },
    ...(requestId === undefined ? {} : { request_id: requestId })
  })

// The words by which agents know that a conversation is to be shortened.
const tooLong = (needs: number, has: number): string => `prompt is too long: ${needs} tokens > ${has} maximum`

/** The JSON text of a failure. */
export const messagesErrorBody = ({ context, message, status }: Failure, requestId?: string): string =>
  textOf(status, context === undefined ? message : tooLong(context.needs, context.has), requestId)

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const longestSentence = 4000

// Smaller numbers are none of a context.
const counts = /\b\d{3,9}\b/g

const overflowWords = (sentence: string): string => {
  const [a, b, ...more] = new Set([...sentence.matchAll(counts)].map(([digits]) => Number(digits)))
  if (a === undefined || b === undefined || more.length > 0) return `prompt is too long: ${sentence}`
  return tooLong(Math.max(a, b), Math.min(a, b))
}

const errorTypeIn = (json: unknown): string => {
  const error = Predicate.isObject(json) && Predicate.isObject(json["error"]) ? json["error"] : json
  if (!Predicate.isObject(error)) return ""
  return [error["code"], error["type"]].filter((each) => typeof each === "string").join(" ")
}

/** The body to send for an error status of a backend. */
export const passedMessagesError = (status: number, body: Uint8Array, requestId?: string): Uint8Array => {
  const { json, sentence } = readErrorText(decoder.decode(body))
  const said = shortened(sentence ?? `The backend answered with status ${status}`, longestSentence)
  const isTooLong = isContextOverflow(status, errorTypeIn(json), said)
  return encoder.encode(textOf(status, isTooLong ? overflowWords(said) : said, requestId))
}
