/**
 * The few facts of a request of Messages that routing must know, and how many tokens its prompt makes.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { BadRequest } from "../../domain/errors.ts"
import { type ChatSight, PromptSight } from "../chat-needs.ts"
import { messagesFault, modelFault, streamFault } from "../json-body.ts"
import type { JsonObject } from "../request-notes.ts"
import { estimatePrompt, noWeight, type TokenEstimate, type TokenWeight, weighJson } from "../token-estimate.ts"

/** Goes through the blocks of a content, those inside of results and documents included. */
const walk = (content: unknown, sight: PromptSight, weight: TokenWeight | undefined): void => {
  if (typeof content === "string") return sight.text(content)
  if (!Array.isArray(content)) return
  for (const block of content) {
    if (!Predicate.isObject(block)) continue
    const { input, source, type } = block
    if (type === "image") {
      sight.image()
      continue
    }
    for (const text of [block["text"], block["thinking"], block["title"]]) sight.text(text)
    walk(block["content"], sight, weight)
    if (weight !== undefined && input !== undefined) weighJson(input, weight)
    if (!Predicate.isObject(source)) continue
    walk(source["content"], sight, weight)
    if (source["type"] === "text") sight.text(source["data"])
  }
}

const conversation = (json: JsonObject, weight?: TokenWeight): PromptSight => {
  const sight = new PromptSight(weight)
  walk(json["system"], sight, weight)
  const { messages } = json
  for (const message of Array.isArray(messages) ? messages : []) {
    if (Predicate.isObject(message)) walk(message["content"], sight, weight)
  }
  return sight
}

const choosesNone = (choice: unknown): boolean => Predicate.isObject(choice) && choice["type"] === "none"

/** The tokens that a request makes, looked at letter by letter. */
const tokensOf = (json: JsonObject): TokenEstimate => {
  const said = noWeight()
  const tools = noWeight()
  conversation(json, said)
  if (Array.isArray(json["tools"])) weighJson(json["tools"], tools)
  return estimatePrompt({ said, tools, toolsOff: choosesNone(json["tool_choice"]), form: noWeight() })
}

const wantsForm = ({ output_config: output, output_format: older }: JsonObject): boolean =>
  Predicate.isObject(older) || (Predicate.isObject(output) && Predicate.isObject(output["format"]))

/** What is seen in the body of a request. */
export const lookAtMessages = (json: JsonObject, named?: string): Result.Result<ChatSight, BadRequest> => {
  const { max_tokens: most, messages, stream, tools } = json
  const model = named ?? json["model"]
  const fault = modelFault(model) ?? messagesFault(messages) ?? streamFault(stream)
  if (fault !== undefined) return Result.fail(fault)
  return Result.succeed({
    model: String(model),
    stream: stream === true,
    sight: conversation(json),
    tools: Array.isArray(tools) && tools.length > 0,
    form: wantsForm(json),
    most,
    tokens: () => tokensOf(json)
  })
}
