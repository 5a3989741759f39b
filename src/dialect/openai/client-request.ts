/**
 * A request of chat completions as one of the hub: what cannot be carried over is refused by its place, or named.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import { namesOfLlamaCpp } from "../../domain/samplers.ts"
import type { Chat, ChatTool, ChatToolChoice, ClientCodec } from "../chat.ts"
import { tooDeep } from "../json-body.ts"
import { builtOf } from "../parsed-body.ts"
import { type JsonObject, listOf, Notes, refuseAt, seedOf, shownWord, textOf } from "../request-notes.ts"
import { type AnswerWishes, answersFor } from "./client-answer.ts"
import { readMessages } from "./client-turns.ts"
import { effortOfOthers, effortOfReasoning, otherWords } from "../thinking-wish.ts"
import { wordIn } from "../word-table.ts"

/** What chat calls the fields of the hub. */
export const chatWords: ClientCodec["words"] = {
  toolChoice: "tool_choice",
  parallelCalls: "parallel_tool_calls",
  maxTokens: "max_completion_tokens",
  topP: "top_p",
  topK: "top_k",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  ...namesOfLlamaCpp,
  choices: "n",
  effort: "reasoning_effort",
  format: "response_format",
  tier: "service_tier",
  safetyId: "safety_identifier",
  cacheKey: "prompt_cache_key",
  reasoning: "messages.reasoning_content",
  signature: "messages.tool_calls.extra_content",
  textSignature: "messages.extra_content",
  thoughtSignature: "messages.reasoning_details",
  strict: "tools.function.strict",
  formatNote: "response_format.json_schema.description",
  formatRules: "response_format.json_schema.schema",
  fileName: "messages.file.filename",
  cache: "cache_control",
  detail: "messages.image_url.detail",
  file: "messages.file",
  audio: "messages.input_audio",
  images: "modalities"
}

// The one argument of a function that stands for a tool whose input is any text.
const freeInput = "input"

const freeTool = (custom: JsonObject, place: string, notes: Notes): ChatTool => {
  const { description, format, name } = custom
  notes.only(custom, ["name", "description", "format"], "tools.custom")
  const grammar = Predicate.isObject(format) && Predicate.isObject(format["grammar"]) ? format["grammar"] : undefined
  const told = [
    typeof description === "string" ? description : "",
    grammar === undefined ? "" : `The input must follow this ${shownWord(grammar["syntax"])} grammar:`,
    grammar === undefined ? "" : textOf(grammar["definition"], `${place}.custom.format.grammar.definition`)
  ].filter((each) => each !== "")
  return {
    name: textOf(name, `${place}.custom.name`),
    description: told.length === 0 ? undefined : told.join("\n"),
    schema: {
      type: "object",
      properties: { [freeInput]: { type: "string" } },
      required: [freeInput],
      additionalProperties: false
    },
    strict: undefined
  }
}

const functionTool = (made: JsonObject, place: string, notes: Notes): ChatTool => {
  const { description, name, parameters, strict } = made
  if (typeof name !== "string" || name === "") return refuseAt(`${place}.name`, "must be a string")
  notes.only(made, ["name", "description", "parameters", "strict", "cache_control"], "tools.function")
  return {
    ...notes.markOf(made),
    name,
    description: typeof description === "string" ? description : undefined,
    schema: parameters ?? undefined,
    strict: typeof strict === "boolean" ? strict : undefined
  }
}

const toolOf = (tool: unknown, place: string, notes: Notes): ReadonlyArray<ChatTool> => {
  if (!Predicate.isObject(tool)) return refuseAt(place, "must be an object")
  const { custom, function: made, type } = tool
  if (type === "custom" && Predicate.isObject(custom)) {
    notes.only(tool, ["type", "custom", "cache_control"], "tools")
    return [{ ...freeTool(custom, place, notes), ...notes.markOf(tool) }]
  }
  if (Predicate.isObject(made)) {
    notes.only(tool, ["type", "function", "cache_control"], "tools")
    return [{ ...functionTool(made, `${place}.function`, notes), ...notes.markOf(tool) }]
  }
  if (type === "function" || type === undefined) return refuseAt(`${place}.function`, "must be an object")
  // Something that OpenAI's clouds run themselves.
  notes.drops(place)
  return []
}

const toolsOf = (json: JsonObject, notes: Notes): ReadonlyArray<ChatTool> => {
  const all = listOf(json["tools"], "tools")
  const kept = all.flatMap((tool, at) => toolOf(tool, `tools[${at}]`, notes))
  if (all.length > 0 && kept.length === 0) {
    return refuseAt("tools", "has no tool that the backend of this model can be told of")
  }
  const older = listOf(json["functions"], "functions").map((made, at) =>
    Predicate.isObject(made)
      ? functionTool(made, `functions[${at}]`, notes)
      : refuseAt(`functions[${at}]`, "must be an object")
  )
  return [...kept, ...older]
}

