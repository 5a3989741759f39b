/**
 * The few facts of a request of Responses that routing must know, and how many tokens its prompt makes.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadRequest } from "../../domain/errors.ts"
import { type ChatSight, PromptSight } from "../chat-needs.ts"
import { jsonKind, modelFault, streamFault } from "../json-body.ts"
import type { JsonObject } from "../request-notes.ts"
import { clientToolOf } from "./client-tools.ts"
import { fieldsIn, listIn } from "../read-json.ts"
import { isClientSearch, toldTools } from "./responses-tools.ts"
import { estimatePrompt, noWeight, type TokenEstimate, type TokenWeight, weighJson } from "../token-estimate.ts"

const walk = (content: unknown, sight: PromptSight): void => {
  if (!Array.isArray(content)) return sight.text(content)
  for (const part of content) {
    if (!Predicate.isObject(part)) continue
    if (part["type"] === "input_image") sight.image()
    else {
      sight.text(part["text"])
      sight.text(part["refusal"])
      sight.text(part["stdout"])
      sight.text(part["stderr"])
    }
  }
}

const did = (action: unknown, sight: PromptSight): void => {
  if (Predicate.isObject(action)) sight.text(JSON.stringify(action))
}

const conversation = ({ input, instructions }: JsonObject, weight?: TokenWeight): PromptSight => {
  const sight = new PromptSight(weight)
  sight.text(instructions)
  if (!Array.isArray(input)) sight.text(input)
  for (const item of listIn(input)) {
    if (!Predicate.isObject(item)) continue
    walk(item["content"], sight)
    walk(item["summary"], sight)
    walk(item["output"], sight)
    sight.text(item["arguments"])
    sight.text(item["input"])
    sight.text(item["name"])
    did(item["action"], sight)
    did(item["operation"], sight)
  }
  return sight
}

const formatIn = ({ text }: JsonObject): JsonObject => fieldsIn(fieldsIn(text)["format"])

/** Each tool once, as the model is told of it: of one that is told of again the last word counts. */
const weighedTools = (json: JsonObject): ReadonlyArray<unknown> => {
  const all = new Map<unknown, unknown>()
  const take = (tool: unknown, space: string): void => {
    if (!Predicate.isObject(tool)) return
    const { name, tools, type } = tool
    if (type === "namespace" && Array.isArray(tools)) for (const each of tools) take(each, `${String(name)} `)
    else all.set(typeof name === "string" ? `${space}${String(type)} ${name}` : tool, tool)
  }
  for (const [tool] of toldTools(json)) take(tool, "")
  return [...all.values()]
}

const tokensOf = (json: JsonObject): TokenEstimate => {
  const said = noWeight()
  const tools = noWeight()
  const form = noWeight()
  conversation(json, said)
  weighJson(weighedTools(json), tools)
  weighJson(formatIn(json)["schema"], form)
  return estimatePrompt({ said, tools, toolsOff: json["tool_choice"] === "none", form })
}

// What stands for an input at those who keep conversations.
const elsewhere = ["previous_response_id", "conversation", "prompt"] as const

const inputFault = (json: JsonObject): BadRequest | undefined => {
  const { input } = json
  if (typeof input === "string" || Array.isArray(input)) return undefined
  const isElsewhere = elsewhere.some((field) => json[field] !== undefined && json[field] !== null)
  if (isElsewhere && (input === undefined || input === null)) return undefined
  const message =
    input === undefined
      ? "The field 'input' is missing; a string or an array of items is expected"
      : `The field 'input' must be a string or an array of items; ${jsonKind(input)} came`
  return new BadRequest({ message, param: "input" })
}

// What others are called OpenAI runs itself.
const called: ReadonlySet<unknown> = new Set(["function", "custom", "namespace"])

const isCalled = (tool: unknown): boolean =>
  Predicate.isObject(tool) && (called.has(tool["type"]) || isClientSearch(tool) || clientToolOf(tool) !== undefined)

const hasTools = (json: JsonObject): boolean => toldTools(json).some(([tool]) => isCalled(tool))

const forms: ReadonlySet<unknown> = new Set(["json_object", "json_schema"])

/** What is seen in the body of a request. */
export const lookAtResponses = (json: JsonObject): Result.Result<ChatSight, BadRequest> => {
  const { max_output_tokens: most, model, stream } = json
  const fault = modelFault(model) ?? inputFault(json) ?? streamFault(stream)
  if (fault !== undefined) return Result.fail(fault)
  return Result.succeed({
    model: String(model),
    stream: stream === true,
    sight: conversation(json),
    tools: hasTools(json),
    form: forms.has(formatIn(json)["type"]),
    most,
    tokens: () => tokensOf(json)
  })
}
