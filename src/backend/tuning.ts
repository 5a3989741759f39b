/**
 * What config has for the models of a server that takes settings of its own with each request.
 */
import type { Model, Tuning } from "../domain/server.ts"
import { type Backend } from "./backend.ts"
import { spellingOf } from "./spelling.ts"

/** The tuning of a model at a backend: its own over that of all; undefined where there is none. */
export const tuningFor = ({ modelTunings = [], tuning, type }: Backend, model: string): Tuning | undefined => {
  const spelling = spellingOf(type, model)
  const own = modelTunings.find(
    ({ id }) => id === model || (spelling !== undefined && spellingOf(type, id) === spelling)
  )?.tuning
  if (own === undefined || tuning === undefined) return own ?? tuning
  return { ...tuning, ...own, options: { ...tuning.options, ...own.options } }
}

// Tokens of a prompt are estimates, and an answer has to fit as well.
const caution = 1.5
const usualAnswer = 1024

/**
 * The context to have a model in, in tokens: the least one, or the one that it is in already, or where a prompt outgrows
 * that, twice as much and twice again, up to the most. Each other size is another load of the model.
 */
export const sizedContext = (
  { least, most }: { readonly least: number; readonly most: number },
  { outputTokens, promptTokens }: { readonly outputTokens: number; readonly promptTokens: number },
  now: number
): number => {
  const needed = Math.ceil(promptTokens * caution) + (outputTokens > 0 ? outputTokens : usualAnswer)
  let size = Math.max(least, Math.min(now, most))
  while (size < needed && size < most) size = Math.min(most, size * 2)
  return size
}

/** The context that a model was asked to have last, and when, in monotonic milliseconds. */
export interface AskedContext {
  readonly tokens: number
  readonly at: number
}

/** The context that a model is in now, as far as is known; 0 when it is in none. */
export const contextNow = (
  { context_in_force: told = 0, loaded }: Model,
  asked: AskedContext | undefined,
  probedAt: number
): number => {
  // A look at the server after the last request shows what has become of the model, by whomever.
  if (asked !== undefined && asked.at >= probedAt) return asked.tokens
  if (loaded === false) return 0
  return loaded === true && told > 0 ? told : (asked?.tokens ?? 0)
}
