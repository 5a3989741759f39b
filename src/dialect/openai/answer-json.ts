/**
 * What a body says that came under a good status: an answer, or an error in one of the ways servers write it.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadAnswer, ErrorStatus } from "../../domain/upstream-errors.ts"
import type { AnswerFault, WholeAnswer } from "../Dialect.ts"
import { identityOf, identityIn } from "./answer-identity.ts"
import { numberIn, parsedJson } from "../read-json.ts"
import { usageIn, usageOfJson } from "./usage.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

// Whether a value says anything: not null, false, 0, empty, or made of nothing but such values.
const isReal = (value: unknown): boolean => {
  if (Array.isArray(value)) return value.some(isReal)
  return Predicate.isObject(value) ? Object.values(value).some(isReal) : Boolean(value)
}

const errorIn = (json: Readonly<Record<PropertyKey, unknown>>): unknown => {
  const { error, object, type } = json
  if (isReal(error)) return error
  return object === "error" || type === "error" ? json : undefined
}

// The words of a failure without an envelope.
const isFlatError = ({ choices, detail, message, msg, success }: Readonly<Record<PropertyKey, unknown>>): boolean =>
  !Array.isArray(choices) && (isReal(detail) || isReal(message) || isReal(msg) || success === false)

const errorOf = (error: unknown, body: Uint8Array, reason: string): AnswerFault => {
  const status = Predicate.isObject(error) ? numberIn(error["code"] ?? error["status"]) : Number.NaN
  if (!(status >= 400 && status <= 599)) return new BadAnswer({ reason, body })
  const contentType = "application/json"
  return new ErrorStatus({ status, contentType, body, retryAfterMs: undefined, underGood: true })
}

// OpenRouter tells so of a choice that it has given up.
const hasFailed = (choice: unknown): boolean =>
  Predicate.isObject(choice) && choice["finish_reason"] === "error" && Predicate.isObject(choice["error"])

/** What is wrong with the JSON of a whole answer, which is to hold a list; undefined when nothing is. */
const faultOf = (json: unknown, list: string, body: Uint8Array): AnswerFault | undefined => {
  if (!Predicate.isObject(json)) return new BadAnswer({ reason: "JSON that is no object", body })
  const error = errorIn(json)
  if (error !== undefined) return errorOf(error, body, "an error under a good status")
  const given: unknown = json[list]
  const fault: unknown = Array.isArray(given) && given.every(hasFailed) ? given[0] : undefined
  if (Predicate.isObject(fault)) {
    const { error: why } = fault
    return errorOf(why, encoder.encode(JSON.stringify({ error: why })), "an error in place of an answer")
  }
  return Array.isArray(given) ? undefined : new BadAnswer({ reason: `JSON without a list of ${list}`, body })
}

const noJson = (body: Uint8Array): Result.Result<never, AnswerFault> =>
  bad(body[0] === 0x3c ? "an HTML page" : "a body that is not whole JSON")

// JSON up to this size is parsed to see that it is whole; larger bodies are judged by their ends and the name of their list.
const parsedBytes = 1024 * 1024

// Called on the bytes as they are: a Buffer over them would make the engine give them another form.
const { indexOf } = Buffer.prototype

const bad = (reason: string): Result.Result<never, AnswerFault> => Result.fail(new BadAnswer({ reason }))

/** Judges the body of a whole answer, whose JSON is to hold a list. */
export const readWholeAnswer = (body: Uint8Array, list: string): Result.Result<WholeAnswer, AnswerFault> => {
  let last = body.byteLength - 1
  while (last >= 0 && (body[last] ?? 0) <= 0x20) last -= 1
  if (last < 0) return bad("an empty body")
  if (body.byteLength > parsedBytes) {
    if (body[last] !== 0x7d) return bad("JSON that is cut short")
    // In the text of an answer quotes are escaped: what looks like the key is one.
    if (indexOf.call(body, `"${list}"`) < 0) return bad(`JSON without a list of ${list}`)
    return Result.succeed({ said: identityIn(body), usage: usageIn(body) })
  }
  const json = parsedJson(decoder.decode(body))
  if (json === undefined) return noJson(body)
  const fault = faultOf(json, list, body)
  return fault === undefined
    ? Result.succeed({ said: identityOf(json), usage: usageOfJson(json) ?? usageIn(body), json })
    : Result.fail(fault)
}

/** What is wrong with JSON that may be of any form but an error's; undefined when nothing is. */
const errorUnder = (json: unknown, body: Uint8Array): AnswerFault | undefined => {
  if (Array.isArray(json)) return undefined
  if (!Predicate.isObject(json)) return new BadAnswer({ reason: "JSON that is no object", body })
  const error = errorIn(json)
  const flat = isFlatError(json) && !Object.values(json).some(Array.isArray)
  return error === undefined && !flat ? undefined : errorOf(error, body, "an error under a good status")
}

const closing = new Set([0x7d, 0x5d])

/** Judges the body of a whole answer that is to be JSON, of whatever form. */
export const readAnyJson = (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
  let last = body.byteLength - 1
  while (last >= 0 && (body[last] ?? 0) <= 0x20) last -= 1
  if (last < 0) return bad("an empty body")
  if (body.byteLength > parsedBytes) {
    if (!closing.has(body[last] ?? 0)) return bad("JSON that is cut short")
    return Result.succeed({ said: identityIn(body), usage: usageIn(body) })
  }
  const json = parsedJson(decoder.decode(body))
  if (json === undefined) return noJson(body)
  const fault = errorUnder(json, body)
  return fault === undefined
    ? Result.succeed({ said: identityOf(json), usage: usageOfJson(json), json })
    : Result.fail(fault)
}

// Only for streams that have failed: nothing here is quick.
const eventsIn = (bytes: Uint8Array): ReadonlyArray<{ readonly name: string; readonly data: string }> =>
  decoder
    .decode(bytes)
    .split(/(?:\r\n|\r(?!\n)|\n){2,}/)
    .map((text) => {
      const lines = text.split(/\r\n|\r|\n/)
      const valuesOf = (field: string) =>
        lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).trim())
      return { name: valuesOf("event").at(-1) ?? "", data: valuesOf("data").join("\n") }
    })

/** The error that the first bytes of an event stream hold in place of an answer. */
export const errorOfEvents = (bytes: Uint8Array): AnswerFault => {
  for (const { name, data } of eventsIn(bytes)) {
    const parsed = parsedJson(data)
    const json: unknown = Array.isArray(parsed) ? parsed[0] : parsed
    const object = Predicate.isObject(json) ? json : {}
    const said = errorIn(object) ?? (name === "error" ? json : undefined)
    if (said === undefined && name !== "error" && !isFlatError(object)) continue
    return errorOf(said, encoder.encode(data), "an error as its first event")
  }
  return new BadAnswer({ reason: "an event stream without an answer" })
}
