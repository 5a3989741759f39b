/**
 * Why an answer has ended, in words that all dialects share.
 */

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
