/**
 * The few facts of a request of Messages that routing must know, and how many tokens its prompt makes.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { BadRequest } from "../../domain/errors.ts"
import type { EventLoopTurns } from "../../domain/EventLoopTurns.ts"
import type { Ability, OperationFacts } from "../../domain/request.ts"
import type { LeastContext, ReadRequest } from "../Dialect.ts"
import { boundsFault, isLarge } from "../json-bounds.ts"
import { messagesFault, modelFault, parseBody, streamFault } from "../json-body.ts"
import {
  estimatePrompt,
  noWeight,
  type TokenEstimate,
  type TokenWeight,
  weighJson,
  weighText
} from "../token-estimate.ts"
import { type JsonObject, tooDeep } from "../request-notes.ts"

/** What is looked at in a conversation. */
interface Seen {
  vision: boolean
  characters: number
}

// Tokens that an image makes, which no text tells.
const imageHundredths = 150_000

/** Goes through the blocks of a content, those inside of results and documents included. */
const walk = (content: unknown, seen: Seen, weight: TokenWeight | undefined): void => {
  if (typeof content === "string") {
    seen.characters += content.length
    if (weight !== undefined) weighText(content, weight)
    return
  }
  if (!Array.isArray(content)) return
  for (const block of content) {
    if (!Predicate.isObject(block)) continue
    const { input, source, type } = block
    if (type === "image") {
      seen.vision = true
      if (weight !== undefined) weight.hundredths += imageHundredths
      continue
    }
    for (const text of [block["text"], block["thinking"], block["title"]]) {
      if (typeof text === "string") walk(text, seen, weight)
    }
    walk(block["content"], seen, weight)
    if (weight !== undefined && input !== undefined) weighJson(input, weight)
    if (!Predicate.isObject(source)) continue
    walk(source["content"], seen, weight)
    if (source["type"] === "text") walk(source["data"], seen, weight)
  }
}

const conversation = (json: JsonObject, seen: Seen, weight?: TokenWeight): void => {
  walk(json["system"], seen, weight)
  const { messages } = json
  for (const message of Array.isArray(messages) ? messages : []) {
    if (Predicate.isObject(message)) walk(message["content"], seen, weight)
  }
}

const choosesNone = (choice: unknown): boolean => Predicate.isObject(choice) && choice["type"] === "none"

/** The tokens that a request makes, looked at letter by letter. */
const tokensOf = (json: JsonObject): TokenEstimate => {
  const said = noWeight()
  const tools = noWeight()
  conversation(json, { vision: false, characters: 0 }, said)
  if (Array.isArray(json["tools"])) weighJson(json["tools"], tools)
  return estimatePrompt({ said, tools, toolsOff: choosesNone(json["tool_choice"]), form: noWeight() })
}

const wantsForm = ({ output_config: output, output_format: older }: JsonObject): boolean =>
  Predicate.isObject(older) || (Predicate.isObject(output) && Predicate.isObject(output["format"]))

const unknown: LeastContext = () => 0

const needsOf = (
  operation: OperationFacts,
  body: Uint8Array,
  { counting, least = unknown }: { readonly counting: boolean; readonly least?: LeastContext | undefined }
): Result.Result<ReadRequest, BadRequest> => {
  const parsed = parseBody(body)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const json = parsed.success
  const { max_tokens: most, messages, model, stream, tools } = json
  const fault = modelFault(model) ?? messagesFault(messages) ?? streamFault(stream)
  if (fault !== undefined) return Result.fail(fault)
  const seen: Seen = { vision: false, characters: 0 }
  conversation(json, seen)
  const abilities: Array<Ability> = []
  if (!counting && seen.vision) abilities.push("vision")
  if (!counting && Array.isArray(tools) && tools.length > 0) abilities.push("tools")
  if (!counting && wantsForm(json)) abilities.push("json_mode")
  const outputTokens = !counting && typeof most === "number" && most > 0 && Number.isFinite(most) ? Math.floor(most) : 0
  const name = String(model)
  // No token is shorter than a byte: what fits anywhere in any case need not be looked at letter by letter.
  const isTight = body.byteLength + outputTokens > least(name)
  const tokens =
    counting || isTight ? tokensOf(json) : { promptTokens: Math.floor(seen.characters / 4), atLeastTokens: 0 }
  const needs = { operation, model: name, stream: !counting && stream === true, abilities, outputTokens, ...tokens }
  return Result.succeed({ needs: counting ? { ...needs, atLeastTokens: 0 } : needs, model: undefined })
}

const atOnce: typeof needsOf = (...args) => {
  try {
    return needsOf(...args)
  } catch (error) {
    return Result.fail(tooDeep(error))
  }
}

/** Reads what routing must know of a request; `counting` when its tokens are what is asked for. */
export const readMessagesNeeds = (
  operation: OperationFacts,
  body: Uint8Array,
  turns: EventLoopTurns,
  wish: Parameters<typeof needsOf>[2]
): ReturnType<typeof needsOf> | Promise<ReturnType<typeof needsOf>> => {
  if (!isLarge(body)) return atOnce(operation, body, wish)
  return boundsFault(body, turns).then((fault) =>
    fault === undefined ? atOnce(operation, body, wish) : Result.fail(fault)
  )
}
