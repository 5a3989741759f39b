/**
 * A request of Anthropic's Messages as one of the hub: what cannot be carried over is refused by its place, or named.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import type { Chat, ChatTool, ChatToolChoice, ClientCodec, SystemText } from "../chat.ts"
import { messagesAnswers } from "./messages-answer.ts"
import { readTurns } from "./messages-turns.ts"
import { tooDeep } from "../json-body.ts"
import { builtOf } from "../parsed-body.ts"
import {
  countOf,
  type JsonObject,
  listOf,
  Notes,
  refuseAt,
  shownWord,
  systemOf,
  textOf,
  userWord
} from "../request-notes.ts"
import { effortOfTokens } from "../thinking-wish.ts"
import { wordIn } from "../word-table.ts"

/** How the first block of Claude Code's system prompt begins, which is another one in each request. */
const billing = "x-anthropic-billing-header"

const systemTexts = (system: unknown, notes: Notes): ReadonlyArray<SystemText> => {
  if (system === undefined || system === null) return []
  if (typeof system === "string") return [{ text: system }]
  if (!Array.isArray(system)) return refuseAt("system", "must be a string or an array of text blocks")
  return system.map((block: unknown, at) => {
    const place = `system[${at}]`
    if (!Predicate.isObject(block)) return refuseAt(place, "must be a text block")
    if (block["type"] !== "text") return refuseAt(`${place}.type`, "must be 'text'")
    const text = textOf(block["text"], `${place}.text`)
    notes.only(block, ["type", "text", "cache_control"], "system")
    if (!text.startsWith(billing)) return { text, ...notes.markOf(block) }
    notes.drops(place)
    return { text: "" }
  })
}

// What Anthropic runs itself; the others with a type of their own are run by the client, by a schema that only the model knows.
const serverTools = /^(?:web_search|web_fetch|code_execution|tool_search_tool|advisor|mcp_toolset)/

const toolOf = (tool: JsonObject, place: string, notes: Notes): ChatTool => {
  const { description, name, input_schema: schema, strict } = tool
  if (typeof name !== "string" || name === "") return refuseAt(`${place}.name`, "must be a string")
  notes.only(tool, ["type", "name", "description", "input_schema", "strict", "cache_control"], "tools")
  return {
    ...notes.markOf(tool),
    name,
    description: typeof description === "string" ? description : undefined,
    schema: schema ?? { type: "object", properties: {} },
    strict: typeof strict === "boolean" ? strict : undefined
  }
}

const toolsOf = (tools: unknown, notes: Notes): ReadonlyArray<ChatTool> => {
  const all = listOf(tools, "tools")
  const kept = all.flatMap((tool, at) => {
    const place = `tools[${at}]`
    if (!Predicate.isObject(tool)) return refuseAt(place, "must be an object")
    const { type } = tool
    if (type === undefined || type === null || type === "custom") return [toolOf(tool, place, notes)]
    if (typeof type === "string" && serverTools.test(type)) {
      notes.drops(place)
      return []
    }
    return refuseAt(`${place}.type`, `is '${shownWord(type)}', whose schema the backend of this model does not know`)
  })
  if (all.length > 0 && kept.length === 0) {
    return refuseAt("tools", "has only tools that Anthropic runs itself; the backend of this model has none of them")
  }
  return kept
}

const choices: Readonly<Record<string, ChatToolChoice>> = { auto: "auto", any: "required", none: "none" }

const choiceOf = (choice: unknown, tools: ReadonlyArray<ChatTool>): Pick<Chat, "toolChoice" | "parallelCalls"> => {
  if (!Predicate.isObject(choice) || tools.length === 0) return {}
  const parallel = choice["disable_parallel_tool_use"] === true ? { parallelCalls: false } : {}
  const { name, type } = choice
  if (type === "tool") {
    if (typeof name !== "string" || !tools.some((tool) => tool.name === name)) {
      return refuseAt("tool_choice.name", "is none of the tools that the backend of this model can call")
    }
    return { toolChoice: { name }, ...parallel }
  }
  const known = wordIn(choices, type)
  if (known === undefined) return refuseAt("tool_choice.type", "must be auto, any, tool or none")
  return { toolChoice: known, ...parallel }
}

