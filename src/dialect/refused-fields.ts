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
  ["minP", /\bmin[_ -]?p\b/i],
  ["typicalP", /\btypical[_ -]?p\b/i],
  ["repeatPenalty", /repe(?:at|tition)[_ ]?penalty/i],
  ["repeatWindow", /repeat[_ ]?last[_ ]?n\b/i],
  ["mirostat", /\bmirostat\b/i],
  ["mirostatTau", /mirostat[_ ]?tau/i],
  ["mirostatEta", /mirostat[_ ]?eta/i],
  ["verbosity", /verbosity/i],
  ["safetyId", /safety[_ ]?identifier/i],
  ["cacheKey", /prompt[_ ]?cache[_ ]?key/i],
  ["logprobs", /\blog[_ ]?prob(?:s|abilities)\b/i],
  ["parallelCalls", /parallel[_ ](?:tool[_ ]|function[_ ])?(?:calls|use)/i],
  ["strict", /\bstrict\b/i]
]

// By these a server says that it does not take a thing, whatever its value.
const refuses =
  /(?:not|n't|no) (?:be |currently |yet |longer )*(?:support|allow|permit|accept|available|enabled|compatible|both)|unsupported|deprecated|unknown|unrecognized|unexpected|extra (?:inputs|fields)|removed|only the default|may only be/i

// Who holds a model to the tools it is told of holds it to no more than so much.
const tooStrict = /too many strict|grammar is too large|too complex for compilation|too many (?:optional|union)/i

const excludes = /\bboth\b|together|simultaneously|at the same time/i

const thinking = /think|reasoning|effort/i

const degree = /effort|level|budget/i

const shown = /include[_ ]?thoughts/i

const thoughts = /reasoning_content|thinking blocks?/i

// Some want them back in every turn: nothing is mended by leaving them out.
const wants = /pass(?:ed)? back|missing|required|must (?:be (?:given|present|provided)|start|include|contain)/i

// How much a model may think, by degrees.
const degrees = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const

type Degree = (typeof degrees)[number]

/** What a server refuses: a field, or one of the words for how much to think, those that are no degree in one. */
export type ModelRefusal = ChatField | `effort ${Degree | "other"}`

const quoted = /["'`](none|minimal|low|medium|high|xhigh|max)["'`]/g

/** The words for how much to think that are not among those of a refusal, which lists what is taken; none where it does not. */
const unlisted = (asked: string | undefined, words: string): ReadonlyArray<ModelRefusal> => {
  const listed = new Set(Array.from(words.matchAll(quoted), ([, word]) => word))
  if (asked !== undefined) listed.delete(asked)
  // Who is to think is not told that it is not to.
  if (![...listed].some((word) => word !== "none")) return []
  // Not to think is no degree of it for some, who have another field for that and do not list it.
  const isRefused = (degree: Degree): boolean => !listed.has(degree) && (degree !== "none" || asked === "none")
  const refused: ReadonlyArray<Degree | "other"> = degrees.filter(isRefused)
  const others = degrees.some((degree) => degree === asked) ? refused : [...refused, "other" as const]
  return others.map((word): ModelRefusal => `effort ${word}`)
}

/**
 * The word that comes nearest to how much a model is to think among those that are not refused, the smaller one of two; none
 * comes near to a word that is no degree.
 */
const takenDegree = (asked: string, refused: ReadonlySet<ModelRefusal>): string | undefined => {
  const at = degrees.findIndex((degree) => degree === asked)
  const isTaken = (degree: Degree): boolean => !refused.has(`effort ${degree}`)
  if (!refused.has(`effort ${degrees[at] ?? "other"}`)) return asked
  if (at < 0) return undefined
  const away = (degree: Degree): number => Math.abs(degrees.indexOf(degree) - at)
  return degrees
    .filter((degree) => degree !== "none" && isTaken(degree))
    .toSorted((one, other) => away(one) - away(other))[0]
}

const isField = (refusal: ModelRefusal): refusal is ChatField => !refusal.startsWith("effort ")

/** Whether a request says it. */
export const says = (chat: Chat, field: ChatField): boolean => {
  if (field === "strict") return chat.tools.some(({ strict }) => strict === true)
  if (field !== "reasoning") return Object.hasOwn(chat, field)
  return chat.messages.some(
    (message) => message.role === "assistant" && message.items.some(({ type }) => type === "reasoning")
  )
}

/** Whether by the words of a refusal a request is strict in more than a model can be held to; another request may not be. */
export const isTooStrict = (chat: Chat, words: string): boolean => tooStrict.test(words) && says(chat, "strict")

/** The fields of a request that the words of a refusal are about; none where something else is wrong with it. */
export const refusedFields = (chat: Chat, words: string): ReadonlyArray<ModelRefusal> => {
  const found = refuses.test(words)
    ? refusable.flatMap(([field, named]) => (named.test(words) && says(chat, field) ? [field] : []))
    : []
  if (found.length > 0) return found.length > 1 && excludes.test(words) ? found.slice(1) : found
  if (thoughts.test(words) && wants.test(words)) return []
  if (thoughts.test(words) && says(chat, "reasoning")) return ["reasoning"]
  if (!thinking.test(words)) return []
  if (shown.test(words) && says(chat, "showThoughts")) return ["showThoughts"]
  const others = says(chat, "effort") ? unlisted(chat.effort, words) : []
  if (others.length > 0) return others
  // Who cannot think at all has no thoughts to show.
  const isOfDegree = degree.test(words) || !refuses.test(words)
  const fields: ReadonlyArray<ChatField> = isOfDegree ? ["effort"] : ["effort", "showThoughts"]
  return fields.filter((field) => says(chat, field))
}

/** The fields of a request that are left out because a server refuses them. */
export const leftOut = (chat: Chat, refused: ReadonlySet<ModelRefusal>): ReadonlyArray<ChatField> => {
  if (refused.size === 0) return []
  const fields = [...refused].filter(isField).filter((field) => says(chat, field))
  const isUntold = chat.effort !== undefined && takenDegree(chat.effort, refused) === undefined
  return isUntold && !refused.has("effort") ? [...fields, "effort"] : fields
}

type RequestField = Exclude<keyof Chat, "extra" | "newerBound">

const isOfRequest = (name: string): name is RequestField => name !== "extra" && name !== "newerBound"

/** The fields that a server has no word for: all that hold anything but the known ones, those of a later hub included. */
export const unsaid = (chat: Chat, known: ReadonlyArray<RequestField>): ReadonlyArray<ChatField> => {
  const found: Array<ChatField> = []
  for (const name in chat) {
    if (isOfRequest(name) && chat[name] !== undefined && !known.includes(name)) found.push(name)
  }
  return found
}

/** A request that does not say these; how much to think is told in a word that is not refused. */
export const withoutFields = (chat: Chat, fields: ReadonlySet<ModelRefusal>): Chat => {
  if (fields.size === 0) return chat
  const { effort: asked, ...others } = chat
  const effort = asked === undefined ? undefined : takenDegree(asked, fields)
  const tools = fields.has("strict") ? chat.tools.map((tool) => ({ ...tool, strict: undefined })) : chat.tools
  const kept = { ...others, tools, ...(effort === undefined ? {} : { effort }) }
  for (const field of fields) Reflect.deleteProperty(kept, field)
  if (!fields.has("reasoning")) return kept
  const messages = chat.messages.map((message) =>
    message.role === "assistant"
      ? { ...message, items: message.items.filter(({ type }) => type !== "reasoning") }
      : message
  )
  return { ...kept, messages }
}
