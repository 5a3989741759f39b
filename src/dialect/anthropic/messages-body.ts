/**
 * A request of the hub as Anthropic's Messages take it.
 */
import { createHash } from "node:crypto"
import * as Result from "effect/Result"
import type { BadRequest } from "../../domain/errors.ts"
import type { Chat, ChatField, ChatTurnItem, EncodedChat, ServerTraits, SystemText } from "../chat.ts"
import { boxedForm } from "../boxed-form.ts"
import { type ChatLimits, fittedChat } from "../fitted-chat.ts"
import { unheld } from "../held-fields.ts"
import { unsaid } from "../refused-fields.ts"
import { type Fields, tellMessages, toldSystem } from "./messages-content.ts"
import { noImages, refusalOf, Unsayable } from "../unsayable.ts"
import { messageReader } from "./messages-events.ts"
import { isForAnthropic, unsealedHidden } from "../signatures.ts"
import { heldForm } from "./messages-form.ts"
import { isFlattened } from "../tool-schema.ts"
import { heldTools } from "./messages-tools.ts"
import { thinkingOf } from "./messages-thinking.ts"
import { wordIn } from "../word-table.ts"

const encoder = new TextEncoder()

// What Anthropic takes for the names of tools and the ids of calls.
const limits: ChatLimits = {
  names: { unfit: /[^A-Za-z0-9_-]/g, longest: 64 },
  ids: { unfit: /[^A-Za-z0-9_-]/g, longest: 64 },
  apart: true
}

const isCall = (item: ChatTurnItem): item is ChatTurnItem & { readonly type: "call" } => item.type === "call"

const callsIn = ({ messages }: Chat): ReadonlyArray<string> =>
  messages.flatMap((message) =>
    message.role === "assistant" ? message.items.filter(isCall).map(({ name }) => name) : []
  )

// Calls of the history are of tools that have to be there, though none may be called now.
const formerTools = (chat: Chat): Fields => {
  const names = [...new Set(callsIn(chat))]
  if (names.length === 0) return {}
  return {
    tools: names.map((name) => ({ name, input_schema: { type: "object", properties: {} } })),
    tool_choice: { type: "none" }
  }
}

const choiceOf = (choice: Chat["toolChoice"]): Fields => {
  if (typeof choice === "object") return { type: "tool", name: choice.name }
  return { type: choice === "required" ? "any" : (choice ?? "auto") }
}

const toolsOf = (chat: Chat, tools: ReadonlyArray<Fields>): Fields => {
  const { parallelCalls, toolChoice } = chat
  if (tools.length === 0) return formerTools(chat)
  const told = { tools }
  const single = parallelCalls === false && toolChoice !== "none"
  if (toolChoice === undefined && !single) return told
  return { ...told, tool_choice: { ...choiceOf(toolChoice), ...(single ? { disable_parallel_tool_use: true } : {}) } }
}

// A model's answer when nothing says how long it may be.
const usualTokens = 4096

const longestUser = 128

// Whom a person can be known by is not told.
const personal = /@|^\+?\d[\d\s()-]{6,}$/

const userOf = ({ safetyId, user = safetyId }: Chat): Fields => {
  if (user === undefined) return {}
  const told = user.length > longestUser || personal.test(user)
  return { metadata: { user_id: told ? createHash("sha256").update(user).digest("hex") : user } }
}

const tiers: Readonly<Record<string, string>> = { auto: "auto", default: "standard_only" }

const jsonOnly = "Answer with one JSON object, and with nothing before or behind it."

const asDescribed = "Answer with the JSON that this JSON Schema describes, and with nothing before or behind it:"

/** The form of the answer: what the model is held to, and what it is told instead where it can be held to nothing. */
const formOf = ({ format }: Chat) => {
  if (format === undefined) return { told: [], output: {}, dropped: [] }
  if (format.type === "json") return { told: [{ text: jsonOnly }], output: {}, dropped: [] }
  const form = heldForm(format.schema)
  if (form === undefined) {
    const text = `${asDescribed}\n${JSON.stringify(format.schema)}`
    return { told: [{ text }], output: {}, dropped: ["format"] as const }
  }
  const output = { format: { type: "json_schema", schema: form.schema } }
  return { told: [], output, dropped: form.loose ? (["formatRules"] as const) : [] }
}

const systemOf = (system: ReadonlyArray<SystemText>): Fields =>
  system.length === 0 ? {} : { system: toldSystem(system) }

const highestTemperature = 1

// What is told always; the rest depends on its value.
const told = [
  "stream",
  "messages",
  "tools",
  "toolChoice",
  "parallelCalls",
  "maxTokens",
  "stop",
  "temperature",
  "topP",
  "topK",
  "choices",
  "effort",
  "showThoughts",
  "format",
  "user",
  "tier",
  "cache"
] as const

