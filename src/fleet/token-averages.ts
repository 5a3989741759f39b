/**
 * What a model makes of text: how many tokens a prompt has by its own count, how much of one is found cached, and how long its answers
 * are, each as an average over what answers have told.
 */
import type { PromptChain } from "./prompt-chain.ts"
import { smooth } from "./recent-turns.ts"
import type { Seen, Work } from "./running.ts"

// A model counts this many times as many tokens as were estimated at most, or this part of them at least.
const ratioWithin = { least: 0.125, most: 8 } as const

/** Tokens of an answer: as its server counted them or, where it told nothing, as many as it is likely to have written. */
export const answerTokensOf = ({ tokens, written }: Seen): number =>
  tokens !== undefined && tokens.completion > 0 ? tokens.completion : written

/** Averages of one model at one server. */
export class TokenAverages {
  // Tokens of a prompt for each that was estimated.
  private ratio = 1
  /** Whether the server tells how much of a prompt it found cached: whoever never names any may just not tell. */
  tellsCached = false
  /** Share of a prompt that is found cached, 0 to 1; undefined where that is not told. */
  cachedShare: number | undefined
  /** Tokens of an answer; undefined while there was none. */
  answer: number | undefined

  /** Tokens of a prompt as this model counts them. */
  ofPrompt({ prompt }: Work): number {
    return prompt * this.ratio
  }

  /** Tokens for each byte of a prompt's chain. */
  perByte(work: Work, { bytes }: PromptChain): number {
    return bytes === 0 ? 0 : this.ofPrompt(work) / bytes
  }

  /** Takes in what the answer to a request told. */
  learns({ prompt }: Work, seen: Seen): void {
    const { tokens } = seen
    if (tokens !== undefined && tokens.prompt > 0) {
      if (prompt > 0) {
        const ratio = Math.min(ratioWithin.most, Math.max(ratioWithin.least, tokens.prompt / prompt))
        this.ratio = this.ratio === 1 ? ratio : smooth(this.ratio, ratio)
      }
      if (tokens.cached > 0) this.tellsCached = true
      if (this.tellsCached) this.cachedShare = smooth(this.cachedShare, Math.min(1, tokens.cached / tokens.prompt))
    }
    const count = answerTokensOf(seen)
    if (count > 0) this.answer = smooth(this.answer, count)
  }
}
