/**
 * The few facts of a request to Google's models that routing must know, and how many tokens its prompt makes.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Ability, OperationFacts } from "../../domain/request.ts"
import type { LeastContext, NeedsReading, ReadRequest } from "../Dialect.ts"
import { answersOf, modelFault } from "../json-body.ts"
import { readBuilt } from "../parsed-body.ts"
import type { JsonObject } from "../request-notes.ts"
import {
  batchEstimate,
  estimateOf,
  estimatePrompt,
  noTokens,
  noWeight,
  type TokenEstimate,
  type TokenWeight,
  weighJson,
  weighText
} from "../token-estimate.ts"
import { fieldsOf, isGiven, manyOf, withForms, wordOf } from "./gemini-fields.ts"

/** What is looked at in a conversation. */
interface Seen {
  vision: boolean
  characters: number
}

// Tokens that an image makes, which no text tells.
const imageHundredths = 25_800

const isImage = (data: unknown): boolean => {
  const { mimeType } = fieldsOf(data)
  return typeof mimeType === "string" && mimeType.startsWith("image/")
}

const walk = (content: unknown, seen: Seen, weight: TokenWeight | undefined): void => {
  if (typeof content === "string") {
    seen.characters += content.length
    if (weight !== undefined) weighText(content, weight)
    return
  }
  for (const each of manyOf(content)) {
    if (typeof each === "string") walk(each, seen, weight)
    if (!Predicate.isObject(each)) continue
    const part = fieldsOf(each)
    walk(part["parts"], seen, weight)
    if (typeof part["text"] === "string") walk(part["text"], seen, weight)
    if (isImage(part["inlineData"]) || isImage(part["fileData"])) {
      seen.vision = true
      if (weight !== undefined) weight.hundredths += imageHundredths
    }
    walk(fieldsOf(part["functionResponse"])["parts"], seen, weight)
    if (weight === undefined) continue
    weighJson(fieldsOf(part["functionCall"])["args"], weight)
    weighJson(fieldsOf(part["functionResponse"])["response"], weight)
  }
}

const conversation = (json: JsonObject, seen: Seen, weight?: TokenWeight): void => {
  walk(json["systemInstruction"], seen, weight)
  walk(json["contents"], seen, weight)
}

const choosesNone = ({ toolConfig }: JsonObject): boolean =>
  wordOf(fieldsOf(fieldsOf(toolConfig)["functionCallingConfig"])["mode"]) === "NONE"

/** The tokens that a request makes, looked at letter by letter. */
const tokensOf = (json: JsonObject): TokenEstimate => {
  const said = noWeight()
  const tools = noWeight()
  conversation(json, { vision: false, characters: 0 }, said)
  weighJson(manyOf(json["tools"]), tools)
  return estimatePrompt({ said, tools, toolsOff: choosesNone(json), form: noWeight() })
}

const wantsForm = ({ responseJsonSchema, responseMimeType, responseSchema }: JsonObject): boolean =>
  responseMimeType === "application/json" ||
  Predicate.isObject(responseSchema) ||
  Predicate.isObject(responseJsonSchema)

const unknown: LeastContext = () => 0

