/**
 * The answer of a server that has counted the tokens of a prompt.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { BadAnswer } from "../domain/upstream-errors.ts"
import { type AnswerFault, unknownIdentity, type WholeAnswer } from "./Dialect.ts"
import { parsedJson } from "./read-json.ts"

const decoder = new TextDecoder()

/** What is told where nobody counts: that a request makes no token at all would be wrong for each one. */
export const estimatedCount = ({ promptTokens }: { readonly promptTokens: number }): number => Math.max(1, promptTokens)

/** Judges an answer whose field of this name is the number of tokens. */
export const wholeCount =
  (field: string) =>
  (body: Uint8Array): Result.Result<WholeAnswer, AnswerFault> => {
    const json = parsedJson(decoder.decode(body))
    const count = Predicate.isObject(json) ? json[field] : undefined
    return Number.isSafeInteger(count) && Number(count) >= 0
      ? Result.succeed({ said: unknownIdentity, usage: undefined })
      : Result.fail(new BadAnswer({ reason: `JSON without ${field}`, body }))
  }
