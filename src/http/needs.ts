/**
 * The few facts of a request body that routing must know; nothing else of it is looked at.
 */
import { Predicate, Result } from "effect"
import { BadRequest } from "../domain/errors.ts"
import { lengthOf, skim } from "./skim.ts"
import type { Ability, Endpoint, RoutingNeeds } from "../domain/request.ts"

type Json = Record<PropertyKey, unknown>

/** Longest model name that is taken, in characters. */
export const maxModelLength = 512

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const bad = (message: string, param: string | null) => new BadRequest({ message, param })

const kind = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (Array.isArray(value)) return "an array"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** Bodies larger than this, in bytes, are skimmed before they are parsed. */
const skimmedAbove = 64 * 1024

const textOf = (body: Uint8Array, skimmed: boolean): string => {
  const text = skimmed ? skim(body) : decoder.decode(body)
  if (text === undefined) throw new TypeError("no UTF-8")
  return text
}

const parse = (body: Uint8Array, skimmed: boolean): Result.Result<Json, BadRequest> => {
  if (body.byteLength === 0) return Result.fail(bad("The request body is empty; a JSON object is expected", null))
  let json: unknown
  try {
    json = JSON.parse(textOf(body, skimmed))
  } catch (error) {
    const why = error instanceof SyntaxError ? "is not valid JSON" : "is not valid UTF-8 JSON"
    return Result.fail(bad(`The request body ${why}`, null))
  }
  return Predicate.isObject(json) && !Array.isArray(json)
    ? Result.succeed(json)
    : Result.fail(bad(`The request body must be a JSON object; ${kind(json)} came`, null))
}

const imageParts = new Set(["image_url", "input_image", "image"])

type LengthOf = (text: string) => number

const plainLength: LengthOf = (text) => text.length

interface Content {
  bytes: number
  vision: boolean
  readonly length: LengthOf
}

// Bytes of a text are counted as UTF-16 units: close enough for an estimate, and free.
const weigh = (content: unknown, into: Content): void => {
  if (typeof content === "string") into.bytes += into.length(content)
  if (!Array.isArray(content)) return
  for (const part of content) {
    if (!Predicate.isObject(part)) {
      if (typeof part === "string") into.bytes += into.length(part)
      continue
    }
    if (typeof part["text"] === "string") into.bytes += into.length(part["text"])
    if (typeof part["type"] === "string" && imageParts.has(part["type"])) into.vision = true
  }
}

const weighMessages = (messages: ReadonlyArray<unknown>, length: LengthOf): Content => {
  const content: Content = { bytes: 0, vision: false, length }
  for (const message of messages) if (Predicate.isObject(message)) weigh(message["content"], content)
  return content
}

const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

const outputOf = (json: Json): number => {
  const asked = json["max_completion_tokens"] ?? json["max_tokens"]
  return typeof asked === "number" && asked > 0 && Number.isFinite(asked) ? Math.floor(asked) : 0
}

const jsonModes = new Set(["json_object", "json_schema"])

const wantsJson = (format: unknown): boolean =>
  Predicate.isObject(format) && typeof format["type"] === "string" && jsonModes.has(format["type"])

const contentFault = (endpoint: Endpoint, json: Json): BadRequest | undefined => {
  if (endpoint === "chat/completions") {
    const { messages } = json
    if (messages === undefined)
      return bad("The field 'messages' is missing; an array of messages is expected", "messages")
    return Array.isArray(messages)
      ? undefined
      : bad(`The field 'messages' must be an array; ${kind(messages)} came`, "messages")
  }
  if (endpoint === "embeddings") {
    const { input } = json
    if (input === undefined) return bad("The field 'input' is missing; a string or an array is expected", "input")
    return typeof input === "string" || Array.isArray(input)
      ? undefined
      : bad(`The field 'input' must be a string or an array; ${kind(input)} came`, "input")
  }
  const { prompt } = json
  return prompt === undefined || prompt === null || typeof prompt === "string" || Array.isArray(prompt)
    ? undefined
    : bad(`The field 'prompt' must be a string or an array; ${kind(prompt)} came`, "prompt")
}

const modelFault = (model: unknown, length: LengthOf): BadRequest | undefined => {
  if (model === undefined) return bad("The field 'model' is missing; the name of a model is expected", "model")
  if (typeof model !== "string") return bad(`The field 'model' must be a string; ${kind(model)} came`, "model")
  if (model === "") return bad("The field 'model' is empty; the name of a model is expected", "model")
  return length(model) > maxModelLength
    ? bad(`The field 'model' is longer than ${maxModelLength} characters`, "model")
    : undefined
}

// Taken as false, an odd value would be judged otherwise by a backend, and its stream be held against it.
const streamFault = (endpoint: Endpoint, stream: unknown): BadRequest | undefined =>
  endpoint === "embeddings" || stream === undefined || stream === null || typeof stream === "boolean"
    ? undefined
    : bad(`The field 'stream' must be true or false; ${kind(stream)} came`, "stream")

const contentOf = (endpoint: Endpoint, json: Json, length: LengthOf): Content => {
  if (endpoint === "chat/completions") {
    return weighMessages(Array.isArray(json["messages"]) ? json["messages"] : [], length)
  }
  const content: Content = { bytes: 0, vision: false, length }
  const texts = endpoint === "embeddings" ? json["input"] : json["prompt"]
  if (Array.isArray(texts)) {
    // Each text of a batch has the context to itself.
    for (const text of texts) if (typeof text === "string") content.bytes = Math.max(content.bytes, length(text))
  } else weigh(texts, content)
  return content
}

/** Reads what routing must know; fails with the field at fault, what came, and what would be right. */
export const readNeeds = (
  endpoint: Endpoint,
  body: Uint8Array,
  skimmed = body.byteLength > skimmedAbove
): Result.Result<RoutingNeeds, BadRequest> => {
  const length = skimmed ? lengthOf : plainLength
  const parsed = parse(body, skimmed)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const json = parsed.success
  const { model } = json
  const fault = modelFault(model, length) ?? contentFault(endpoint, json) ?? streamFault(endpoint, json["stream"])
  if (fault !== undefined) return Result.fail(fault)
  const { bytes, vision } = contentOf(endpoint, json, length)
  const abilities: Array<Ability> = []
  if (vision) abilities.push("vision")
  if (isFilled(json["tools"]) || isFilled(json["functions"])) abilities.push("tools")
  if (wantsJson(json["response_format"])) abilities.push("json_mode")
  if (endpoint === "embeddings") abilities.push("embeddings")
  return Result.succeed({
    endpoint,
    model: String(model),
    stream: json["stream"] === true,
    abilities,
    promptTokens: Math.floor(bytes / 4),
    outputTokens: outputOf(json)
  })
}
