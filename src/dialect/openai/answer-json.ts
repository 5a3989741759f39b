/**
 * What a body says that came under a good status: an answer, or an error in one of the ways servers write it.
 */
import { Predicate } from "effect"
import { BadAnswer, ErrorStatus } from "../../domain/upstream-errors.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** The list that holds an answer. */
export type AnswerList = "choices" | "data"

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

const errorOf = (error: unknown, body: Uint8Array, reason: string): ErrorStatus | BadAnswer => {
  const status = Predicate.isObject(error) ? Number(error["code"] ?? error["status"]) : Number.NaN
  if (!(status >= 400 && status <= 599)) return new BadAnswer({ reason, body })
  const contentType = "application/json"
  return new ErrorStatus({ status, contentType, body, retryAfterMs: undefined, underGood: true })
}

/** What is wrong with the JSON of a whole answer, which is to hold a list; undefined when nothing is. */
export const faultOf = (json: unknown, list: AnswerList, body: Uint8Array): ErrorStatus | BadAnswer | undefined => {
  if (!Predicate.isObject(json)) return new BadAnswer({ reason: "JSON that is no object", body })
  const error = errorIn(json)
  if (error !== undefined) return errorOf(error, body, "an error under a good status")
  return Array.isArray(json[list]) ? undefined : new BadAnswer({ reason: `JSON without a list of ${list}`, body })
}

const stringsAndNumbers = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b/gs

/** Text as JSON, also with the numbers that Python writes and JSON has none of: what they mean is for the client. */
export const parseLoosely = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!/NaN|Infinity/.test(text)) throw error
    return JSON.parse(text.replace(stringsAndNumbers, (found) => (found.startsWith('"') ? found : "null")))
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
export const errorOfEvents = (bytes: Uint8Array): ErrorStatus | BadAnswer => {
  for (const { name, data } of eventsIn(bytes)) {
    const parsed = parse(data)
    const json: unknown = Array.isArray(parsed) ? parsed[0] : parsed
    const object = Predicate.isObject(json) ? json : {}
    const said = errorIn(object) ?? (name === "error" ? json : undefined)
    if (said === undefined && name !== "error" && !isFlatError(object)) continue
    return errorOf(said, encoder.encode(data), "an error as its first event")
  }
  return new BadAnswer({ reason: "an event stream without an answer" })
}
