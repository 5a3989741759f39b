/**
 * What routing must know of a request to a chat model, from what a dialect has seen in its body.
 */
import * as Result from "effect/Result"
import type { BadRequest } from "../domain/errors.ts"
import type { Ability, OperationFacts } from "../domain/request.ts"
import type { NeedsReading, ReadRequest } from "./Dialect.ts"
import { readBuilt } from "./parsed-body.ts"
import type { JsonObject } from "./request-notes.ts"
import { type TokenEstimate, type TokenWeight, weighText } from "./token-estimate.ts"

/** What is looked at in a conversation: how much text there is, and letter by letter where a weight is given. */
export class PromptSight {
  vision = false
  characters = 0
  private readonly weight: TokenWeight | undefined

  constructor(weight?: TokenWeight) {
    this.weight = weight
  }

  text(text: unknown): void {
    if (typeof text !== "string") return
    this.characters += text.length
    if (this.weight !== undefined) weighText(text, this.weight)
  }

  image(): void {
    this.vision = true
    if (this.weight !== undefined) this.weight.hundredths += imageHundredths
  }
}

// Tokens that an image makes, which no text tells.
const imageHundredths = 150_000

/** What a dialect sees in a body. */
export interface ChatSight {
  readonly model: string
  readonly stream: boolean
  readonly sight: PromptSight
  readonly tools: boolean
  readonly form: boolean
  /** The most tokens that the answer may have; anything but a number above 0 says nothing. */
  readonly most: unknown
  /** The tokens that it makes, looked at letter by letter. */
  readonly tokens: () => TokenEstimate
}

/** How a dialect looks at a body whose model the path may have named; fails with the field at fault. */
type Look = (json: JsonObject, named: string | undefined) => Result.Result<ChatSight, BadRequest>

type Read = Result.Result<ReadRequest, BadRequest>

const needsOf = (
  operation: OperationFacts,
  json: JsonObject,
  size: number,
  reading: NeedsReading,
  look: Look,
  counting: boolean
): Read => {
  const seen = look(json, reading.model)
  if (Result.isFailure(seen)) return Result.fail(seen.failure)
  const { form, model, most, sight, stream, tokens, tools } = seen.success
  if (counting) {
    const { promptTokens } = tokens()
    const needs = { operation, model, stream: false, abilities: [], outputTokens: 0, promptTokens, atLeastTokens: 0 }
    return Result.succeed({ needs, model: undefined })
  }
  const abilities: Array<Ability> = []
  if (sight.vision) abilities.push("vision")
  if (tools) abilities.push("tools")
  if (form) abilities.push("json_mode")
  const outputTokens = typeof most === "number" && most > 0 && Number.isFinite(most) ? Math.floor(most) : 0
  // No token is shorter than a byte: what fits anywhere in any case need not be looked at letter by letter.
  const isTight = size + outputTokens > (reading.least?.(model) ?? 0)
  const made = isTight ? tokens() : { promptTokens: Math.floor(sight.characters / 4), atLeastTokens: 0 }
  return Result.succeed({ needs: { operation, model, stream, abilities, outputTokens, ...made }, model: undefined })
}

/** Reads what routing must know of a request; `counting` when its tokens are what is asked for. */
export const readChatNeeds = (
  operation: OperationFacts,
  body: Uint8Array,
  reading: NeedsReading,
  look: Look,
  counting = false
): Read | Promise<Read> =>
  readBuilt(body, reading.turns, (json) => needsOf(operation, json, body.byteLength, reading, look, counting))
