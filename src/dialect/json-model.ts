/**
 * Another model's name in a body that is a JSON object.
 */
import * as Predicate from "effect/Predicate"
import { exactJson } from "./exact-json.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The body with this model; the same body when it is no object. */
export const withJsonModel = (body: Uint8Array, model: string): ReadonlyArray<Uint8Array> => {
  const text = decoder.decode(body)
  const json = exactJson(text, parsed(text))
  return [Predicate.isObject(json) ? encoder.encode(JSON.stringify({ ...json, model })) : body]
}