type Choice = Pick<Chat, "toolChoice" | "tools">

const chosen = (name: unknown, place: string, tools: ReadonlyArray<ChatTool>): ChatToolChoice =>
  typeof name === "string" && tools.some((tool) => tool.name === name)
    ? { name }
    : refuseAt(place, "is none of the tools of this request")

// Mistral and Anthropic call it any.
const words: Readonly<Record<string, ChatToolChoice>> = {
  auto: "auto",
  none: "none",
  required: "required",
  any: "required"
}

const wordOf = (word: unknown, place: string): ChatToolChoice => {
  const known = wordIn(words, word)
  return known ?? refuseAt(place, "must be none, auto, required or name a tool")
}

const nameIn = (choice: JsonObject): unknown => {
  const within = choice["function"] ?? choice["custom"]
  return Predicate.isObject(within) ? within["name"] : choice["name"]
}

const allowedOf = (allowed: JsonObject, tools: ReadonlyArray<ChatTool>): Choice => {
  const place = "tool_choice.allowed_tools"
  const names = listOf(allowed["tools"], `${place}.tools`).map((each) =>
    Predicate.isObject(each) ? nameIn(each) : undefined
  )
  for (const [at, name] of names.entries()) chosen(name, `${place}.tools[${at}]`, tools)
  return {
    tools: tools.filter(({ name }) => names.includes(name)),
    toolChoice: wordOf(allowed["mode"] ?? "auto", `${place}.mode`)
  }
}

const choiceOf = (json: JsonObject, tools: ReadonlyArray<ChatTool>): Choice => {
  const older = json["function_call"]
  const choice = json["tool_choice"] ?? (Array.isArray(json["functions"]) ? older : undefined)
  if (choice === undefined || choice === null || tools.length === 0) return { tools }
  if (!Predicate.isObject(choice)) return { tools, toolChoice: wordOf(choice, "tool_choice") }
  if (choice["type"] === "allowed_tools") {
    const { allowed_tools: allowed } = choice
    return allowedOf(Predicate.isObject(allowed) ? allowed : choice, tools)
  }
  const name = nameIn(choice)
  // Some have an object for a word as well.
  if (name === undefined && wordIn(words, choice["type"]) !== undefined) {
    return { tools, toolChoice: wordOf(choice["type"], "tool_choice") }
  }
  return { tools, toolChoice: chosen(name, "tool_choice", tools) }
}

const numbers = {
  temperature: "temperature",
  top_p: "topP",
  top_k: "topK",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
  min_p: "minP",
  typical_p: "typicalP",
  repeat_penalty: "repeatPenalty",
  repeat_last_n: "repeatWindow",
  n: "choices"
} as const

const numbersOf = (json: JsonObject): Partial<Chat> =>
  Object.fromEntries(
    Object.entries(numbers).flatMap(([field, name]) => {
      const value = json[field]
      if (value === undefined || value === null) return []
      return typeof value === "number" ? [[name, value]] : refuseAt(field, "must be a number")
    })
  )

const tokensOf = (json: JsonObject): Pick<Chat, "maxTokens"> => {
  const field = (json["max_completion_tokens"] ?? null) === null ? "max_tokens" : "max_completion_tokens"
  const value = json[field]
  // LM Studio and llama.cpp have it for no bound at all.
  if (value === undefined || value === null || value === -1) return {}
  return Number.isInteger(value) && Number(value) > 0
    ? { maxTokens: Number(value) }
    : refuseAt(field, "must be a whole number above 0")
}

const stopsOf = ({ stop }: JsonObject): Pick<Chat, "stop"> => {
  const all = typeof stop === "string" ? [stop] : listOf(stop, "stop")
  const kept = all.map((each, at) => textOf(each, `stop[${at}]`)).filter((each) => each !== "")
  return kept.length === 0 ? {} : { stop: kept }
}

const formatOf = ({ response_format: format }: JsonObject): Pick<Chat, "format"> => {
  if (!Predicate.isObject(format) || format["type"] === "text") return {}
  if (format["type"] === "json_object") return { format: { type: "json" } }
  const { json_schema: made } = format
  if (format["type"] !== "json_schema") {
    return refuseAt("response_format.type", "must be text, json_object or json_schema")
  }
  if (!Predicate.isObject(made)) return refuseAt("response_format.json_schema", "must be an object")
  const { description, name, schema, strict } = made
  return {
    format: {
      type: "schema",
      name: typeof name === "string" && name !== "" ? name : "output",
      ...(typeof description === "string" ? { description } : {}),
      schema: schema ?? {},
      ...(typeof strict === "boolean" ? { strict } : {})
    }
  }
}

