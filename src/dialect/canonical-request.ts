/**
 * What makes two requests the same: every field with its value, whatever its place and the blanks around it.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { parsedBody } from "./parsed-body.ts"

const written = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`
  if (!Predicate.isObject(value) || JSON.isRawJSON(value)) return JSON.stringify(value) ?? "null"
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, each]) => `${JSON.stringify(key)}:${written(each)}`).join(",")}}`
}

/** What is known of a request that may be the same as another one. */
export interface ComparedRequest {
  /** The form that all have which are the same. */
  readonly canonical: string
  /** Whether the same can be expected to be said again. */
  readonly deterministic: boolean
}

/** A request in the one form that all that are the same have; undefined where it is nested too deep to be gone through. */
export const canonicalRequest = (json: object): string | undefined => {
  try {
    return written(json)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

// Where the dialects have how an answer is drawn.
const places = ["generationConfig", "generation_config", "options"] as const

const isFixed = (settings: unknown): boolean =>
  Predicate.isObject(settings) &&
  (settings["temperature"] === 0 || settings["top_k"] === 1 || settings["topK"] === 1 || settings["top_p"] === 0)

/** Whether a model is asked to say what is likeliest. */
const isDeterministic = (json: Readonly<Record<PropertyKey, unknown>>): boolean =>
  isFixed(json) || places.some((place) => isFixed(json[place]))

/** Reads the body of a request to compare it; undefined where that cannot be done. */
export const comparedRequest = (body: Uint8Array): ComparedRequest | undefined => {
  const built = parsedBody(body)
  if (Result.isFailure(built)) return undefined
  const { success: parsed } = built
  const { json } = parsed
  const canonical = canonicalRequest(parsed.exact())
  return canonical === undefined ? undefined : { canonical, deterministic: isDeterministic(json) }
}
