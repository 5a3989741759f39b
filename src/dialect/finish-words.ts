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

/** Why an answer ended, choice by choice; what is no word is left out. */
export const finishesOf = (said: Iterable<unknown>): ReadonlyArray<string> => {
  const finishes: Array<string> = []
  for (const each of said) {
    const told = serverWord(each)
    if (told !== undefined && finishes.length < mostFinishes) finishes.push(told)
  }
  return finishes
}

// What has been said of each of a list, and of what stands for one alone.
const fieldsIn = (list: unknown, name: string): ReadonlyArray<string> =>
  Array.isArray(list)
    ? finishesOf(list.map((each: unknown) => (Predicate.isObject(each) ? each[name] : undefined)))
    : none

const none: ReadonlyArray<string> = []

/** Why a response of OpenAI's newer API ended. */
export const responseEnd = ({ incomplete_details: details, status }: Json): unknown =>
  (Predicate.isObject(details) ? details["reason"] : undefined) ?? status

/** Why each choice of a whole answer ended. */
export const finishesIn = (json: Json): ReadonlyArray<string> => {
  const { candidates, choices, object } = json
  if (choices !== undefined) return fieldsIn(choices, "finish_reason")
  if (candidates !== undefined) return fieldsIn(candidates, "finishReason")
  return finishesOf([object === "response" ? responseEnd(json) : (json["stop_reason"] ?? json["done_reason"])])
}
