/**
 * Which pieces of calls belong together, where servers say too little of it: several give every call of an answer the same
 * index and no id, or one id.
 */
import * as Predicate from "effect/Predicate"
import { exactMembers } from "../exact-json.ts"
import { isObjectText, parsedJson } from "../read-json.ts"

type Fields = Readonly<Record<PropertyKey, unknown>>

const objectOfArguments = /"arguments"\s*:\s*\{/

/** An answer, or a piece of one: arguments that are an object in place of its text have the numbers that it came with. */
export const parsedAnswer = (text: string): unknown => {
  const json = parsedJson(text)
  return text.includes('"arguments"') && objectOfArguments.test(text) ? exactMembers(text, json, "arguments") : json
}

/** The arguments that a piece brings along; some write the object itself in place of its text. */
export const argumentsIn = ({ arguments: args }: Fields): string =>
  typeof args === "string" ? args : Predicate.isObject(args) ? JSON.stringify(args) : ""

/** Arguments as far as they have come. */
interface SaidArguments {
  readonly text: string
}

/**
 * Whether a piece that bears a name begins another call than the one it seems to go on with: the arguments of that one are
 * whole, and it begins an object of its own. Servers that repeat the name in every piece go on within one.
 */
export const beginsAnother = (said: SaidArguments, piece: string): boolean => {
  if (!piece.trimStart().startsWith("{")) return false
  const { text } = said
  return text.trimEnd().endsWith("}") && isObjectText(text)
}

/** Whether arguments that begin so are a text in quotes, where an object should be. */
export const isQuoted = (said: string): boolean => said.trimStart().startsWith('"')

/** The object that is written in quotes, as a text of its own; what is no such text is left as it is. */
export const unquoted = (said: string): string => {
  try {
    const text: unknown = JSON.parse(said)
    return typeof text === "string" && isObjectText(text) ? text : said
  } catch {
    return said
  }
}
