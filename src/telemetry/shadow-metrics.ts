/**
 * The metrics of copies of requests that rules have sent elsewhere, and of how their answers compare with the real ones.
 */
import { counter } from "./metric-definition.ts"

/** Copies of requests. */
export const shadows = counter(
  "nexus_shadows_total",
  "copies",
  ["rule", "backend", "model", "outcome"],
  "Copies of requests that a rule wanted sent elsewhere, counted apart from requests; `cut` where a real request took the room or its client left, `skipped` where there was none"
)

/** Copies that can be compared. */
export const shadowPairs = counter(
  "nexus_shadow_pairs_total",
  "pairs",
  ["rule", "backend", "model"],
  "Copies whose answers were compared with the real ones; what follows is of these"
)

/** Copies that were answered alike. */
export const shadowAlike = counter(
  "nexus_shadow_alike_total",
  "pairs",
  ["rule", "backend", "model", "part"],
  "Pairs whose answers had the same status, and those that both said the same reason for their end"
)

/** Time of both sides. */
export const shadowSeconds = counter(
  "nexus_shadow_seconds_total",
  "seconds",
  ["rule", "backend", "model", "side", "part"],
  "Time of the answers of all pairs, of the copies and of the real ones, to the first byte and to the end"
)

/** Tokens of both sides. */
export const shadowTokens = counter(
  "nexus_shadow_tokens_total",
  "tokens",
  ["rule", "backend", "model", "side", "kind"],
  "Tokens of the answers of all pairs, of the copies and of the real ones, as backends tell them"
)
