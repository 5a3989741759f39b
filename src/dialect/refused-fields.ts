/**
 * What of a request a server refuses to be told at all, by the words of its refusal: an answer is to be had without it.
 */
import type { Chat, ChatField } from "./chat.ts"

// By their names in requests of any dialect; of two that exclude each other the first stays.
const refusable: ReadonlyArray<readonly [field: ChatField, named: RegExp]> = [
  ["temperature", /temperature/i],
  ["topP", /top[_ -]?p\b/i],
  ["topK", /top[_ -]?k\b/i],
  ["seed", /\bseed\b/i],
  ["user", /\buser(?:_id)?['"`:]/i],
  ["tier", /service[_ ]?tier/i],
  ["presencePenalty", /presence[_ ]?penalty/i],
  ["frequencyPenalty", /frequency[_ ]?penalty/i],
  ["verbosity", /verbosity/i],
  ["safetyId", /safety[_ ]?identifier/i],
  ["cacheKey", /prompt[_ ]?cache[_ ]?key/i],
  ["logprobs", /\blog[_ ]?prob(?:s|abilities)\b/i],
  ["parallelCalls", /parallel[_ ](?:tool[_ ]|function[_ ])?(?:calls|use)/i]
]

// By these a server says that it does not take a thing, whatever its value.
const refuses =
  /(?:not|n't|no) (?:be |currently |yet |longer )*(?:support|allow|permit|accept|available|enabled|compatible|both)|unsupported|deprecated|unknown|unrecognized|unexpected|extra (?:inputs|fields)|removed|only the default|may only be/i

const excludes = /\bboth\b|together|simultaneously|at the same time/i

const thinking = /think|reasoning|effort/i

const thoughts = /reasoning_content|thinking blocks?/i

// Some want them back in every turn: nothing is mended by leaving them out.
const wants = /pass(?:ed)? back|missing|required|must (?:be (?:given|present|provided)|start|include|contain)/i

/** Whether a request says it. */
export const says = (chat: Chat, field: ChatField): boolean => {
  if (field !== "reasoning") return Object.hasOwn(chat, field)
  return chat.messages.some(
    (message) => message.role === "assistant" && message.items.some(({ type }) => type === "reasoning")
  )
}

/** The fields of a request that the words of a refusal are about; none where something else is wrong with it. */
export const refusedFields = (chat: Chat, words: string): ReadonlyArray<ChatField> => {
  const found = refuses.test(words)
    ? refusable.flatMap(([field, named]) => (named.test(words) && says(chat, field) ? [field] : []))
    : []
  if (found.length > 0) return found.length > 1 && excludes.test(words) ? found.slice(1) : found
  if (thoughts.test(words) && wants.test(words)) return []
  if (thoughts.test(words) && says(chat, "reasoning")) return ["reasoning"]
  return thinking.test(words) && says(chat, "effort") ? ["effort"] : []
}

type RequestField = Exclude<keyof Chat, "extra" | "newerBound">

const isField = (name: string): name is RequestField => name !== "extra" && name !== "newerBound"

/** The fields that a server has no word for: all that hold anything but the known ones, those of a later hub included. */
export const unsaid = (chat: Chat, known: ReadonlyArray<RequestField>): ReadonlyArray<ChatField> =>
  Object.entries(chat).flatMap(([name, value]) =>
    value !== undefined && isField(name) && !known.includes(name) ? [name] : []
  )

/** A request that does not say these. */
export const withoutFields = (chat: Chat, fields: ReadonlySet<ChatField>): Chat => {
  if (fields.size === 0) return chat
  const kept = { ...chat }
  for (const field of fields) Reflect.deleteProperty(kept, field)
  if (!fields.has("reasoning")) return kept
  const messages = chat.messages.map((message) =>
    message.role === "assistant"
      ? { ...message, items: message.items.filter(({ type }) => type !== "reasoning") }
      : message
  )
  return { ...kept, messages }
}
