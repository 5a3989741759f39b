/**
 * What is looked at in a body, however it was read: parsed whole, or gone through in slices.
 */
import { Predicate } from "effect"
import type { Endpoint } from "../domain/request.ts"

/** A parsed JSON object. */
export type Json = Readonly<Record<PropertyKey, unknown>>

/** How much text there is for the model, and whether an image is with it. */
export interface Weight {
  bytes: number
  vision: boolean
}

/** The fields of a body that decide anything. */
export interface Facts {
  /** Its fields at the top; arrays and objects among them may be empty where they came filled. */
  readonly top: Json
  readonly content: Weight
  readonly tools: boolean
  readonly jsonMode: boolean
}

/** Types of a content part that is an image. */
export const imageParts: ReadonlySet<string> = new Set(["image_url", "input_image", "image"])

/** Types of a response format that want JSON. */
export const jsonModes: ReadonlySet<string> = new Set(["json_object", "json_schema"])

/** The field that a request's text stands in. */
export const contentField = (endpoint: Endpoint, top: Json): "messages" | "input" | "prompt" => {
  if (endpoint === "completions") return "prompt"
  if (endpoint === "chat/completions") return "messages"
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

// Each text of a batch has the context to itself.
const weighTexts = (texts: unknown): Weight => {
  let bytes = typeof texts === "string" ? texts.length : 0
  if (Array.isArray(texts)) {
    for (const text of texts) if (typeof text === "string") bytes = Math.max(bytes, text.length)
  }
  return { bytes, vision: false }
}

const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

const wantsJson = (format: unknown): boolean =>
  Predicate.isObject(format) && typeof format["type"] === "string" && jsonModes.has(format["type"])

/** The facts of a body that was parsed. */
export const factsOf = (endpoint: Endpoint, json: Json): Facts => {
  const field = contentField(endpoint, json)
  return {
    top: json,
    content: field === "messages" ? weighMessages(json[field]) : weighTexts(json[field]),
    tools: isFilled(json["tools"]) || isFilled(json["functions"]),
    jsonMode: wantsJson(json["response_format"])
  }
}
