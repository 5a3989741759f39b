/**
 * The body of a request that is a JSON object: read, or refused in words that say what came in its place.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../domain/errors.ts"
import { maxModelLength } from "../domain/request.ts"
import { notJson } from "./json-fault.ts"

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const bad = (message: string, param: string | null) => new BadRequest({ message, param })

/** What a value is, in words. */
export const jsonKind = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (Array.isArray(value)) return "an array"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** What is said of a body without a byte. */
export const emptyBody = "The request body is empty; a JSON object is expected"

/** What is said of bytes that are no text. */
export const notUtf8 = "The request body is not valid UTF-8 JSON"

/** The failure of a body that is nested deeper than can be gone through; anything else is thrown on. */
export const tooDeep = (error: unknown): BadRequest => {
  if (!(error instanceof RangeError)) throw error
  return bad("The request body is nested too deep", null)
}

/** A parsed body, which is to be an object. */
export const jsonObject = (json: unknown): Result.Result<Readonly<Record<PropertyKey, unknown>>, BadRequest> =>
  Predicate.isObject(json)
    ? Result.succeed(json)
    : Result.fail(bad(`The request body must be a JSON object; ${jsonKind(json)} came`, null))

/** Parses a body. */
export const parseBody = (body: Uint8Array): Result.Result<Readonly<Record<PropertyKey, unknown>>, BadRequest> => {
  if (body.byteLength === 0) return Result.fail(bad(emptyBody, null))
  try {
    return jsonObject(JSON.parse(decoder.decode(body)))
  } catch (error) {
    return Result.fail(bad(error instanceof SyntaxError ? notJson(body) : notUtf8, null))
  }
}

/** What is wrong with the name of a model; undefined when nothing is. */
export const modelFault = (model: unknown): BadRequest | undefined => {
  if (model === undefined) return bad("The field 'model' is missing; the name of a model is expected", "model")
  if (typeof model !== "string") return bad(`The field 'model' must be a string; ${jsonKind(model)} came`, "model")
  if (model === "") return bad("The field 'model' is empty; the name of a model is expected", "model")
  return model.length > maxModelLength
    ? bad(`The field 'model' is longer than ${maxModelLength} characters`, "model")
    : undefined
}

/** What is wrong with what a body has in the place of its model, where the path names the model; that of the path counts. */
export const unnamedFault = (named: string | undefined, json: Readonly<Record<PropertyKey, unknown>>) => {
  const model = json["model"]
  return named === undefined || model === undefined || typeof model === "string" ? undefined : modelFault(model)
}

/** What is wrong with the wish for a stream: taken as false, an odd value would be held against a backend. */
export const streamFault = (stream: unknown): BadRequest | undefined =>
  stream === undefined || stream === null || typeof stream === "boolean"
    ? undefined
    : bad(`The field 'stream' must be true or false; ${jsonKind(stream)} came`, "stream")

/** What is wrong with the messages. */
export const messagesFault = (messages: unknown): BadRequest | undefined => {
  if (messages === undefined)
    return bad("The field 'messages' is missing; an array of messages is expected", "messages")
  return Array.isArray(messages)
    ? undefined
    : bad(`The field 'messages' must be an array; ${jsonKind(messages)} came`, "messages")
}

/**
 * How many answers so many prompts may get, by the fields that say how many each one does, of which the largest counts; what
 * is no whole number above 0 says nothing. Undefined for one.
 */
export const answersOf = (prompts: number, ...each: ReadonlyArray<unknown>): number | undefined => {
  let most = 1
  for (const count of each) if (typeof count === "number" && Number.isSafeInteger(count)) most = Math.max(most, count)
  const all = Math.min(Math.max(1, prompts) * most, Number.MAX_SAFE_INTEGER)
  return all > 1 ? all : undefined
}