const effortOf = ({ output_config: output, thinking }: JsonObject, notes: Notes): Pick<Chat, "effort"> => {
  const asked = Predicate.isObject(output) ? output["effort"] : undefined
  const effort = typeof asked === "string" ? asked : undefined
  const told = effort === undefined ? {} : { effort }
  if (!Predicate.isObject(thinking)) return told
  notes.only(thinking, ["type", "budget_tokens"], "thinking")
  const { budget_tokens: budget, type } = thinking
  if (type === "disabled") return { effort: "none" }
  if (type === "enabled" && effort === undefined && typeof budget === "number")
    return { effort: effortOfTokens(budget) }
  return told
}

const formatOf = ({ output_config: output, output_format: older }: JsonObject, notes: Notes): Pick<Chat, "format"> => {
  if (Predicate.isObject(output)) notes.only(output, ["effort", "format"], "output_config")
  const format = Predicate.isObject(output) && Predicate.isObject(output["format"]) ? output["format"] : older
  if (!Predicate.isObject(format)) return {}
  if (format["type"] !== "json_schema") return refuseAt("output_config.format.type", "must be 'json_schema'")
  return { format: { type: "schema", name: "output", schema: format["schema"], strict: true } }
}

const tokensOf = (value: unknown): Pick<Chat, "maxTokens"> => {
  const maxTokens = countOf(value, "max_tokens")
  return maxTokens === undefined ? {} : { maxTokens }
}

const numbers = { temperature: "temperature", top_p: "topP", top_k: "topK" } as const

const samplingOf = (json: JsonObject): Pick<Chat, "temperature" | "topK" | "topP"> =>
  Object.fromEntries(
    Object.entries(numbers).flatMap(([field, name]) => {
      const value = json[field]
      if (value === undefined || value === null) return []
      return typeof value === "number" ? [[name, value]] : refuseAt(field, "must be a number")
    })
  )

const stopsOf = (json: JsonObject): Pick<Chat, "stop"> => {
  const all = listOf(json["stop_sequences"], "stop_sequences")
  const stop = all.map((each, at) => textOf(each, `stop_sequences[${at}]`)).filter((each) => each.trim() !== "")
  return stop.length === 0 ? {} : { stop }
}

const userOf = (metadata: unknown, notes: Notes): Pick<Chat, "user"> => {
  if (!Predicate.isObject(metadata)) return {}
  notes.only(metadata, ["user_id"], "metadata")
  const { user_id: user } = metadata
  if (typeof user !== "string" || user === "") return {}
  return { user: userWord(user) }
}

const tiers: Readonly<Record<string, string>> = { auto: "auto", standard_only: "default" }

const tierOf = ({ service_tier: tier }: JsonObject, notes: Notes): Pick<Chat, "tier"> => {
  const known = wordIn(tiers, tier)
  if (known !== undefined) return { tier: known }
  if (tier !== undefined && tier !== null) notes.drops("service_tier")
  return {}
}

// Without them the answer would be another one.
const vital = ["mcp_servers", "container", "thread"] as const

const carried: ReadonlyArray<string> =
  "model messages system stream max_tokens tools tool_choice thinking output_config output_format temperature top_p top_k stop_sequences metadata service_tier cache_control anthropic_version"
    .split(" ")
    .concat(vital)

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0)

const read = (plain: JsonObject, exact: JsonObject, notes: Notes): Chat => {
  for (const field of vital) if (!isEmpty(plain[field])) refuseAt(field, "is not known to the backend of this model")
  const system = systemOf(systemTexts(plain["system"], notes))
  const messages = readTurns(listOf(exact["messages"], "messages"), notes)
  const kept = toolsOf(exact["tools"], notes)
  notes.only(plain, carried, "")
  return {
    stream: plain["stream"] === true,
    messages: [...system, ...messages],
    tools: kept,
    ...choiceOf(plain["tool_choice"], kept),
    ...tokensOf(plain["max_tokens"]),
    ...effortOf(plain, notes),
    ...formatOf(exact, notes),
    ...samplingOf(plain),
    ...stopsOf(plain),
    ...userOf(plain["metadata"], notes),
    ...tierOf(plain, notes),
    ...notes.cacheOf(plain),
    extra: {}
  }
}

/** Reads a request; its body is a JSON object. */
export const decodeMessagesRequest: ClientCodec["decode"] = (body, _model, parsed) => {
  // Marks for a cache say the same wherever they stand.
  const notes = new Notes(["cache_control"])
  try {
    const built = builtOf(body, parsed)
    const chat = read(built.json, built.exact(), notes)
    return Result.succeed({ chat, dropped: notes.all(), answers: messagesAnswers })
  } catch (error) {
    return Result.fail(error instanceof BadRequest ? error : tooDeep(error))
  }
}
