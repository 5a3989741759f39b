/**
 * What is noted while a request is read to be translated: what was left out of it, and why it is refused.
 */
import { createHash } from "node:crypto"
import * as Predicate from "effect/Predicate"
import { BadRequest } from "../domain/errors.ts"
import type { CacheMark, Chat, ChatMessage, SystemText } from "./chat.ts"
import { isObjectText } from "./read-json.ts"

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<PropertyKey, unknown>>

/** Ends the reading: the value at a place cannot be carried over, or is none of the dialect's. */
export const refuseAt = (place: string, why: string): never => {
  throw new BadRequest({ message: `'${place}' ${why}`, param: place })
}

const nothing: ReadonlyArray<never> = []

/** A list that may be absent. */
export const listOf = (value: unknown, place: string): ReadonlyArray<unknown> => {
  if (value === undefined || value === null) return nothing
  return Array.isArray(value) ? value : refuseAt(place, "must be an array")
}

/** A text. */
export const textOf = (value: unknown, place: string): string =>
  typeof value === "string" ? value : refuseAt(place, "must be a string")

// R and PHP write an empty list where nothing is given.
const isNothing = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)

/** The text of a call's arguments, as it is told on. */
export const givenArguments = (text: string): string => (/^\s*\[\s*\]\s*$/.test(text) ? "{}" : text)

/** The arguments of a call as JSON text, where they are to be an object; some clients send the text of it. */
export const argumentsText = (value: unknown, place: string): string => {
  if (isNothing(value)) return "{}"
  if (typeof value === "string" && isObjectText(value)) return value
  return Predicate.isObject(value) ? JSON.stringify(value) : refuseAt(place, "must be an object")
}

// Longer ones are no names of anything.
const longestWord = 100

/** What stands where a word should, for a sentence about it: an object may have a `toString` of its own, which is no function. */
export const shownWord = (value: unknown): string => {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object"
  return String(value).slice(0, longestWord)
}

// The longest name of a user that servers take.
const longestUser = 64

/** Who asks, as servers take it: a name that is too long for them as a word that stands for it. */
export const userWord = (name: string): string =>
  name.length <= longestUser ? name : createHash("sha256").update(name).digest("hex")

/** A whole number above 0, where there is one. */
export const countOf = (value: unknown, place: string): number | undefined => {
  if (value === undefined || value === null) return undefined
  return Number.isInteger(value) && Number(value) > 0
    ? Number(value)
    : refuseAt(place, "must be a whole number above 0")
}

/** A seed as its server is told it: the raw JSON of one that would be rounded. */
export const seedOf = (
  { seed: plain }: JsonObject,
  { seed: exact }: JsonObject,
  place: string
): { readonly seed?: unknown } => {
  if (plain === undefined || plain === null) return {}
  if (typeof plain !== "number") return refuseAt(place, "must be a number")
  return { seed: Number.isInteger(plain) && !Number.isSafeInteger(plain) ? exact : plain }
}

/** What a system says before all turns: nothing where that is blank. */
export const systemOf = (all: ReadonlyArray<SystemText>): ReadonlyArray<ChatMessage> => {
  const texts = all.filter(({ text }) => text.trim() !== "")
  if (texts.length === 0) return []
  const text = texts.map((each) => each.text).join("\n\n")
  return [{ role: "system", text, ...(texts.some(({ cache }) => cache !== undefined) ? { texts } : {}) }]
}

const saysAnything = (): boolean => true

/** What was left out, each thing once; a field that means the same wherever it stands is named without its place. */
export class Notes {
  // Most requests leave out nothing.
  private left: Set<string> | undefined
  private readonly anywhere: ReadonlyArray<string>
  private marked = false

  constructor(anywhere: ReadonlyArray<string> = []) {
    this.anywhere = anywhere
  }

  /** Notes that something is left out. */
  drops(what: string): void {
    ;(this.left ??= new Set()).add(what)
  }

  /** Notes the fields of an object that are none of the known ones and hold anything but what `says` nothing. */
  only(
    object: JsonObject,
    known: ReadonlyArray<string>,
    place: string,
    says: (name: string, value: unknown) => boolean = saysAnything
  ): void {
    for (const name in object) {
      const value = object[name]
      if (known.includes(name) || value === null || value === undefined) continue
      if ((Array.isArray(value) && value.length === 0) || !says(name, value)) continue
      this.drops(this.anywhere.includes(name) || place === "" ? name : `${place}.${name}`)
    }
  }

  /** The mark of an object as where what is kept of a prompt ends. */
  markOf({ cache_control: mark }: JsonObject): { readonly cache?: CacheMark } {
    if (!Predicate.isObject(mark)) return {}
    this.marked = true
    return { cache: mark }
  }

  /** That something is marked, or all of it. */
  cacheOf(json: JsonObject): Pick<Chat, "cache"> {
    const { cache: whole } = this.markOf(json)
    return this.marked ? { cache: whole === undefined ? {} : { whole } } : {}
  }

  /** All of it. */
  all(): ReadonlyArray<string> {
    return this.left === undefined ? nothing : [...this.left]
  }
}