const someItem = ({ messages }: Chat, is: (item: ChatTurnItem) => boolean): boolean =>
  messages.some((message) => message.role === "assistant" && message.items.some(is))

// What signs a thought that is kept hidden signs none of what is told of it.
const isUnsigned = (item: ChatTurnItem): boolean =>
  item.type === "reasoning" &&
  (!isForAnthropic(item.signature) || (item.text !== "" && unsealedHidden(item.signature) !== undefined))

// Thoughts are told where they are signed.
const held = ["reasoning", "thoughtSignature", "strict", "fileName"] as const

/** Sampling, as far as it may stand beside thoughts in tokens. */
const samplingOf = ({ temperature, topK, topP }: Chat, thinks: boolean): Fields => ({
  ...(temperature === undefined || thinks
    ? {}
    : { temperature: Math.min(highestTemperature, Math.max(0, temperature)) }),
  ...(topP === undefined || thinks ? {} : { top_p: topP }),
  ...(topK === undefined || thinks ? {} : { top_k: topK })
})

const lostSampling = ({ temperature, topK, topP }: Chat, thinks: boolean): ReadonlyArray<ChatField> => [
  ...(temperature !== undefined && (thinks || temperature > highestTemperature) ? (["temperature"] as const) : []),
  ...(topP !== undefined && thinks ? (["topP"] as const) : []),
  ...(topK !== undefined && thinks ? (["topK"] as const) : [])
]

const bodyOf = (chat: Chat, model: string, traits: ServerTraits): { body: Fields; dropped: Array<ChatField> } => {
  const { effort, maxTokens, safetyId, showThoughts, stop = [], stream, tier, tools, user } = chat
  const { messages, system } = tellMessages(chat.messages)
  if (messages.length === 0)
    throw new Unsayable("messages", "says nothing but blanks, which this model does not answer")
  const thinking = thinkingOf(chat, model, traits)
  const thinks = thinking.budget > 0
  const stops = stop.filter((each) => each.trim() !== "")
  const most = maxTokens ?? Math.max(traits.mostTokens ?? usualTokens, thinks ? thinking.budget + usualTokens : 0)
  const form = formOf(chat)
  const toolsTold = heldTools(tools)
  const output = { ...(thinking.effort === undefined ? {} : { effort: thinking.effort }), ...form.output }
  const knownTier = wordIn(tiers, tier)
  const dropped: Array<ChatField> = [
    ...unsaid(chat, user === undefined ? [...told, "safetyId"] : told),
    ...(effort !== undefined && thinking.dropped ? (["effort"] as const) : []),
    // Those that are told how hard to think show what they like.
    ...(showThoughts === true && !thinks ? (["showThoughts"] as const) : []),
    ...lostSampling(chat, thinks),
    ...(stops.length < stop.length ? (["stop"] as const) : []),
    ...form.dropped,
    ...(tier !== undefined && knownTier === undefined ? (["tier"] as const) : []),
    ...(tools.some(isFlattened) ? (["tools"] as const) : []),
    ...(tools.some(({ strict }, at) => strict === true && toolsTold[at]?.["strict"] !== true)
      ? (["strict"] as const)
      : []),
    ...(someItem(chat, isUnsigned) ? (["reasoning"] as const) : []),
    ...unheld(chat, held)
  ]
  const body = {
    model,
    max_tokens: most,
    ...systemOf([...system, ...form.told]),
    messages,
    ...toolsOf(chat, toolsTold),
    ...samplingOf(chat, thinks),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    ...(thinking.thinking === undefined ? {} : { thinking: thinking.thinking }),
    ...(Object.keys(output).length === 0 ? {} : { output_config: output }),
    ...userOf({ ...chat, ...(safetyId === undefined ? {} : { safetyId }) }),
    ...(knownTier === undefined ? {} : { service_tier: knownTier }),
    ...(chat.cache?.whole === undefined ? {} : { cache_control: chat.cache.whole }),
    ...(stream ? { stream: true } : {})
  }
  return { body, dropped }
}

/** The body of a request to `model`. */
export const encodeMessagesRequest = (
  asked: Chat,
  model: string,
  traits: ServerTraits
): Result.Result<EncodedChat, BadRequest> => {
  const { chat, dropped: unboxed, opening } = boxedForm(asked, false)
  const { choices = 1 } = chat
  const { chat: fit, restoring } = fittedChat(chat, limits)
  try {
    if (chat.images === true) throw noImages()
    if (choices > 1) throw new Unsayable("choices", "must be 1: this model gives one answer to a request")
    const { body, dropped } = bodyOf(fit, model, traits)
    return Result.succeed({
      body: encoder.encode(JSON.stringify(body)),
      dropped: [...unboxed, ...dropped],
      answers: opening(restoring(messageReader))
    })
  } catch (error) {
    return Result.fail(refusalOf(error, traits))
  }
}
