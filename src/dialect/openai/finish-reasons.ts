/**
 * Why answers end, in the words of all who speak as OpenAI does: its own, those of other makers, and those of other dialects
 * that proxies pass on.
 */
import type { ChatStop } from "../chat.ts"
import { wordIn } from "../word-table.ts"

/** What a finish reason says: the answer ended well, ended badly, or some word that nobody knows. */
export type Finish = "good" | "bad" | "unknown"

const all = (reason: Exclude<ChatStop["reason"], "string">, words: string): Readonly<Record<string, ChatStop>> =>
  Object.fromEntries(words.split(" ").map((word) => [word, { reason }]))

const stops: Readonly<Record<string, ChatStop>> = {
  ...all("end", "stop end_turn stop_sequence stop_token eos eos_token complete completed done finished pause_turn"),
  ...all("length", "length max_tokens max_length max_output_tokens model_length model_context_window_exceeded"),
  ...all("calls", "tool_calls function_call tool_call tool_use"),
  ...all("filter", "content_filter refusal safety recitation sensitive blocklist prohibited_content spii")
}

// A word for nothing is none.
const nothing = new Set(["", "null", "none", "nil", "undefined", "false"])

const failure = /error|fail|abort|cancel|timed?[ _-]?out|interrupt|crash|disconnect|insufficient/

const plain = (reason: string): string => reason.trim().toLowerCase()

/** What a finish reason says; undefined when it is none. */
export const finishKind = (reason: string): Finish | undefined => {
  const word = plain(reason)
  if (nothing.has(word)) return undefined
  if (wordIn(stops, word) !== undefined) return "good"
  return failure.test(word) ? "bad" : "unknown"
}

/** Why an answer ended that has ended well; with a word that nobody knows it has ended as others do. */
export const stopBy = (reason: string): ChatStop => wordIn(stops, plain(reason)) ?? { reason: "end" }
