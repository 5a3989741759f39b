/**
 * What stands around the blocks of a message: its head, why it ended, and the tokens that it took.
 */
import type { AnswerContext, ChatStop, ChatUsage } from "../chat.ts"
import { wordIn } from "../word-table.ts"

const startUsage = {
  input_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: 0,
  output_tokens_details: null,
  server_tool_use: null
} as const

const fullUsage = { cache_creation: null, inference_geo: null, service_tier: null, speed: null } as const

/** The tokens of a message: what was cached is no part of the input here; all 0 where nobody has told. */
export const messageUsage = (usage: ChatUsage | undefined) =>
  usage === undefined
    ? startUsage
    : {
        input_tokens: Math.max(0, usage.prompt - usage.cachedRead - usage.cachedWrite),
        cache_creation_input_tokens: usage.cachedWrite,
        cache_read_input_tokens: usage.cachedRead,
        output_tokens: usage.completion,
        output_tokens_details: usage.reasoning === 0 ? null : { thinking_tokens: usage.reasoning },
        server_tool_use: null
      }

// What Anthropic calls OpenAI's.
const tiers: Readonly<Record<string, string>> = { default: "standard", priority: "priority", batch: "batch" }

const reasons = { end: "end_turn", length: "max_tokens", filter: "refusal" } as const

/** Why a message ended; `called` and `refused` are what stands in it. */
export const messageStop = (
  stop: ChatStop | undefined,
  facts: { readonly called: boolean; readonly refused: boolean }
) => {
  if (stop?.reason === "string") return { stop_reason: "stop_sequence", stop_sequence: stop.text }
  const reason = stop?.reason ?? "end"
  if (reason !== "end" && reason !== "calls") return { stop_reason: reasons[reason], stop_sequence: null }
  // Some servers end with a plain stop though calls were made, and some the other way round.
  const stop_reason = facts.called ? "tool_use" : facts.refused ? reasons.filter : reasons.end
  return { stop_reason, stop_sequence: null }
}

/** What every message begins with. */
export const messageHead = ({ id, model }: AnswerContext) => ({
  id: `msg_${id}`,
  type: "message",
  role: "assistant",
  model
})

const startFields = JSON.stringify({
  content: [],
  container: null,
  diagnostics: null,
  stop_reason: null,
  stop_details: null,
  stop_sequence: null,
  usage: { ...startUsage, ...fullUsage }
}).slice(1)

/** The event that begins a stream, written around the two fields that differ. */
export const messageStart = (context: AnswerContext): string =>
  `event: message_start\ndata: {"type":"message_start","message":${JSON.stringify(messageHead(context)).slice(0, -1)},${startFields}}\n\n`

/** The usage of a whole message, with which of its services a server has given it by. */
export const wholeUsage = (usage: ChatUsage | undefined) => ({
  ...messageUsage(usage),
  ...fullUsage,
  service_tier: wordIn(tiers, usage?.tier) ?? null
})
