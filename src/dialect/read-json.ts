/**
 * What is read of JSON that others wrote, and that may be anything.
 */
import * as Predicate from "effect/Predicate"

const strictly = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether a text is a whole JSON object. */
export const isObjectText = (text: string): boolean => Predicate.isObject(strictly(text))

const stringsAndNumbers = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity)\b/gs

/** A JSON text, also with the numbers that Python writes and JSON has none of; undefined when it is none. */
export const parsedJson = (text: string): unknown => {
  const json = strictly(text)
  if (json !== undefined || !/NaN|Infinity/.test(text)) return json
  return strictly(text.replace(stringsAndNumbers, (found) => (found.startsWith('"') ? found : "null")))
}

/** Whether what is no JSON was to be some: a word alone may be a sign of life, a piece of an object is a piece of the answer. */
export const isBrokenObject = (text: string): boolean => /^\s*\{/.test(text)

// One for all: they are read from each event of a stream.
const noValues: ReadonlyArray<unknown> = []
const noFields: Readonly<Record<PropertyKey, unknown>> = {}

/** A list; one without anything where it is none. */
export const listIn = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : noValues)

/** The objects of a list. */
export const objectsIn = (value: unknown): ReadonlyArray<Readonly<Record<PropertyKey, unknown>>> =>
  listIn(value).filter(Predicate.isObject)

/** The fields of an object; none where it is none. */
export const fieldsIn = (value: unknown): Readonly<Record<PropertyKey, unknown>> =>
  Predicate.isObject(value) ? value : noFields

/** A number of tokens; 0 where there is none. */
export const countIn = (value: unknown): number =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : 0

/** A number that may be written as a text; NaN for all else, of which even asking for its number may throw. */
export const numberIn = (value: unknown): number =>
  typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN

/** What such an answer is told to fail by. */
export const brokenEvent = "The backend sent an event that is not whole JSON"
