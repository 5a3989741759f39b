/**
 * Ollama's own API.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { modelAtHead } from "../answer-model.ts"
import type { AnswerFault, Dialect, Operation, WholeAnswer } from "../Dialect.ts"
import { BadAnswer } from "../../domain/upstream-errors.ts"
import { readErrorText, shortened } from "../../domain/error-text.ts"
import { redacted } from "../../domain/redact.ts"
import { exactJson } from "../exact-json.ts"
import type { Failure } from "../failures.ts"
import type { BodyKind } from "../first-bytes.ts"
import { withJsonModel } from "../json-model.ts"
import { isEmbedAnswer, ollamaEmbed, ollamaEmbeddings } from "./ollama-embed.ts"
import { type OllamaOperation, readOllamaNeeds } from "./ollama-needs.ts"
import { optionsWith } from "./ollama-options.ts"
import { ollamaChanges, ollamaPages } from "./ollama-pages.ts"
import { ollamaChatClient, ollamaGenerateClient } from "./ollama-request.ts"
import { ollamaServer } from "./native-request.ts"
import { lineObject, OllamaWatch, usageOfOllama } from "./ollama-watch.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const wholeAnswer =
  (isOne: (json: Readonly<Record<PropertyKey, unknown>>) => boolean) =>
  (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
    const json = lineObject(decoder.decode(body))
    if (json === undefined) return Result.fail(new BadAnswer({ reason: "a body that is no JSON object", body }))
    if (json["error"] !== undefined) {
      return Result.fail(new BadAnswer({ reason: "an error under a good status", body }))
    }
    return isOne(json)
      ? Result.succeed({ said: modelAtHead(body), usage: usageOfOllama(json), json })
      : Result.fail(new BadAnswer({ reason: "JSON without an answer", body }))
  }

const operationOf = (
  name: OllamaOperation,
  text: string,
  more: Pick<Operation, "client" | "embeds" | "genAi" | "generates" | "server" | "whole">
): Operation => {
  const fields = { text, vision: "images", tools: "tools", json_mode: "format", embeddings: "model" }
  const facts = { name: `ollama/${name}`, fields }
  return {
    ...facts,
    path: `/api/${name}`,
    needs: (body, reading) => readOllamaNeeds(name, facts, body, reading),
    ...more
  }
}

const chat = operationOf("chat", "messages", {
  generates: true,
  whole: wholeAnswer(({ done, message }) => done === true && typeof message === "object"),
  client: ollamaChatClient,
  server: ollamaServer
})

const generate = operationOf("generate", "prompt", {
  generates: true,
  genAi: "text_completion",
  whole: wholeAnswer(({ done, response }) => done === true && typeof response === "string"),
  client: ollamaGenerateClient
})

const embed = operationOf("embed", "input", {
  generates: false,
  genAi: "embeddings",
  whole: wholeAnswer(isEmbedAnswer),
  embeds: ollamaEmbed
})

const embeddings = operationOf("embeddings", "prompt", {
  generates: false,
  genAi: "embeddings",
  whole: wholeAnswer(isEmbedAnswer),
  embeds: ollamaEmbeddings
})

const withOwn: Dialect["withOwn"] = (body, own, context) => {
  const text = decoder.decode(body)
  const plain = lineObject(text)
  if (plain === undefined) return body
  const json = exactJson(text, plain)
  if (!Predicate.isObject(json)) return body
  const options = optionsWith(own["options"], context, json["options"])
  return encoder.encode(JSON.stringify({ ...own, ...json, ...options }))
}

const newline = 0x0a

/** Its streams and its whole answers both begin as objects: a line of its own is an event. */
const kindOf = (bytes: Uint8Array): BodyKind => {
  let from = 0
  while (from < bytes.length && (bytes[from] ?? 0) <= 0x20) from += 1
  if (bytes[from] === 0x3c) return "document"
  const end = bytes.indexOf(newline, from)
  if (end < 0) return "untold"
  return lineObject(decoder.decode(bytes.subarray(from, end))) === undefined ? "document" : "events"
}

const faultOf = (bytes: Uint8Array): AnswerFault => {
  for (const line of decoder.decode(bytes).split("\n")) {
    if (lineObject(line)?.["error"] === undefined) continue
    return new BadAnswer({ reason: "an error as its first line", body: encoder.encode(line) })
  }
  return new BadAnswer({ reason: "lines without an answer" })
}

const longestSentence = 4000

// Its clients look for these words.
const missing = /^Model ('.*?') not found/

/** The JSON text of a failure. */
const ollamaErrorBody = ({ message }: Failure): string =>
  JSON.stringify({ error: message.replace(missing, "model $1 not found") })

/** The body to send for an error status of a backend. */
const passedOllamaError = (status: number, body: Uint8Array): Uint8Array => {
  const { sentence } = readErrorText(decoder.decode(body))
  const error = shortened(sentence ?? `The backend answered with status ${status}`, longestSentence)
  return encoder.encode(JSON.stringify({ error }))
}

// What clients are told to use as a base URL, and what some add to it.
const meant = /^(?:\/v1|\/ollama|\/api)*(\/api\/[a-z]+)(\/sha256[:-][\da-f]{1,64})?\/?$/

const paths: ReadonlySet<string> = new Set([
  ...[chat, generate, embed, embeddings].map(({ path }) => path),
  ...ollamaPages.map(({ path }) => path),
  ...ollamaChanges.flatMap(({ below, operation: { path } }) => (below === true ? [] : [path]))
])

const blobs = "/api/blobs"

const client = /^ollama\b/i

/** The dialect. */
export const ollama: Dialect = {
  id: "ollama",
  operations: [chat, generate, embed, embeddings],
  hint: "Ollama's API is below /api, such as /api/chat",
  canonicalPath: (_, path) => {
    const [, found, digest] = meant.exec(path) ?? []
    if (found === undefined || (digest === undefined ? !paths.has(found) : found !== blobs)) return path
    return found + (digest ?? "")
  },
  suggestedPath: () => undefined,
  headers: { asked: [], answered: [] },
  withModel: withJsonModel,
  withOwn,
  types: { request: "application/json", whole: "application/json", stream: "application/x-ndjson" },
  kindOf,
  said: modelAtHead,
  watch: () => new OllamaWatch(),
  faultOf,
  keepAlive: undefined,
  brokenBody: "cut",
  redacted: (lines, redact, midway) =>
    lines
      .split("\n")
      .map((line, at) => (line.includes('"error"') || (midway && at === 0) ? redacted(line, redact) : line))
      .join("\n"),
  errorBody: ollamaErrorBody,
  passedError: passedOllamaError,
  speaksTo: (headers, path) => path.startsWith("/api/") || client.test(headers.get("user-agent") ?? ""),
  changes: ollamaChanges,
  pages: ollamaPages,
  document: () => import("./ollama-api.ts").then(({ documentedOllama }) => documentedOllama)
}
