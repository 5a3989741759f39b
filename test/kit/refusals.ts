/**
 * Failures as clients of OpenAI's dialect get them.
 */
import { failureIn, refusalBody, refuse } from "../../src/dialect/refuse.ts"
import { typeOf } from "../../src/dialect/openai-error.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import type { GatewayError } from "../../src/domain/errors.ts"

/** The form of a failure. */
export const formOf = (error: GatewayError) => {
  const failure = failureIn(openai, error)
  return { ...failure, type: typeOf(failure) }
}

/** The body of a failure. */
export const bodyOf = (error: GatewayError): string => refusalBody(openai, error)

/** The answer for a failure. */
export const render = (error: GatewayError, requestId: string, extra: Readonly<Record<string, string>> = {}) =>
  refuse(openai, error, requestId, extra)
