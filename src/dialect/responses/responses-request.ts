/**
 * A request of OpenAI's Responses as one of the hub: what cannot be carried over is refused by its place, or named.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Chat, ClientCodec } from "../chat.ts"
import { tooDeep } from "../json-body.ts"
import { builtOf } from "../parsed-body.ts"
import { countOf, type JsonObject, listOf, Notes, refuseAt, textOf, userWord } from "../request-notes.ts"
import { responsesAnswers } from "./responses-answer.ts"
import { readTools, ToolNames } from "./responses-tools.ts"
import { readItems } from "./responses-turns.ts"

/** What of a request a server must have kept, or must know, to answer it. */
const vital = {
  previous_response_id: "Nexus keeps no answers; send all of the conversation in 'input'",
  conversation: "Nexus keeps no conversations; send all of it in 'input'",
  prompt: "Nexus keeps no prompts; send its text in 'instructions' or 'input'"
} as const

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

const refuseVital = (json: JsonObject): void => {
  let field: keyof typeof vital
  for (field in vital) {
    if (isGiven(json[field])) refuseAt(field, `is not known to the backend of this model: ${vital[field]}`)
  }
  if (json["background"] === true) refuseAt("background", "must be false: Nexus keeps no answers to be fetched later")
}

const nothing = {}

const effortOf = ({ reasoning }: JsonObject, notes: Notes): Pick<Chat, "effort" | "showThoughts"> => {
  if (!Predicate.isObject(reasoning)) return nothing
  notes.only(reasoning, ["effort", "summary", "generate_summary"], "reasoning")
  const { effort, generate_summary: older, summary = older } = reasoning
  return {
    ...(typeof effort === "string" ? { effort } : {}),
    ...(typeof summary === "string" ? { showThoughts: true } : {})
  }
}

const formatOf = ({ text }: JsonObject, notes: Notes): Pick<Chat, "format" | "verbosity"> => {
  if (!Predicate.isObject(text)) return nothing
  notes.only(text, ["format", "verbosity"], "text")
  const { format, verbosity: words } = text
  const verbosity = typeof words === "string" ? { verbosity: words } : {}
  if (!Predicate.isObject(format) || format["type"] === "text") return verbosity
  if (format["type"] === "json_object") return { ...verbosity, format: { type: "json" } }
  if (format["type"] !== "json_schema") {
    return refuseAt("text.format.type", "must be 'text', 'json_object' or 'json_schema'")
  }
  const { description, schema, strict } = format
  return {
    ...verbosity,
    format: {
      type: "schema",
      name: textOf(format["name"], "text.format.name"),
      ...(typeof description === "string" ? { description } : {}),
      schema,
      ...(typeof strict === "boolean" ? { strict } : {})
    }
  }
}

const includesOf = ({ include }: JsonObject): ReadonlyArray<unknown> => listOf(include, "include")

const sealsWanted = "reasoning.encrypted_content"
const likelyWanted = "message.output_text.logprobs"

const likelyOf = (json: JsonObject, notes: Notes): number | undefined => {
  const most = json["top_logprobs"]
  const includes = includesOf(json)
  let at = 0
  for (const each of includes) {
    if (each !== sealsWanted && each !== likelyWanted) notes.drops(`include[${at}]`)
    at += 1
  }
  if (typeof most === "number" && most > 0) return most
  return includes.includes(likelyWanted) ? 0 : undefined
}

const numberAt = (json: JsonObject, field: string): number | undefined => {
  const value = json[field]
  if (!isGiven(value)) return undefined
  return typeof value === "number" ? value : refuseAt(field, "must be a number")
}

const wordAt = (json: JsonObject, field: string): string | undefined => {
  const value = json[field]
  return typeof value === "string" && value !== "" ? userWord(value) : undefined
}

// What is carried over, what the answer tells of again, and what changes nothing: an answer is never kept.
const known = (
  "model input instructions stream tools tool_choice parallel_tool_calls reasoning text include max_output_tokens " +
  "temperature top_p top_logprobs metadata store service_tier user safety_identifier prompt_cache_key background " +
  Object.keys(vital).join(" ")
).split(" ")

// All but fields that say what is so anyhow.
const saysMore = (name: string, value: unknown): boolean =>
  !(name === "truncation" && value === "disabled") &&
  !(name === "stream_options" && Predicate.isObject(value) && value["include_obfuscation"] !== true)

// A chat that says no more than it has to: what is not given is not in it. One object takes what as many spread ones would.
type Filling = { -readonly [Field in keyof Chat]: Chat[Field] }

const read = (json: JsonObject, exact: JsonObject, names: ToolNames, notes: Notes): Chat => {
  refuseVital(json)
  const tools = readTools(exact, names, notes)
  const messages = readItems(json, names, notes)
  const { parallel_tool_calls: parallel } = json
  notes.only(json, known, "", saysMore)
  const maxTokens = countOf(json["max_output_tokens"], "max_output_tokens")
  const chat: Filling = { stream: json["stream"] === true, messages, ...tools, extra: {} }
  if (typeof parallel === "boolean" && tools.tools.length > 0) chat.parallelCalls = parallel
  if (maxTokens !== undefined) {
    chat.maxTokens = maxTokens
    chat.newerBound = true
  }
  Object.assign(chat, effortOf(json, notes), formatOf(exact, notes))
  const temperature = numberAt(json, "temperature")
  if (temperature !== undefined) chat.temperature = temperature
  const topP = numberAt(json, "top_p")
  if (topP !== undefined) chat.topP = topP
  const logprobs = likelyOf(json, notes)
  if (logprobs !== undefined) chat.logprobs = logprobs
  const user = wordAt(json, "user")
  if (user !== undefined) chat.user = user
  const safetyId = wordAt(json, "safety_identifier")
  if (safetyId !== undefined) chat.safetyId = safetyId
  const cacheKey = wordAt(json, "prompt_cache_key")
  if (cacheKey !== undefined) chat.cacheKey = cacheKey
  const { service_tier: tier } = json
  if (typeof tier === "string") chat.tier = tier
  return chat
}

/** Reads a request; its body is a JSON object. */
export const decodeResponsesRequest: ClientCodec["decode"] = (body, _model, parsed) => {
  const notes = new Notes()
  const names = new ToolNames()
  try {
    const built = builtOf(body, parsed)
    const asked = built.exact()
    const chat = read(built.json, asked, names, notes)
    // The answer tells of the rest again; the conversation is not to be held until it ends.
    const { input: _input, ...told } = asked
    const answers = responsesAnswers({ asked: told, tools: names.told, seals: includesOf(asked).includes(sealsWanted) })
    return Result.succeed({ chat, dropped: notes.all(), answers })
  } catch (error) {
    return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
  }
}
