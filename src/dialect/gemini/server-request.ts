/**
 * A request of the hub as Google's generateContent takes it.
 */
import * as Result from "effect/Result"
import type { BadRequest } from "../../domain/errors.ts"
import type { Chat, ChatField, ChatMessage, ChatPart, ChatTool, EncodedChat, ServerTraits } from "../chat.ts"
import { linkedType } from "../linked-type.ts"
import { boxedForm } from "../boxed-form.ts"
import { type ChatLimits, fittedChat } from "../fitted-chat.ts"
import { unheld } from "../held-fields.ts"
import { unsaid } from "../refused-fields.ts"
import { propertiesOf, typedObject } from "../tool-schema.ts"
import { refusalOf, Unsayable } from "../unsayable.ts"
import { noSignature } from "./gemini-turns.ts"
import { schemaForGoogle } from "./gemini-schema.ts"
import { tierForGoogle } from "./gemini-tiers.ts"
import { geminiAnswerReader } from "./server-answer.ts"
import { wordIn } from "../word-table.ts"
import { callArguments } from "../exact-json.ts"

const encoder = new TextEncoder()

type Fields = Readonly<Record<string, unknown>>

/** A part of a turn. */
interface RequestPart {
  readonly text?: string
  readonly inlineData?: { readonly mimeType: string; readonly data: string }
  readonly fileData?: { readonly mimeType: string; readonly fileUri: string }
  readonly functionCall?: { readonly id: string; readonly name: string; readonly args: Fields }
  readonly functionResponse?: { readonly id: string; readonly name: string; readonly response: Fields }
  readonly thoughtSignature?: string
}

/** A turn. */
interface RequestContent {
  readonly role: "user" | "model"
  readonly parts: ReadonlyArray<RequestPart>
}

interface Thinking {
  readonly thinkingBudget?: number
  readonly thinkingLevel?: string
  readonly includeThoughts?: true
}

interface FormConfig {
  readonly responseMimeType?: string
  readonly responseJsonSchema?: unknown
}

interface RequestConfig extends FormConfig {
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly seed?: number
  readonly presencePenalty?: number
  readonly frequencyPenalty?: number
  readonly candidateCount?: number
  readonly maxOutputTokens?: number
  readonly stopSequences?: ReadonlyArray<string>
  readonly thinkingConfig?: Thinking
  readonly responseLogprobs?: true
  readonly logprobs?: number
  readonly responseModalities?: ReadonlyArray<"TEXT" | "IMAGE">
}

interface Conversation {
  readonly systemInstruction?: { readonly parts: ReadonlyArray<{ readonly text: string }> }
  readonly contents: ReadonlyArray<RequestContent>
}

interface Calling {
  readonly mode: "ANY" | "AUTO" | "NONE"
  readonly allowedFunctionNames?: ReadonlyArray<string>
}

interface Declaration {
  readonly name: string
  readonly description?: string
  readonly parametersJsonSchema?: unknown
}

interface RequestTools {
  readonly tools?: ReadonlyArray<{ readonly functionDeclarations: ReadonlyArray<Declaration> }>
  readonly toolConfig?: { readonly functionCallingConfig: Calling }
}

/** A request. */
export interface GeminiRequest extends Conversation, RequestTools {
  readonly serviceTier?: string
  readonly generationConfig?: RequestConfig
}

// What Google takes at most.
const mostStops = 5

// Ids are taken as they come.
const limits: ChatLimits = {
  names: { unfit: /[^\w.:-]/g, unfitStart: /^[^A-Za-z_]/, longest: 128 },
  ids: { unfit: /[^\s\S]/g, longest: Infinity },
  apart: true
}

// Those before the third generation sign nothing.
const signsNothing = /gemini-[12](?!\d)/

// They are told how many tokens to think for, all later ones how hard to think.
const thinksByBudget = /gemini-2(?!\d)|robotics-er-1/

// They think always, if but a little.
const alwaysThinks = /gemini-[3-9]/
const alwaysThinksByBudget = /gemini-2\.5-pro/

// Of those who are told how hard to think, not all know the least, and one knows nothing in between.
const knowsLeast = /flash-lite|gemini-3(?:\.[0-5])?-flash/
const knowsNoMiddle = /gemini-3-pro/

// Those before them are given what is on the web by nobody.
const fetchesNothing = /gemini-(?:1|2\.0)/

const linkOf = (url: string, mimeType: string, model: string): RequestPart => {
  if (fetchesNothing.test(model) || !/^https:/i.test(url)) {
    throw new Unsayable(
      "messages",
      "must hold images and files themselves (base64): this model fetches none from there, and neither does Nexus"
    )
  }
  return { fileData: { mimeType, fileUri: url } }
}

