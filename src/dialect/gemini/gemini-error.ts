/**
 * Errors as Google writes them: a failure of the gateway, and what a backend says in any shape.
 */
import * as Predicate from "effect/Predicate"
import { readErrorText, shortened } from "../../domain/error-text.ts"
import type { Failure } from "../failures.ts"

const words: Readonly<Record<number, string>> = {
  401: "UNAUTHENTICATED",
  402: "FAILED_PRECONDITION",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  408: "DEADLINE_EXCEEDED",
  409: "ABORTED",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  504: "DEADLINE_EXCEEDED"
}

const wordOf = (status: number): string => words[status] ?? (status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE")

/** An error. */
export const geminiError = (status: number, message: string) => ({
  error: { code: status, message, status: wordOf(status) }
})

/** The JSON text of a failure. */
export const geminiErrorBody = ({ message, status }: Failure): string => JSON.stringify(geminiError(status, message))

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const longestSentence = 4000

const isGoogles = (json: unknown): boolean => {
  const error = Predicate.isObject(json) ? json["error"] : undefined
  return Predicate.isObject(error) && typeof error["code"] === "number" && typeof error["status"] === "string"
}

/** The body to send for an error status of a backend: Google's own as it came, with its details. */
export const passedGeminiError = (status: number, body: Uint8Array): Uint8Array => {
  const { json, sentence } = readErrorText(decoder.decode(body))
  if (isGoogles(json)) return body
  const said = sentence ?? `The backend answered with status ${status}`
  return encoder.encode(JSON.stringify(geminiError(status, shortened(said, longestSentence))))
}
