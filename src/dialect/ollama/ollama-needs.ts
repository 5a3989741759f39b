/**
 * The few facts of a request of Ollama's that routing must know.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Ability, OperationFacts, RoutingNeeds } from "../../domain/request.ts"
import type { NeedsReading, ReadRequest } from "../Dialect.ts"
import { modelFault, streamFault } from "../json-body.ts"
import { readBuilt } from "../parsed-body.ts"
import type { JsonObject } from "../request-notes.ts"
import {
  batchEstimate,
  estimateOf,
  estimatePrompt,
  noTokens,
  noWeight,
  weighJson,
  weighText
} from "../token-estimate.ts"

/** What is read of one operation's body. */
type Reading = (json: JsonObject, size: number, least: number) => Result.Result<Partial<RoutingNeeds>, BadRequest>

const bad = (field: string, expected: string) =>
  Result.fail(new BadRequest({ message: `The field '${field}' must be ${expected}`, param: field }))

const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

const outputOf = (options: unknown): number => {
  const most = Predicate.isObject(options) ? options["num_predict"] : undefined
  return typeof most === "number" && most > 0 && Number.isFinite(most) ? Math.floor(most) : 0
}

// Tokens that an image makes, which no text tells.
const imageHundredths = 150_000

interface Prompt {
  readonly texts: ReadonlyArray<unknown>
  readonly calls: ReadonlyArray<unknown>
  readonly images: number
}

const promptTokens = ({ calls, images, texts }: Prompt, tools: unknown): ReturnType<typeof estimatePrompt> => {
  const said = noWeight()
  const defined = noWeight()
  for (const text of texts) if (typeof text === "string") weighText(text, said)
  for (const call of calls) weighJson(call, said)
  if (Array.isArray(tools)) weighJson(tools, defined)
  said.hundredths += images * imageHundredths
  return estimatePrompt({ said, tools: defined, toolsOff: false, form: noWeight() })
}

const generation = (json: JsonObject, prompt: Prompt, size: number, least: number): Partial<RoutingNeeds> => {
  const { format, options, stream, tools } = json
  const abilities: Array<Ability> = []
  if (prompt.images > 0) abilities.push("vision")
  if (isFilled(tools)) abilities.push("tools")
  if (format === "json" || Predicate.isObject(format)) abilities.push("json_mode")
  const outputTokens = outputOf(options)
  const characters = prompt.texts.reduce<number>((sum, text) => sum + (typeof text === "string" ? text.length : 0), 0)
  // No token is shorter than a byte: what fits anywhere in any case need not be looked at letter by letter.
  const tokens =
    size + outputTokens > least
      ? promptTokens(prompt, tools)
      : { promptTokens: Math.floor(characters / 4), atLeastTokens: 0 }
  return { stream: stream !== false, abilities, outputTokens, ...tokens }
}

const imagesIn = (value: unknown): number => (Array.isArray(value) ? value.length : 0)

const chatNeeds: Reading = (json, size, least) => {
  const { messages } = json
  // Without messages it asks for the model to be put into memory.
  if (messages !== undefined && messages !== null && !Array.isArray(messages)) {
    return bad("messages", "an array of messages")
  }
  const all = (messages ?? []).filter(Predicate.isObject)
  const prompt = {
    texts: all.flatMap(({ content, thinking }) => [content, thinking]),
    calls: all.map(({ tool_calls: calls }) => calls),
    images: all.reduce((sum, { images }) => sum + imagesIn(images), 0)
  }
  return Result.succeed(generation(json, prompt, size, least))
}

const generateNeeds: Reading = (json, size, least) => {
  const { images, prompt, suffix, system } = json
  if (prompt !== undefined && prompt !== null && typeof prompt !== "string") return bad("prompt", "a string")
  const texts = [system, prompt, suffix]
  return Result.succeed(generation(json, { texts, calls: [], images: imagesIn(images) }, size, least))
}

const embedNeeds =
  (field: "input" | "prompt"): Reading =>
  (json) => {
    const value = json[field]
    const isNone = field === "input" && (value === undefined || value === null)
    const texts: ReadonlyArray<unknown> = isNone ? [] : field === "input" && Array.isArray(value) ? value : [value]
    if (!texts.every((text) => typeof text === "string")) {
      return bad(field, field === "input" ? "a text or a list of texts" : "a text")
    }
    // Each text has the context to itself.
    const tokens = texts.map((text) => {
      const weight = noWeight()
      weighText(text, weight)
      return estimateOf(weight)
    })
    const all = tokens.reduce(batchEstimate, noTokens)
    return Result.succeed({ stream: false, abilities: ["embeddings"], outputTokens: 0, ...all })
  }

const readings = {
  chat: chatNeeds,
  generate: generateNeeds,
  embed: embedNeeds("input"),
  embeddings: embedNeeds("prompt")
} as const

/** The operations of the dialect. */
export type OllamaOperation = keyof typeof readings

const read = (
  name: OllamaOperation,
  operation: OperationFacts,
  json: JsonObject,
  size: number,
  least: NeedsReading["least"]
): Result.Result<ReadRequest, BadRequest> => {
  const fault = modelFault(json["model"]) ?? streamFault(json["stream"])
  if (fault !== undefined) return Result.fail(fault)
  const model = String(json["model"])
  return Result.map(readings[name](json, size, least?.(model) ?? 0), (found) => ({
    needs: {
      operation,
      model,
      stream: false,
      abilities: [],
      promptTokens: 0,
      atLeastTokens: 0,
      outputTokens: 0,
      ...found
    },
    model: undefined
  }))
}

/** Reads what routing must know of a request. */
export const readOllamaNeeds = (
  name: OllamaOperation,
  operation: OperationFacts,
  body: Uint8Array,
  { least, turns }: NeedsReading
): ReturnType<typeof read> | Promise<ReturnType<typeof read>> =>
  readBuilt(body, turns, (json) => read(name, operation, json, body.byteLength, least))
