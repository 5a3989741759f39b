/**
 * How many tokens a text makes: an estimate, and a bound that the text is not below with any tokenizer.
 *
 * Real figures for many kinds of text and tokenizers stand behind it: nothing but runs of one character makes fewer tokens
 * than a sixth of its UTF-16 units, as long as its words are not uncommonly long; and each word is a token at least. So the
 * bound is the lesser of the two counts.
 */

/** What has been counted of texts, in parts of tokens. */
export interface TokenWeight {
  /** The estimate, in hundredths of a token. */
  hundredths: number
  /** UTF-16 units, a run of one and the same counted once: six make a token at least. */
  units: number
  /** What no tokenizer joins, in sixths of a token. */
  sixths: number
}

/** Nothing counted yet. */
export const noWeight = (): TokenWeight => ({ hundredths: 0, units: 0, sixths: 0 })

/** Adds what was counted elsewhere. */
export const addWeight = (to: TokenWeight, from: TokenWeight): void => {
  to.hundredths += from.hundredths
  to.units += from.units
  to.sixths += from.sixths
}

/** How many tokens a prompt makes. */
export interface TokenEstimate {
  readonly promptTokens: number
  readonly atLeastTokens: number
  /** How many several prompts make together; undefined of one. */
  readonly allPromptTokens?: number | undefined
}

/** How many tokens it is likely to make, and how many at least. */
export const estimateOf = ({ hundredths, units, sixths }: TokenWeight): TokenEstimate => ({
  promptTokens: Math.floor(hundredths / 100),
  atLeastTokens: Math.floor(Math.min(units, sixths) / 6)
})

/** What none of the texts of a batch makes less of. */
export const noTokens: TokenEstimate = { promptTokens: 0, atLeastTokens: 0 }

/** The figures of a batch and one text more, of which each has a context to itself: of one those of the longest. */
export const batchEstimate = (batch: TokenEstimate, text: TokenEstimate): TokenEstimate =>
  batch === noTokens
    ? text
    : {
        promptTokens: Math.max(batch.promptTokens, text.promptTokens),
        atLeastTokens: Math.max(batch.atLeastTokens, text.atLeastTokens),
        allPromptTokens: (batch.allPromptTokens ?? batch.promptTokens) + text.promptTokens
      }

/** The figures of a batch with so many tokens more that came as their numbers. */
export const withTokenIds = (batch: TokenEstimate, ids: number): TokenEstimate =>
  ids === 0 ? batch : { ...batch, allPromptTokens: (batch.allPromptTokens ?? batch.promptTokens) + ids }

/** What a request makes a server put into a prompt, counted part by part. */
export interface PromptParts {
  /** Texts of messages, and calls of tools in them. */
  readonly said: TokenWeight
  /** Definitions of tools. */
  readonly tools: TokenWeight
  /** Whether a server may leave the tools out. */
  readonly toolsOff: boolean
  /** A form for the answer, which most servers keep to without a word of it in the prompt. */
  readonly form: TokenWeight
}

/** The tokens of a request: the bound counts only what is in the prompt for certain. */
export const estimatePrompt = ({ said, tools, toolsOff, form }: PromptParts): TokenEstimate => {
  const all = noWeight()
  const certain = noWeight()
  for (const each of [said, tools, form]) addWeight(all, each)
  addWeight(certain, said)
  if (!toolsOff) addWeight(certain, tools)
  return { promptTokens: estimateOf(all).promptTokens, atLeastTokens: estimateOf(certain).atLeastTokens }
}

const symbol = 0
const letter = 1
const digit = 2
// Ideographs, and scripts that part no words.
const wide = 3

const kinds = new Uint8Array(128)
for (let code = 0; code < 128; code += 1) {
  const char = String.fromCodePoint(code)
  kinds[code] = /[A-Za-z']/.test(char) ? letter : /\d/.test(char) ? digit : symbol
}

const kindOf = (unit: number): number => {
  if (unit < 128) return kinds[unit] ?? symbol
  return unit < 0x0e00 || (unit >= 0x1e00 && unit < 0x2000) || unit === 0x2019 ? letter : wide
}

// Hundredths of a token that a unit is likely to make.
const plainly = 25
const ofForeign = 35
// Of digits, and of what is wide.
const ofHeavy = 70

// Letters that one token holds at most, in any vocabulary.
const longestWord = 48
// A token holds so many symbols in a row at least, but for one of them that goes with the word behind it.
const fewSymbols = 7

/** Counts one text, which may come in pieces. */
export class TokenEstimator {
  private last = -1
  private kind = -1
  private run = 0

  /** Counts the next piece of the text into a weight. */
  put(text: string, into: TokenWeight): void {
    let { last, kind, run } = this
    let foreign = 0
    let heavy = 0
    let units = 0
    let sixths = 0
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at)
      const now = unit === last ? kind : kindOf(unit)
      run = now === kind ? run + 1 : 1
      if (now === letter) {
        if (run % longestWord === 1) sixths += 6
        if (unit >= 128) foreign += 1
      } else if (now === symbol) {
        if (run > 1 && run <= fewSymbols) sixths += 1
      } else {
        heavy += 1
        if (unit !== last) sixths += 1
      }
      if (unit !== last) units += 1
      last = unit
      kind = now
    }
    this.last = last
    this.kind = kind
    this.run = run
    into.hundredths += plainly * text.length + (ofForeign - plainly) * foreign + (ofHeavy - plainly) * heavy
    into.units += units
    into.sixths += sixths
  }
}

/** Counts a whole text. */
export const weighText = (text: string, into: TokenWeight): void => new TokenEstimator().put(text, into)

// A name of a field, with its quotes, its colon and its comma.
const aroundKey = 4

/** Counts the name of a field, which a server may write in a form of its own or not at all. */
export const weighKey = (length: number, into: TokenWeight): void => {
  into.hundredths += (length + aroundKey) * plainly
}

/** Counts every text inside of a JSON value. */
export const weighJson = (value: unknown, into: TokenWeight): void => {
  if (typeof value === "string") return weighText(value, into)
  if (typeof value !== "object" || value === null) return
  // However deep it goes, and without a call for each level.
  const open: Array<object> = [value]
  for (let inner = open.pop(); inner !== undefined; inner = open.pop()) {
    const named = !Array.isArray(inner)
    for (const [key, each] of Object.entries(inner)) {
      if (named) weighKey(key.length, into)
      if (typeof each === "string") weighText(each, into)
      else if (typeof each === "object" && each !== null) open.push(each)
    }
  }
}
