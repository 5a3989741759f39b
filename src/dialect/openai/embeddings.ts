/**
 * OpenAI's embeddings to and from the hub.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { DecodedEmbed, Embed, EmbedAnswer, EmbedCodec, EncodedEmbed } from "../embed.ts"
import { parsedJson } from "../read-json.ts"
import { type JsonObject, Notes, refuseAt } from "../request-notes.ts"
import { base64Vector, isVector, readVectors } from "../vectors.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const parsed = (body: Uint8Array): JsonObject => {
  try {
    const json: unknown = JSON.parse(decoder.decode(body))
    return Predicate.isObject(json) ? json : {}
  } catch {
    return {}
  }
}

const isText = (value: unknown): value is string => typeof value === "string"

const textsOf = (input: unknown): ReadonlyArray<string> => {
  if (isText(input)) return [input]
  if (!Array.isArray(input) || input.length === 0) return refuseAt("input", "must be a text or a list of texts")
  return input.every(isText)
    ? input
    : refuseAt("input", "holds tokens in place of texts, which the backend of this model cannot be told")
}

const dimensionsOf = (value: unknown): Pick<Embed, "dimensions"> => {
  if (value === undefined || value === null) return {}
  return Number.isInteger(value) && Number(value) > 0
    ? { dimensions: Number(value) }
    : refuseAt("dimensions", "must be a whole number above 0")
}

const answerOf =
  (encoded: boolean): DecodedEmbed["answer"] =>
  ({ promptTokens, vectors }, model) =>
    encoder.encode(
      JSON.stringify({
        object: "list",
        data: vectors.map((vector, index) => ({
          object: "embedding",
          index,
          embedding: encoded ? base64Vector(vector) : vector
        })),
        model,
        usage: { prompt_tokens: promptTokens ?? 0, total_tokens: promptTokens ?? 0 }
      })
    )

const read = (json: JsonObject): DecodedEmbed => {
  const notes = new Notes()
  notes.only(json, ["model", "input", "dimensions", "encoding_format", "user"], "")
  const { dimensions, encoding_format: format, input, user } = json
  if (format !== undefined && format !== null && format !== "float" && format !== "base64") {
    return refuseAt("encoding_format", "must be float or base64")
  }
  const embed = { texts: textsOf(input), ...dimensionsOf(dimensions), ...(isText(user) ? { user } : {}) }
  return { embed, dropped: notes.all(), answer: answerOf(format === "base64") }
}

const decode = (body: Uint8Array): Result.Result<DecodedEmbed, BadRequest> => {
  try {
    return Result.succeed(read(parsed(body)))
  } catch (error) {
    if (error instanceof BadRequest) return Result.fail(error)
    throw error
  }
}

const placeOf = (entry: unknown, at: number): number =>
  Predicate.isObject(entry) && Number.isInteger(entry["index"]) ? Number(entry["index"]) : at

const readAnswer = (body: Uint8Array, count: number): Result.Result<EmbedAnswer, string> => {
  const { data, usage } = parsed(body)
  if (!Array.isArray(data)) return Result.fail("JSON without a list of data")
  const entries: ReadonlyArray<unknown> = data
  const inOrder = entries
    .map((entry, at) => ({
      at: placeOf(entry, at),
      value: Predicate.isObject(entry) ? entry["embedding"] : undefined
    }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
  const tokens = Predicate.isObject(usage) ? usage["prompt_tokens"] : undefined
  return Result.map(readVectors(inOrder, count), (vectors) => ({
    vectors,
    promptTokens: Number.isSafeInteger(tokens) ? Number(tokens) : undefined
  }))
}

const encode = ({ dimensions, texts, truncate, user }: Embed, model: string): EncodedEmbed => ({
  body: encoder.encode(
    JSON.stringify({
      model,
      input: texts,
      ...(dimensions === undefined ? {} : { dimensions }),
      ...(user === undefined ? {} : { user })
    })
  ),
  dropped: truncate === undefined ? [] : ["truncate"],
  answer: (body) => readAnswer(body, texts.length)
})

const { indexOf } = Buffer.prototype
const listed = /"embedding"\s*:\s*\[/

// Within so many bytes the first vector has begun.
const tellingBytes = 4096

/** Vectors in base64 where that was asked for and they came as lists: libraries that ask for it read nothing else. */
export const embeddingsAsAsked = (request: Uint8Array, answer: Uint8Array): Uint8Array | undefined => {
  if (indexOf.call(request, '"base64"') < 0 || !listed.test(decoder.decode(answer.subarray(0, tellingBytes)))) return
  if (parsed(request)["encoding_format"] !== "base64") return
  // Python writes NaN in it.
  const json = parsedJson(decoder.decode(answer))
  const data = Predicate.isObject(json) ? json["data"] : undefined
  let changed = false
  for (const entry of Array.isArray(data) ? data : []) {
    const vector: unknown = Predicate.isObject(entry) ? entry["embedding"] : undefined
    if (!isVector(vector)) continue
    changed = true
    Object.assign(entry, { embedding: base64Vector(vector) })
  }
  return changed ? encoder.encode(JSON.stringify(json)) : undefined
}

/** Both halves. */
export const openAiEmbeddings: EmbedCodec = {
  client: { words: {}, decode },
  server: { encode: (embed, model) => Result.succeed(encode(embed, model)) }
}
