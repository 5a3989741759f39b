/**
 * The settings the router decides by, as they are once the config has been read and checked.
 */

/** How candidates are ordered. */
export const strategies = ["smart", "round_robin", "priority_only", "random"] as const

/** One of {@link strategies}. */
export type Strategy = (typeof strategies)[number]

/** Shares of the three parts of the smart score; only their proportions count. */
export interface Weights {
  readonly priority: number
  readonly load: number
  readonly latency: number
}

/** All the router is told by the operator. */
export interface RoutingSettings {
  readonly strategy: Strategy
  /** Further attempts after the first one. */
  readonly maxRetries: number
  readonly weights: Weights
  /** Alias to the name it stands for, which may be an alias again (3 hops at most, no cycle: checked at load). */
  readonly aliases: ReadonlyMap<string, string>
  /** Model to the models that may answer in its place, in order; not followed further. */
  readonly fallbacks: ReadonlyMap<string, ReadonlyArray<string>>
}