const partOf = (part: ChatPart, model: string): RequestPart => {
  switch (part.type) {
    case "text":
      return { text: part.text }
    case "image":
      return "url" in part
        ? linkOf(part.url, linkedType(part.url) ?? "image/jpeg", model)
        : { inlineData: { mimeType: part.mediaType, data: part.data } }
    case "file":
      return "url" in part
        ? linkOf(part.url, part.mediaType, model)
        : { inlineData: { mimeType: part.mediaType, data: part.data } }
    case "audio":
      return { inlineData: { mimeType: `audio/${part.format}`, data: part.data } }
  }
}

const argsOf = (name: string, text: string): Fields => {
  const args = callArguments(text)
  if (args !== undefined) return args
  throw new Unsayable("messages", `has a call of '${name}' whose arguments are no JSON object`)
}

const reminder = (text: string): RequestPart => ({ text: `<system-reminder>\n${text}\n</system-reminder>` })

const isSaid = (part: ChatPart): boolean => part.type !== "text" || part.text !== ""

/** The turns of a request: those of one side joined, and results named by their calls. */
class Contents {
  readonly all: Array<{ readonly role: "user" | "model"; readonly parts: Array<RequestPart> }> = []
  private readonly names = new Map<string, string>()
  private readonly signs: boolean
  private readonly model: string

  constructor(model: string) {
    this.model = model
    this.signs = !signsNothing.test(model)
  }

  add(message: ChatMessage): void {
    switch (message.role) {
      case "system":
        return this.say("user", [reminder(message.text)])
      case "user":
        return this.say(
          "user",
          message.parts.filter(isSaid).map((part) => partOf(part, this.model))
        )
      case "tool": {
        const { callId: id, failed, text } = message
        const name = this.names.get(id)
        if (name === undefined) throw new Unsayable("messages", `has a result of a call '${id}' that is not there`)
        const response = failed ? { error: text } : { output: text }
        return this.say("user", [{ functionResponse: { id, name, response } }])
      }
      case "assistant":
        return this.say("model", this.partsOf(message.items))
    }
  }

  private partsOf(items: Extract<ChatMessage, { readonly role: "assistant" }>["items"]): ReadonlyArray<RequestPart> {
    let isFirst = true
    return items.flatMap((item): ReadonlyArray<RequestPart> => {
      if (item.type === "reasoning" || (item.type === "text" && item.text === "")) return []
      if (item.type === "text") {
        return [{ text: item.text, ...(item.signature === undefined ? {} : { thoughtSignature: item.signature }) }]
      }
      const { id, name } = item
      this.names.set(id, name)
      const signature = item.signature ?? (isFirst && this.signs ? noSignature : undefined)
      isFirst = false
      const functionCall = { id, name, args: argsOf(name, item.args) }
      return [{ functionCall, ...(signature === undefined ? {} : { thoughtSignature: signature }) }]
    })
  }

  private say(role: "user" | "model", parts: ReadonlyArray<RequestPart>): void {
    const last = this.all.at(-1)
    if (parts.length === 0) return
    if (last?.role === role) last.parts.push(...parts)
    else this.all.push({ role, parts: [...parts] })
  }
}

// An empty text is refused.
const silence: RequestContent = { role: "user", parts: [{ text: " " }] }

const conversation = ({ messages }: Chat, model: string): Conversation => {
  const first = messages.findIndex(({ role }) => role !== "system")
  const leading = messages.slice(0, first < 0 ? messages.length : first)
  const text = leading.flatMap((message) => (message.role === "system" ? [message.text] : [])).join("\n\n")
  const contents = new Contents(model)
  for (const message of messages.slice(leading.length)) contents.add(message)
  // A request must have a turn.
  if (contents.all.length === 0) return { contents: [{ role: "user", parts: [{ text }] }] }
  // The calls of a model are refused that nobody has asked before.
  const begun: ReadonlyArray<RequestContent> = contents.all[0]?.role === "model" ? [silence] : []
  return { ...(text === "" ? {} : { systemInstruction: { parts: [{ text }] } }), contents: [...begun, ...contents.all] }
}

const saysNothing = (schema: Fields): boolean =>
  Object.keys(schema).every((name) => name === "type" || name === "properties") &&
  Object.keys(propertiesOf(schema)).length === 0

const declarationOf = ({ description, name, schema }: ChatTool): Declaration => {
  const takes = typedObject(schema)
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(saysNothing(takes) ? {} : { parametersJsonSchema: schemaForGoogle(takes) })
  }
}

const modes = { auto: "AUTO", none: "NONE", required: "ANY" } as const

const callingOf = (choice: NonNullable<Chat["toolChoice"]>): Calling =>
  typeof choice === "object" ? { mode: "ANY", allowedFunctionNames: [choice.name] } : { mode: modes[choice] }

const toolsOf = ({ toolChoice, tools }: Chat): RequestTools => ({
  ...(tools.length === 0 ? {} : { tools: [{ functionDeclarations: tools.map(declarationOf) }] }),
  ...(tools.length === 0 || toolChoice === undefined
    ? {}
    : { toolConfig: { functionCallingConfig: callingOf(toolChoice) } })
})

