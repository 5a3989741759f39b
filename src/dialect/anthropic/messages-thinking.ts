/**
 * How much a model of Anthropic's is to think, in the words that it has for that: models differ.
 */
import type { Chat, ChatMessage, ServerTraits } from "../chat.ts"
import { isForAnthropic } from "../signatures.ts"
import { wordIn } from "../word-table.ts"

/** What is said of it, and what cannot be said beside it. */
export interface Thinking {
  readonly thinking?: Readonly<Record<string, unknown>>
  readonly effort?: string
  /** Tokens of thought, which are tokens of the answer. */
  readonly budget: number
  /** Whether it is left out, though it was asked for. */
  readonly dropped: boolean
}

const nothing: Thinking = { budget: 0, dropped: false }

const left: Thinking = { budget: 0, dropped: true }

// Older models by their names, for lists that do not tell.
const never = /claude-(?:2|instant|3(?!-7))/
const byTokens = /claude-3-7|(?:sonnet|haiku)-4(?:-[0-5](?!\d)|-20\d{6}|$|[@:])|opus-4(?:-[01](?!\d)|-20\d{6}|$|[@:])/

const wayOf = (model: string, thinks: ServerTraits["thinks"]): NonNullable<ServerTraits["thinks"]> =>
  thinks ?? (never.test(model) ? "never" : byTokens.test(model) ? "by tokens" : "by effort")

const efforts: Readonly<Record<string, string>> = {
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "xhigh",
  max: "max"
}

const budgets: Readonly<Record<string, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 24_576,
  max: 32_768
}

const leastBudget = 1024

// What is left of an answer's tokens for the answer itself.
const share = 0.8

const isSigned = (message: ChatMessage & { readonly role: "assistant" }): boolean =>
  message.items.some((item) => item.type === "reasoning" && isForAnthropic(item.signature))

// In the middle of its calls a model wants its thoughts back, signed.
const wantsThoughts = (messages: ReadonlyArray<ChatMessage>): boolean => {
  const last = messages.findLast((message) => message.role === "assistant")
  return last?.role === "assistant" && last.items.some(({ type }) => type === "call") && !isSigned(last)
}

const inTokens = ({ maxTokens, messages, toolChoice, tools }: Chat, effort: string): Thinking => {
  const forced = tools.length > 0 && (toolChoice === "required" || typeof toolChoice === "object")
  const wanted = wordIn(budgets, effort)
  if (wanted === undefined || forced || wantsThoughts(messages)) return left
  const budget = maxTokens === undefined ? wanted : Math.min(wanted, Math.floor(maxTokens * share))
  if (budget < leastBudget) return left
  return { thinking: { type: "enabled", budget_tokens: budget }, budget, dropped: false }
}

/** How much the model is to think. */
export const thinkingOf = (chat: Chat, model: string, { thinks }: Pick<ServerTraits, "thinks">): Thinking => {
  const { effort } = chat
  if (effort === undefined) return nothing
  const way = wayOf(model, thinks)
  if (effort === "none") return way === "by effort" ? { ...nothing, thinking: { type: "disabled" } } : nothing
  if (way === "never") return left
  if (way === "by tokens") return inTokens(chat, effort)
  const level = wordIn(efforts, effort)
  return level === undefined ? left : { ...nothing, effort: level }
}
