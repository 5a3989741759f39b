/**
 * Ollama's embeddings to and from the hub, in their newer form and the older one for a single text.
 */
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { DecodedEmbed, Embed, EmbedAnswer, EmbedCodec, EncodedEmbed } from "../embed.ts"
import { type JsonObject, listOf, Notes, refuseAt, textOf } from "../request-notes.ts"
import { readVectors } from "../vectors.ts"
import { nanoseconds } from "./ollama-answer.ts"
import { optionsWith } from "./ollama-options.ts"
import { lineObject } from "./ollama-watch.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const json = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))

const read =
  (from: (told: JsonObject, notes: Notes) => Pick<DecodedEmbed, "answer" | "embed">) =>
  (body: Uint8Array): Result.Result<DecodedEmbed, BadRequest> => {
    const notes = new Notes()
    try {
      const decoded = from(lineObject(decoder.decode(body)) ?? {}, notes)
      return Result.succeed({ ...decoded, dropped: notes.all() })
    } catch (error) {
      if (error instanceof BadRequest) return Result.fail(error)
      throw error
    }
  }

const optional = ({ dimensions, truncate }: JsonObject): Pick<Embed, "dimensions" | "truncate"> => {
  if (dimensions !== undefined && dimensions !== null && !Number.isInteger(dimensions)) {
    return refuseAt("dimensions", "must be a whole number")
  }
  return {
    ...(Number(dimensions) > 0 ? { dimensions: Number(dimensions) } : {}),
    ...(typeof truncate === "boolean" ? { truncate } : {})
  }
}

const decode = read((told, notes) => {
  notes.only(told, ["model", "input", "truncate", "dimensions"], "")
  const { input } = told
  // Nothing makes no vectors, which an Ollama says well.
  const texts = input === "" ? [] : typeof input === "string" ? [input] : listOf(input, "input")
  const began = performance.now()
  return {
    embed: { texts: texts.map((text, at) => textOf(text, `input[${at}]`)), ...optional(told) },
    answer: ({ promptTokens, vectors }, model) =>
      json({
        model,
        embeddings: vectors,
        total_duration: nanoseconds(performance.now() - began),
        load_duration: 0,
        prompt_eval_count: promptTokens ?? 0
      })
  }
})

const decodeOlder = read((told, notes) => {
  notes.only(told, ["model", "prompt"], "")
  return {
    embed: { texts: [textOf(told["prompt"], "prompt")] },
    answer: ({ vectors: [embedding = []] }) => json({ embedding })
  }
})

const answerOf = (body: Uint8Array, count: number): Result.Result<EmbedAnswer, string> => {
  const { embeddings, prompt_eval_count: tokens } = lineObject(decoder.decode(body)) ?? {}
  if (!Array.isArray(embeddings)) return Result.fail("JSON without a list of embeddings")
  return Result.map(readVectors(embeddings, count), (vectors) => ({
    vectors,
    promptTokens: Number.isSafeInteger(tokens) ? Number(tokens) : undefined
  }))
}

const encode = (
  { dimensions, texts, truncate, user }: Embed,
  model: string,
  { keep_alive, options }: JsonObject = {},
  context?: number
): EncodedEmbed => ({
  body: json({
    model,
    keep_alive,
    ...optionsWith(options, context),
    input: texts,
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(truncate === undefined ? {} : { truncate })
  }),
  dropped: user === undefined ? [] : ["user"],
  answer: (body) => answerOf(body, texts.length)
})

/** Both halves of `/api/embed`. */
export const ollamaEmbed: EmbedCodec = {
  client: { words: {}, decode },
  server: { encode: (...asked) => Result.succeed(encode(...asked)) }
}

/** What clients ask at `/api/embeddings`. */
export const ollamaEmbeddings: EmbedCodec = { client: { words: {}, decode: decodeOlder } }

/** Whether a body is an answer to either. */
export const isEmbedAnswer = (body: JsonObject): boolean =>
  Array.isArray(body["embeddings"]) || Array.isArray(body["embedding"])