const needsOf = (
  operation: OperationFacts,
  told: JsonObject,
  size: number,
  stream: boolean,
  { least = unknown, model }: NeedsReading
): Result.Result<ReadRequest, BadRequest> => {
  const fault = modelFault(model)
  if (fault !== undefined) return Result.fail(fault)
  const json = fieldsOf(told)
  if (json["contents"] === undefined) {
    const message = "The field 'contents' is missing; an array of contents is expected"
    return Result.fail(new BadRequest({ message, param: "contents" }))
  }
  const config = fieldsOf(json["generationConfig"])
  const { candidateCount, maxOutputTokens: most } = config
  const seen: Seen = { vision: false, characters: 0 }
  conversation(json, seen)
  const abilities: Array<Ability> = []
  if (seen.vision) abilities.push("vision")
  if (manyOf(json["tools"]).some((tool) => manyOf(fieldsOf(tool)["functionDeclarations"]).length > 0)) {
    abilities.push("tools")
  }
  if (wantsForm(withForms(config))) abilities.push("json_mode")
  const outputTokens = typeof most === "number" && most > 0 && Number.isFinite(most) ? Math.floor(most) : 0
  const name = String(model)
  // No token is shorter than a byte: what fits anywhere in any case need not be looked at letter by letter.
  const isTight = size + outputTokens > least(name)
  const tokens = isTight ? tokensOf(json) : { promptTokens: Math.floor(seen.characters / 4), atLeastTokens: 0 }
  const needs = {
    operation,
    model: name,
    stream,
    abilities,
    outputTokens,
    answers: answersOf(1, candidateCount),
    ...tokens
  }
  return Result.succeed({ needs, model: undefined })
}

const countingOf = (
  operation: OperationFacts,
  told: JsonObject,
  size: number,
  { model }: NeedsReading
): Result.Result<ReadRequest, BadRequest> => {
  const fault = modelFault(model)
  if (fault !== undefined) return Result.fail(fault)
  const json = fieldsOf(told)
  const { promptTokens } = tokensOf(json["contents"] === undefined ? fieldsOf(json["generateContentRequest"]) : json)
  const tokens = { promptTokens, atLeastTokens: 0, outputTokens: 0 }
  const needs = { operation, model: String(model), stream: false, abilities: [], ...tokens }
  // The name of the model may stand in it as well.
  const span = json["generateContentRequest"] === undefined ? undefined : { from: 0, to: size }
  return Result.succeed({ needs, model: span })
}

/** The tokens of several texts, which share no context. */
const batchOf = (texts: ReadonlyArray<unknown>): TokenEstimate =>
  texts
    .map((content): TokenEstimate => {
      const weight = noWeight()
      walk([content], { vision: false, characters: 0 }, weight)
      return estimateOf(weight)
    })
    .reduce(batchEstimate, noTokens)

const embeddingOf = (
  operation: OperationFacts,
  told: JsonObject,
  size: number,
  { model }: NeedsReading
): Result.Result<ReadRequest, BadRequest> => {
  const json = fieldsOf(told)
  const field = operation.fields.text
  const missing = isGiven(json[field])
    ? undefined
    : new BadRequest({ message: `The field '${field}' is missing`, param: field })
  const fault = modelFault(model) ?? missing
  if (fault !== undefined) return Result.fail(fault)
  const texts = field === "content" ? [json[field]] : manyOf(json[field]).map((each) => fieldsOf(each)["content"])
  const tokens = { ...batchOf(texts), outputTokens: 0 }
  const needs = { operation, model: String(model), stream: false, abilities: ["embeddings"] as const, ...tokens }
  // The name of the model may stand in it as well.
  return Result.succeed({ needs, model: { from: 0, to: size } })
}

type Read = Result.Result<ReadRequest, BadRequest>

/** Reads what routing must know of a request. */
export const readGeminiNeeds = (
  operation: OperationFacts,
  stream: boolean,
  body: Uint8Array,
  reading: NeedsReading
): Read | Promise<Read> =>
  readBuilt(body, reading.turns, (json) => needsOf(operation, json, body.byteLength, stream, reading))

/** Reads how many tokens are asked about. */
export const readCountingNeeds = (
  operation: OperationFacts,
  body: Uint8Array,
  reading: NeedsReading
): Read | Promise<Read> =>
  readBuilt(body, reading.turns, (json) => countingOf(operation, json, body.byteLength, reading))

/** Reads what routing must know of texts that are to become vectors. */
export const readEmbeddingNeeds = (
  operation: OperationFacts,
  body: Uint8Array,
  reading: NeedsReading
): Read | Promise<Read> =>
  readBuilt(body, reading.turns, (json) => embeddingOf(operation, json, body.byteLength, reading))
