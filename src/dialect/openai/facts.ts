/**
 * What is looked at in a body, however it was read: parsed whole, or gone through in slices.
 */
import * as Predicate from "effect/Predicate"
import type { Endpoint } from "./openai-endpoints.ts"
import {
  batchEstimate,
  estimateOf,
  estimatePrompt,
  type TokenEstimate,
  type TokenWeight as Counted,
  weighText as count,
  weighJson,
  noTokens,
  noWeight,
  withTokenIds
} from "../token-estimate.ts"

/** A parsed JSON object. */
export type Json = Readonly<Record<PropertyKey, unknown>>

/** How much text there is for the model, at a glance, and whether an image is with it. */
interface Weight {
  bytes: number
  vision: boolean
}

/** What there is of a list of texts, each of which has the context to itself. */
export interface TextBatch {
  /** The bytes of the longest. */
  bytes: number
  /** Those of all of them. */
  allBytes: number
  /** Tokens that came as their numbers. */
  ids: number
  /** How many there are, with those that are lists of such tokens. */
  texts: number
}

/** The fields of a body that decide anything. */
export interface Facts {
  /** Its fields at the top; arrays and objects among them may be empty where they came filled. */
  readonly top: Json
  readonly content: Weight
  /** Undefined of a conversation. */
  readonly batch: TextBatch | undefined
  readonly tools: boolean
  readonly jsonMode: boolean
}

/** Types of a content part that is an image. */
export const imageParts: ReadonlySet<string> = new Set(["image_url", "input_image", "image"])

/** Types of a response format that want JSON. */
export const jsonModes: ReadonlySet<string> = new Set(["json_object", "json_schema"])

/** The field that a request's text stands in. */
export const contentField = (endpoint: Endpoint, top: Json): "messages" | "input" | "prompt" => {
  if (endpoint === "chat/completions") return "messages"
  if (endpoint !== "embeddings") return "prompt"
  // Some servers make an embedding of a conversation.
  return top["input"] === undefined && top["messages"] !== undefined ? "messages" : "input"
}

// Bytes of a text are counted as UTF-16 units: close enough for an estimate, and free.
const weigh = (content: unknown, into: Weight): void => {
  if (typeof content === "string") into.bytes += content.length
  if (!Array.isArray(content)) return
  for (const part of content) {
    if (!Predicate.isObject(part)) {
      if (typeof part === "string") into.bytes += part.length
      continue
    }
    if (typeof part["text"] === "string") into.bytes += part["text"].length
    if (typeof part["type"] === "string" && imageParts.has(part["type"])) into.vision = true
  }
}

const weighMessages = (messages: unknown): Weight => {
  const weight: Weight = { bytes: 0, vision: false }
  if (!Array.isArray(messages)) return weight
  for (const message of messages) if (Predicate.isObject(message)) weigh(message["content"], weight)
  return weight
}

/** Nothing of a list. */
export const emptyBatch = (): TextBatch => ({ bytes: 0, allBytes: 0, ids: 0, texts: 0 })

/** Counts one text of a list. */
export const addText = (batch: TextBatch, bytes: number): void => {
  batch.bytes = Math.max(batch.bytes, bytes)
  batch.allBytes += bytes
  batch.texts += 1
}

const idsIn = (list: ReadonlyArray<unknown>): number => {
  let ids = 0
  for (const each of list) if (typeof each === "number") ids += 1
  return ids
}

const tokenIdsOf = (texts: unknown): number => {
  if (!Array.isArray(texts)) return 0
  return texts.reduce<number>((sum, each) => (Array.isArray(each) ? sum + idsIn(each) : sum), idsIn(texts))
}

const batchOf = (texts: unknown): TextBatch => {
  const batch = emptyBatch()
  if (typeof texts === "string") addText(batch, texts.length)
  if (!Array.isArray(texts)) return batch
  for (const text of texts) {
    if (typeof text === "string") addText(batch, text.length)
    else if (Array.isArray(text)) batch.texts += 1
  }
  batch.ids = tokenIdsOf(texts)
  return batch
}

const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

const wantsJson = (format: unknown): boolean =>
  Predicate.isObject(format) && typeof format["type"] === "string" && jsonModes.has(format["type"])

/** The facts of a body that was parsed. */
export const factsOf = (endpoint: Endpoint, json: Json): Facts => {
  const field = contentField(endpoint, json)
  const batch = field === "messages" ? undefined : batchOf(json[field])
  return {
    top: json,
    content: batch === undefined ? weighMessages(json[field]) : { bytes: batch.bytes, vision: false },
    batch,
    tools: isFilled(json["tools"]) || isFilled(json["functions"]),
    jsonMode: wantsJson(json["response_format"])
  }
}

const weighContent = (content: unknown, into: Counted): void => {
  if (typeof content === "string") return count(content, into)
  if (!Array.isArray(content)) return
  for (const part of content) {
    if (typeof part === "string") count(part, into)
    else if (Predicate.isObject(part) && typeof part["text"] === "string") count(part["text"], into)
  }
}

/** The fields of a message that hold calls of tools. */
export const callFields = ["tool_calls", "function_call"] as const

/** Whether a request says that no tool may be called: some servers then leave the tools out of the prompt. */
export const isToolsOff = (top: Json): boolean => top["tool_choice"] === "none"

const tokensOfText = (text: string): TokenEstimate => {
  const weight = noWeight()
  count(text, weight)
  return estimateOf(weight)
}

/** The tokens that a parsed body makes, looked at letter by letter. */
export const tokensIn = (endpoint: Endpoint, json: Json): TokenEstimate => {
  const field = contentField(endpoint, json)
  const content = json[field]
  if (field !== "messages") {
    if (typeof content === "string") return tokensOfText(content)
    const texts = Array.isArray(content) ? content : []
    const all = texts.reduce<TokenEstimate>(
      (batch, each) => (typeof each === "string" ? batchEstimate(batch, tokensOfText(each)) : batch),
      noTokens
    )
    return withTokenIds(all, tokenIdsOf(texts))
  }
  const said = noWeight()
  for (const message of Array.isArray(content) ? content : []) {
    if (!Predicate.isObject(message)) continue
    weighContent(message["content"], said)
    for (const name of callFields) weighJson(message[name], said)
  }
  const tools = noWeight()
  for (const name of ["tools", "functions"]) if (Array.isArray(json[name])) weighJson(json[name], tools)
  const form = noWeight()
  const format = json["response_format"]
  if (Predicate.isObject(format)) weighJson(format["json_schema"], form)
  return estimatePrompt({ said, tools, toolsOff: isToolsOff(json), form })
}
