/**
 * Whether a backend has cut a prompt: servers that shorten what is too long for them do so without a word, and only the
 * tokens they report show it.
 */
import { contextOf, type Model } from "../domain/server.ts"
import type { RoutingNeeds } from "../domain/request.ts"

/** A prompt of which a backend has read a part, in tokens. */
export interface CutPrompt {
  readonly read: number
  /** What it has at least. */
  readonly sent: number
  /** The context of the model; undefined when nobody knows it. */
  readonly context: number | undefined
}

// What is well below the context by the estimate has not been cut, whatever is reported.
const nearlyFull = 0.75

/** What was cut, by the tokens that were read as the backend reports them; undefined when nothing shows it. */
export const cutPromptOf = (needs: RoutingNeeds, model: Model, read: number): CutPrompt | undefined => {
  const { atLeastTokens: sent, promptTokens } = needs
  if (sent === 0 || read === 0) return undefined
  const context = contextOf(model)
  if (context !== undefined && promptTokens < context * nearlyFull) return undefined
  const isFull = context !== undefined && read >= context
  return read < sent || (isFull && sent > context) ? { read, sent, context } : undefined
}

/** The same in words for people. */
export const cutPromptText = ({ context, read, sent }: CutPrompt): string =>
  `the prompt was cut: the backend read ${read} of at least ${sent} tokens${context === undefined ? "" : `, its context is ${context}`}`