const budgets: Readonly<Record<string, number>> = {
  none: 0,
  minimal: 1024,
  low: 4096,
  medium: 8192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576
}

// The least that one can be told that always thinks.
const leastBudget = 128

const levels: Readonly<Record<string, string>> = { none: "MINIMAL", xhigh: "HIGH", max: "HIGH" }

/** How hard to think, as near as the model can be told, below where it cannot be told so. */
const levelOf = (effort: string, model: string): string => {
  const level = wordIn(levels, effort) ?? effort.toUpperCase()
  const isUnknown =
    (level === "MINIMAL" && alwaysThinks.test(model) && !knowsLeast.test(model)) ||
    (level === "MEDIUM" && knowsNoMiddle.test(model))
  return isUnknown ? "LOW" : level
}

const isByBudget = (model: string, effort: string): boolean =>
  thinksByBudget.test(model) || (effort === "none" && !alwaysThinks.test(model))

const thinkingOf = ({ effort, showThoughts }: Chat, model: string): Thinking => {
  const shown: Thinking = showThoughts === true ? { includeThoughts: true } : {}
  if (effort === undefined) return shown
  const budget = effort === "none" && alwaysThinksByBudget.test(model) ? leastBudget : wordIn(budgets, effort)
  // It refuses to show the thoughts of who does not think.
  if (isByBudget(model, effort) && budget === 0) return { thinkingBudget: 0 }
  if (isByBudget(model, effort)) return budget === undefined ? shown : { thinkingBudget: budget, ...shown }
  return { thinkingLevel: levelOf(effort, model), ...shown }
}

const formatOf = ({ format }: Chat): FormConfig => {
  if (format === undefined) return {}
  const schema = format.type === "schema" ? { responseJsonSchema: schemaForGoogle(format.schema) } : {}
  return { responseMimeType: "application/json", ...schema }
}

const isEmpty = (fields: object): boolean => Object.keys(fields).length === 0

const configOf = (chat: Chat, model: string): RequestConfig => {
  const {
    choices,
    frequencyPenalty,
    logprobs,
    maxTokens,
    presencePenalty,
    seed,
    stop = [],
    temperature,
    topK,
    topP
  } = chat
  const thinkingConfig = thinkingOf(chat, model)
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(typeof seed === "number" ? { seed } : {}),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(choices === undefined ? {} : { candidateCount: choices }),
    ...(maxTokens === undefined ? {} : { maxOutputTokens: maxTokens }),
    ...(stop.length === 0 ? {} : { stopSequences: stop }),
    ...formatOf(chat),
    ...(logprobs === undefined ? {} : { responseLogprobs: true, ...(logprobs === 0 ? {} : { logprobs }) }),
    ...(chat.images === true ? { responseModalities: ["TEXT", "IMAGE"] } : {}),
    ...(isEmpty(thinkingConfig) ? {} : { thinkingConfig })
  }
}

// What there are words for.
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
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "choices",
  "logprobs",
  "effort",
  "showThoughts",
  "format",
  "images",
  "tier"
] as const

const droppedOf = (chat: Chat): ReadonlyArray<ChatField> => [
  // Google's seeds have 32 bits.
  ...(chat.seed !== undefined && typeof chat.seed !== "number" ? (["seed"] as const) : []),
  ...(chat.tier !== undefined && chat.tier !== "auto" && tierForGoogle(chat.tier) === undefined
    ? (["tier"] as const)
    : []),
  ...(chat.parallelCalls === false && chat.tools.length > 0 ? (["parallelCalls"] as const) : []),
  ...unsaid(chat, told),
  ...unheld(chat, ["signature", "textSignature"])
]

/** The body of a request to `model`. */
export const encodeGeminiRequest = (
  asked: Chat,
  model: string,
  traits: ServerTraits
): Result.Result<EncodedChat, BadRequest> => {
  const { chat, dropped, opening } = boxedForm(asked, false)
  const { choices = 1, stop = [] } = chat
  try {
    if (stop.length > mostStops) {
      throw new Unsayable("stop", `has more than the ${mostStops} stop sequences that the backend of this model takes`)
    }
    const { chat: fit, restoring } = fittedChat(chat, limits)
    const generationConfig = configOf(fit, model)
    const serviceTier = tierForGoogle(chat.tier)
    const request: GeminiRequest = {
      ...conversation(fit, model),
      ...toolsOf(fit),
      ...(isEmpty(generationConfig) ? {} : { generationConfig }),
      ...(serviceTier === undefined ? {} : { serviceTier })
    }
    const body = encoder.encode(JSON.stringify(request))
    const answers = opening(restoring(geminiAnswerReader(choices)))
    return Result.succeed({ body, dropped: [...dropped, ...droppedOf(chat)], answers })
  } catch (error) {
    return Result.fail(refusalOf(error, traits))
  }
}
