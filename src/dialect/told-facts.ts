/**
 * What a request and its answer say of how the answer is made, in the words of whatever dialect: read where they are traced
 * alone, of what was parsed anyway.
 */
import * as Predicate from "effect/Predicate"
import { finishesIn, serverWord as word } from "./finish-words.ts"
import { parsedJson } from "./read-json.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

/** What a client asks of how an answer is made; what it does not say is undefined. */
export interface AskedSettings {
  readonly temperature: number | undefined
  readonly topP: number | undefined
  readonly topK: number | undefined
  readonly seed: number | undefined
  readonly frequencyPenalty: number | undefined
  readonly presencePenalty: number | undefined
  /** How many answers, where that is not one. */
  readonly choices: number | undefined
  /** How much is to be thought, in a word. */
  readonly effort: string | undefined
}

/** What an answer says of itself beside its text. */
export interface ToldAnswer {
  readonly id: string | undefined
  /** Why each of its choices ended, in the words of its server. */
  readonly finishes: ReadonlyArray<string>
}

// What is longer is nobody's id.
const longestId = 128

const number = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

const whole = (value: unknown): number | undefined => (Number.isSafeInteger(value) ? Number(value) : undefined)

const noJson: Json = {}

/** What a body asks for: at its top, or where Ollama and Google have it. */
export const askedSettings = (json: Json): AskedSettings => {
  const google = json["generationConfig"] ?? json["generation_config"]
  const nested = google ?? json["options"]
  const more = Predicate.isObject(nested) ? nested : noJson
  const { reasoning } = json
  const effort = json["reasoning_effort"] ?? (Predicate.isObject(reasoning) ? reasoning["effort"] : undefined)
  const choices = whole(json["n"] ?? more["candidateCount"])
  return {
    temperature: number(json["temperature"] ?? more["temperature"]),
    topP: number(json["top_p"] ?? more["top_p"] ?? more["topP"]),
    topK: whole(json["top_k"] ?? more["top_k"] ?? more["topK"]),
    seed: whole(json["seed"] ?? more["seed"]),
    frequencyPenalty: number(json["frequency_penalty"] ?? more["frequency_penalty"] ?? more["frequencyPenalty"]),
    presencePenalty: number(json["presence_penalty"] ?? more["presence_penalty"] ?? more["presencePenalty"]),
    choices: choices === 1 ? undefined : choices,
    effort: word(effort)
  }
}

const idOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" && value.length <= longestId ? value : undefined

/** What a whole answer says that was parsed. */
export const toldIn = (json: unknown): ToldAnswer =>
  Predicate.isObject(json)
    ? { id: idOf(json["id"] ?? json["responseId"]), finishes: finishesIn(json) }
    : { id: undefined, finishes: [] }

const decoder = new TextDecoder()

// Further on nobody writes it for the first time.
const headBytes = 4096
const headLines = 16

const idIn = (json: unknown): string | undefined => {
  if (!Predicate.isObject(json)) return undefined
  const { id, message, response, responseId } = json
  for (const value of [message, response]) if (Predicate.isObject(value)) return idOf(value["id"])
  return idOf(id ?? responseId)
}

// Where an object is longer than that, as a response that repeats long instructions: its id stands before all that is nested.
const leadingId = /^\s*\{(?:[^{}[\]]*"(?:message|response)"\s*:\s*\{)?[^{}[\]]*?"id"\s*:\s*"([^"\\]+)"/

const idOfData = (data: string): string | undefined => {
  const json = parsedJson(data)
  return json === undefined ? idOf(leadingId.exec(data)?.[1]) : idIn(json)
}

/** The id that the first events of a stream say, or its first lines. */
export const idAtHead = (bytes: Uint8Array): string | undefined => {
  const lines = decoder.decode(bytes.subarray(0, headBytes)).split(/[\r\n]+/, headLines)
  for (const line of lines) {
    const data = line.startsWith("data:") ? line.slice("data:".length) : line
    const id = /^\s*\{/.test(data) ? idOfData(data) : undefined
    if (id !== undefined) return id
  }
  return undefined
}
