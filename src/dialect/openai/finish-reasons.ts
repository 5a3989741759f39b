/**
 * Which finish reasons end an answer, and which do not.
 */

/** What a finish reason says: the answer ended well, ended badly, or some word that nobody knows. */
export type WordEnd = "good" | "bad" | "unknown"

const good = new Set(
  (
    "stop length tool_calls function_call content_filter " +
    // Other servers, and gateways that pass on the words of other dialects.
    "tool_call tool_use end_turn stop_sequence stop_token max_tokens max_length model_length eos eos_token " +
    "complete completed done finished pause_turn refusal safety recitation"
  ).split(" ")
)

// A word for nothing is none.
const nothing = new Set(["", "null", "none", "nil", "undefined", "false"])

const failure = /error|fail|abort|cancel|timed?[ _-]?out|interrupt|crash|disconnect/

/** What a finish reason says; undefined when it is none. */
export const endOf = (reason: string): WordEnd | undefined => {
  const word = reason.trim().toLowerCase()
  if (nothing.has(word)) return undefined
  if (good.has(word)) return "good"
  return failure.test(word) ? "bad" : "unknown"
}
