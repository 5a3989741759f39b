/**
 * JSON that is read and written again without a number being rounded: an id above 2^53 in the arguments of a call would
 * otherwise be the id of another record.
 */
import * as Predicate from "effect/Predicate"

declare global {
  interface JSON {
    readonly rawJSON: (text: string) => unknown
    readonly isRawJSON: (value: unknown) => boolean
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown
    ): unknown
  }
}

// A number that may not be written as it came.
const suspicious = /\d{16}|\d[.eE]/
const negativeZero = /(?:^|[[,:\s])-0/

// In one expression they would take several times as long.
const mayRound = (text: string): boolean => suspicious.test(text) || (text.includes("-0") && negativeZero.test(text))

const asItCame = (_key: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value === "number" && source !== undefined && source !== String(value) ? JSON.rawJSON(source) : value

/** Parses a JSON text, `plain` being what `JSON.parse` gives of it; numbers that it would round are written as they came. */
export const exactJson = (text: string, plain: unknown): unknown => {
  if (!mayRound(text)) return plain
  try {
    return JSON.parse(text, asItCame)
  } catch {
    // It has words for numbers that JSON has none of.
    return plain
  }
}

type Fields = Record<string, unknown>

/** The JSON object that a text is, its numbers as they came; undefined where it is none. */
export const exactObject = (text: string): Record<PropertyKey, unknown> | undefined => {
  try {
    const plain: unknown = JSON.parse(text)
    const exact = Predicate.isObject(plain) ? exactJson(text, plain) : undefined
    return Predicate.isObject(exact) ? exact : undefined
  } catch {
    return undefined
  }
}

/** The arguments of a call: without any, or with null for them, an empty object; undefined where they are no object. */
export const callArguments = (text: string): Record<PropertyKey, unknown> | undefined => {
  const said = text.trim()
  return said === "" || said === "null" ? {} : exactObject(text)
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null

const withExact = (plain: unknown, exact: unknown, name: string): unknown => {
  if (!isFields(plain) || !isFields(exact) || JSON.isRawJSON(exact)) return plain
  for (const [key, value] of Object.entries(plain)) {
    plain[key] = key === name && isFields(value) ? exact[key] : withExact(value, exact[key], name)
  }
  return plain
}

/** The same, with numbers as they came in the members of this name alone: those beside them are to be counted with. */
export const exactMembers = (text: string, plain: unknown, name: string): unknown => {
  const exact = exactJson(text, plain)
  return exact === plain ? plain : withExact(plain, exact, name)
}
