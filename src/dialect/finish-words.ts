/**
 * Why an answer has ended: in the words of its server, and in words that all dialects share.
 */
import * as Predicate from "effect/Predicate"

type Json = Readonly<Record<PropertyKey, unknown>>

// What dialects call the same end.
const sameEnds: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  tool_use: "tool_calls",
  function_call: "tool_calls"
}

const finishField = /"(?:finish_reason|stop_reason|finishReason|done_reason)"\s*:\s*"(\w{1,40})"/g

const decoder = new TextDecoder()

/** Why a whole answer ended, in the words that all dialects share; undefined where it does not say. */
export const finishIn = (body: Uint8Array): string | undefined => {
  const word = [...decoder.decode(body).matchAll(finishField)].at(-1)?.[1]
  return word === undefined ? undefined : finishWord(word)
}

const finishWord = (word: string): string => {
  const plain = word.toLowerCase()
  return sameEnds[plain] ?? plain
}

// What is longer is no word for anything, and more choices are told of by nobody.
const longestWord = 40
const mostFinishes = 16

/** A word of a server, as it is; undefined for what is none. */
export const serverWord = (value: unknown): string | undefined =>
  typeof value === "string" && value.length <= longestWord && /^[^\s]+$/.test(value) ? value : undefined

// Servers have a handful.
const mostKnown = 64

const alone = new Map<string, ReadonlyArray<string>>()

// Nearly all answers have one choice, and end as others do.
const oneFinish = (said: unknown): ReadonlyArray<string> => {
  const word = serverWord(said)
  if (word === undefined) return none
  const known = alone.get(word)
  if (known !== undefined) return known
  const made = [word]
  if (alone.size < mostKnown) alone.set(word, made)
  return made
}

/** Why an answer ended, choice by choice; what is no word is left out. */
export const finishesOf = (said: Iterable<unknown>): ReadonlyArray<string> => {
  const finishes: Array<string> = []
  for (const each of said) {
    const told = serverWord(each)
    if (told !== undefined && finishes.length < mostFinishes) finishes.push(told)
  }
  return finishes
}

const none: ReadonlyArray<string> = []

const fieldIn = (value: unknown, name: string): unknown => (Predicate.isObject(value) ? value[name] : undefined)

// What has been said of each of a list, and of what stands for one alone.
const fieldsIn = (list: unknown, name: string): ReadonlyArray<string> => {
  if (!Array.isArray(list)) return none
  return list.length === 1 ? oneFinish(fieldIn(list[0], name)) : finishesOf(list.map((each) => fieldIn(each, name)))
}

/** Why a response of OpenAI's newer API ended. */
export const responseEnd = ({ incomplete_details: details, status }: Json): unknown =>
  (Predicate.isObject(details) ? details["reason"] : undefined) ?? status

/** Why each choice of a whole answer ended. */
export const finishesIn = (json: Json): ReadonlyArray<string> => {
  const { candidates, choices, object } = json
  if (choices !== undefined) return fieldsIn(choices, "finish_reason")
  if (candidates !== undefined) return fieldsIn(candidates, "finishReason")
  return oneFinish(object === "response" ? responseEnd(json) : (json["stop_reason"] ?? json["done_reason"]))
}