const effortOf = (json: JsonObject, notes: Notes): Pick<Chat, "effort"> => {
  const { reasoning, reasoning_effort: asked } = json
  if (typeof asked === "string" && asked !== "") return { effort: asked }
  if (Predicate.isObject(reasoning)) notes.only(reasoning, ["effort", "enabled", "exclude", "max_tokens"], "reasoning")
  const within = Predicate.isObject(reasoning) ? effortOfReasoning(reasoning) : undefined
  const effort = within ?? effortOfOthers(json)
  return effort === undefined ? {} : { effort }
}

const logprobsOf = ({ logprobs, top_logprobs: top }: JsonObject): Pick<Chat, "logprobs"> =>
  logprobs === true ? { logprobs: typeof top === "number" ? top : 0 } : {}

const texts = {
  user: "user",
  safety_identifier: "safetyId",
  prompt_cache_key: "cacheKey",
  service_tier: "tier",
  verbosity: "verbosity"
} as const

const textsOf = (json: JsonObject): Partial<Chat> =>
  Object.fromEntries(
    Object.entries(texts).flatMap(([field, name]) => {
      const value = json[field]
      return typeof value === "string" && value !== "" ? [[name, value]] : []
    })
  )

const carried: ReadonlyArray<string> =
  "model messages stream stream_options tools tool_choice parallel_tool_calls functions function_call max_tokens max_completion_tokens temperature top_p top_k seed presence_penalty frequency_penalty min_p typical_p repeat_penalty repeat_last_n stop response_format reasoning_effort reasoning include_reasoning logprobs top_logprobs n user safety_identifier prompt_cache_key verbosity service_tier modalities cache_control".split(
    " "
  )

const imagesOf = ({ modalities }: JsonObject): Pick<Chat, "images"> => {
  const all = listOf(modalities, "modalities")
  for (const each of all) {
    if (each !== "text" && each !== "image")
      refuseAt("modalities", `has '${shownWord(each)}', which the backend of this model does not give`)
  }
  return all.includes("image") ? { images: true } : {}
}

const wishesOf = (json: JsonObject, notes: Notes): AnswerWishes => {
  const options = Predicate.isObject(json["stream_options"]) ? json["stream_options"] : {}
  notes.only(options, ["include_usage"], "stream_options")
  const { reasoning } = json
  const { exclude = false } = Predicate.isObject(reasoning) ? reasoning : {}
  const free = listOf(json["tools"], "tools").flatMap((tool) => {
    const custom = Predicate.isObject(tool) ? tool["custom"] : undefined
    return Predicate.isObject(custom) && typeof custom["name"] === "string" ? [custom["name"]] : []
  })
  return {
    usage: options["include_usage"] === true,
    signatures: Predicate.isObject(reasoning) || json["include_reasoning"] === true,
    thoughts: exclude !== true && json["include_reasoning"] !== false,
    free: new Set(free),
    older: Array.isArray(json["functions"]),
    several: typeof json["n"] === "number" && json["n"] > 1
  }
}

const read = (plain: JsonObject, exact: JsonObject, notes: Notes): Chat => {
  const images = imagesOf(plain)
  const messages = readMessages(listOf(exact["messages"], "messages"), notes)
  const { tools, toolChoice } = choiceOf(plain, toolsOf(exact, notes))
  notes.only(plain, carried.concat(otherWords(plain)), "")
  const { parallel_tool_calls: parallel } = plain
  // Who knows one function call of an answer cannot be given two.
  const single = Array.isArray(plain["functions"]) || parallel === false
  return {
    stream: plain["stream"] === true,
    messages,
    tools,
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...(tools.length > 0 && (single || parallel === true) ? { parallelCalls: !single } : {}),
    ...tokensOf(plain),
    ...effortOf(plain, notes),
    ...formatOf(exact),
    ...numbersOf(plain),
    ...seedOf(plain, exact, "seed"),
    ...logprobsOf(plain),
    ...stopsOf(plain),
    ...textsOf(plain),
    ...images,
    ...notes.cacheOf(plain),
    extra: {}
  }
}

/** Reads a request; its body is a JSON object. */
export const decodeChatRequest: ClientCodec["decode"] = (body, _model, parsed) => {
  const notes = new Notes(["cache_control"])
  try {
    const built = builtOf(body, parsed)
    const chat = read(built.json, built.exact(), notes)
    return Result.succeed({ chat, answers: answersFor(wishesOf(built.json, notes)), dropped: notes.all() })
  } catch (error) {
    return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
  }
}
