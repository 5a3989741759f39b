/**
 * What routing must know of a request; nothing else of a body is looked at.
 */

/** The OpenAI endpoints that are forwarded, by the path below `/v1`. */
export const endpoints = ["chat/completions", "completions", "embeddings"] as const

/** One of {@link endpoints}. */
export type Endpoint = (typeof endpoints)[number]

/** How a request can end. */
export const outcomes = ["completed", "refused", "failed", "truncated", "client_closed"] as const

/** One of {@link outcomes}. */
export type Outcome = (typeof outcomes)[number]

/** The abilities a request can call for. */
export type Ability = "vision" | "tools" | "json_mode" | "embeddings"

/** The few facts of a request that decide where it can go. */
export interface RoutingNeeds {
  readonly endpoint: Endpoint
  /** The model name as the client wrote it. */
  readonly model: string
  readonly stream: boolean
  readonly abilities: ReadonlyArray<Ability>
  /** How many tokens its prompt is likely to have: who has more room goes first. */
  readonly promptTokens: number
  /** How many it has with any tokenizer; 0 where nobody who may answer is that short. */
  readonly atLeastTokens: number
  /** What the client allows as output (`max_completion_tokens` or `max_tokens`); 0 when it does not say. */
  readonly outputTokens: number
}
