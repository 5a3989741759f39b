/**
 * Google's embedContent and batchEmbedContents to and from the hub.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { AnswerFault, WholeAnswer } from "../Dialect.ts"
import { unknownIdentity } from "../Dialect.ts"
import type { DecodedEmbed, Embed, EmbedAnswer, EmbedClient, EmbedCodec, EncodedEmbed } from "../embed.ts"
import { tooDeep } from "../json-body.ts"
import { type JsonObject, Notes, refuseAt, textOf } from "../request-notes.ts"
import { readVectors } from "../vectors.ts"
import { fieldsOf, manyOf, objectAt } from "./gemini-fields.ts"
import { errorIn, faultIn, geminiUsage } from "./gemini-read.ts"
import { parsedJson } from "../read-json.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const words = { dimensions: "outputDimensionality", truncate: "autoTruncate", texts: "content" } as const

/** The text of a content, whose parts make one vector. */
const contentText = (content: unknown, place: string): string => {
  if (typeof content === "string") return content
  const parts = manyOf(Array.isArray(content) ? content : objectAt(content, place)["parts"])
  if (parts.length === 0) return refuseAt(place, "must hold parts")
  return parts
    .map((part, at) => textOf(typeof part === "string" ? part : fieldsOf(part)["text"], `${place}.parts[${at}].text`))
    .join("\n")
}

type One = { readonly text: string; readonly dimensions: number | undefined }

const readOne = (request: JsonObject, place: string, notes: Notes): One => {
  const json = fieldsOf(request)
  // Newer clients put what is beside the text in a place of its own.
  const config = { ...json, ...fieldsOf(json["embedContentConfig"]) }
  notes.only(config, ["model", "content", "outputDimensionality", "embedContentConfig"], "")
  const { content, outputDimensionality: dimensions } = config
  const isFine =
    dimensions === undefined || dimensions === null || (Number.isInteger(dimensions) && Number(dimensions) > 0)
  if (!isFine) return refuseAt(`${place}outputDimensionality`, "must be a whole number above 0")
  const wanted = dimensions === undefined || dimensions === null ? undefined : Number(dimensions)
  return { text: contentText(content, `${place}content`), dimensions: wanted }
}

const embedOf = (all: ReadonlyArray<One>): Embed => {
  const [dimensions, ...others] = new Set(all.map((each) => each.dimensions))
  if (others.length > 0) return refuseAt("requests", "must all ask for the same outputDimensionality")
  return { texts: all.map(({ text }) => text), ...(dimensions === undefined ? {} : { dimensions }) }
}

const jsonBytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const used = ({ promptTokens }: EmbedAnswer) =>
  promptTokens === undefined ? {} : { usageMetadata: { promptTokenCount: promptTokens, totalTokenCount: promptTokens } }

const decoding = (read: (json: JsonObject, notes: Notes) => Pick<DecodedEmbed, "answer" | "embed">): EmbedClient => ({
  words,
  decode: (body) => {
    const notes = new Notes()
    try {
      return Result.succeed({ ...read(fieldsOf(parsedJson(decoder.decode(body))), notes), dropped: notes.all() })
    } catch (error) {
      return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
    }
  }
})

const readAnswer = (body: Uint8Array, count: number): Result.Result<EmbedAnswer, string> => {
  const json = parsedJson(decoder.decode(body))
  const { embeddings } = fieldsOf(json)
  if (!Array.isArray(embeddings)) return Result.fail("JSON without embeddings")
  const values = embeddings.map((each: unknown) => fieldsOf(each)["values"])
  return Result.map(readVectors(values, count), (vectors) => ({ vectors, promptTokens: geminiUsage(json)?.prompt }))
}

const encode = ({ dimensions, texts, truncate, user }: Embed, model: string): EncodedEmbed => ({
  body: jsonBytes({
    requests: texts.map((text) => ({
      model: `models/${model}`,
      content: { parts: [{ text }] },
      ...(dimensions === undefined ? {} : { outputDimensionality: dimensions })
    }))
  }),
  dropped: [
    ...(truncate === undefined ? [] : (["truncate"] as const)),
    ...(user === undefined ? [] : (["user"] as const))
  ],
  answer: (body) => readAnswer(body, texts.length)
})

/** One text. */
export const oneEmbedding: EmbedCodec = {
  client: decoding((json, notes) => ({
    embed: embedOf([readOne(json, "", notes)]),
    answer: (made) => jsonBytes({ embedding: { values: made.vectors[0] ?? [] }, ...used(made) })
  }))
}

/** Several texts, which is how servers are asked for one as well. */
export const manyEmbeddings: EmbedCodec = {
  client: decoding((json, notes) => ({
    embed: embedOf(
      manyOf(json["requests"]).map((each, at) => readOne(objectAt(each, `requests[${at}]`), `requests[${at}].`, notes))
    ),
    answer: (made) => jsonBytes({ embeddings: made.vectors.map((values) => ({ values })), ...used(made) })
  })),
  server: { encode: (embed, model) => Result.succeed(encode(embed, model)) }
}

/** Judges the body of an answer with vectors. */
export const wholeVectors = (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
  const json = parsedJson(decoder.decode(body))
  const isGood =
    errorIn(json) === undefined &&
    Predicate.isObject(json) &&
    (Predicate.isObject(json["embedding"]) || Array.isArray(json["embeddings"]))
  return isGood
    ? Result.succeed({ said: unknownIdentity, usage: geminiUsage(json) })
    : Result.fail(faultIn(json, body, "JSON without embeddings"))
}
