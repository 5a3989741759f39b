/**
 * Prompts as a server has them: the text that a template makes of a request, in tokens, and as a chain of its blocks.
 */

/** Characters of a token, of every text. */
export const charactersPerToken = 4

/** Tokens of a block, the unit in which prompts are compared. */
export const blockTokens = 16

const blockCharacters = blockTokens * charactersPerToken

/** A message of chat completions, as far as it is read. */
export interface Message {
  readonly role: string
  readonly content?: string | null
  readonly tool_calls?: ReadonlyArray<{
    readonly id?: string
    readonly type?: string
    readonly function: { readonly name: string; readonly arguments: string }
  }>
  readonly tool_call_id?: string
}

/** A request, as far as it is read. */
export interface ChatBody {
  readonly model: string
  readonly messages: ReadonlyArray<Message>
  readonly tools?: ReadonlyArray<unknown>
  readonly stream?: boolean
  readonly stream_options?: { readonly include_usage?: boolean }
  /** What the answer is to be like; see {@link ./answer.ts}. */
  readonly seed?: number
  readonly id_slot?: number
  readonly return_progress?: boolean
}

const messageText = ({ content, role, tool_calls: calls = [] }: Message): string =>
  `<|${role}|>${content ?? ""}${calls.map((call) => JSON.stringify(call.function)).join("")}`

/** The text that the model is given: tools, messages, and the opening of the answer. */
export const templated = ({ messages, tools }: ChatBody): string =>
  `${tools === undefined ? "" : JSON.stringify(tools)}${messages.map(messageText).join("")}<|assistant|>`

/** Text as hashes of its whole blocks, each of all before it too. */
export interface Prompt {
  readonly blocks: ReadonlyArray<number>
  readonly tokens: number
  /** What is left beyond the last whole block. */
  readonly rest: string
}

const nothing: Prompt = { blocks: [], tokens: 0, rest: "" }

/** The prompt with more text behind it. */
export const extended = (prompt: Prompt, more: string): Prompt => {
  const text = prompt.rest + more
  const blocks = prompt.blocks.slice()
  let last = blocks.at(-1) ?? 0
  let low = last >>> 0
  let high = Math.floor(last / 4_294_967_296)
  const whole = Math.floor(text.length / blockCharacters)
  for (let at = 0; at < whole * blockCharacters; at++) {
    const unit = text.charCodeAt(at)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x85ebca6b)
    if ((at + 1) % blockCharacters > 0) continue
    last = ((high ^ (high >>> 13)) & 0x1fffff) * 4_294_967_296 + (low >>> 0)
    blocks.push(last)
  }
  const rest = text.slice(whole * blockCharacters)
  return { blocks, rest, tokens: blocks.length * blockTokens + Math.ceil(rest.length / charactersPerToken) }
}

/** The prompt of a text. */
export const promptOf = (text: string): Prompt => extended(nothing, text)

/** How many blocks at the beginning of a prompt are there, when a block is only there with all before it. */
export const leadingBlocks = (prompt: Prompt, isThere: (block: number, at: number) => boolean): number => {
  let [there, missing] = [0, prompt.blocks.length + 1]
  while (missing - there > 1) {
    const middle = (there + missing) >> 1
    if (isThere(prompt.blocks[middle - 1] ?? -1, middle - 1)) there = middle
    else missing = middle
  }
  return there
}
