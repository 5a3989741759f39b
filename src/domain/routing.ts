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
  /** Name to the models that it stands for all together, each with `@backend` behind it where one backend alone is meant. */
  readonly groups: ReadonlyMap<string, ReadonlyArray<string>>
  /** Whether `openai/gpt-4o` is `gpt-4o` where nobody knows it by its whole name. */
  readonly stripPrefixes: boolean
  /** Whether `model:nitro` goes to who lists `model` where nobody knows it by its whole name. */
  readonly modelSuffixes: boolean
  /** Whether `/v1/models` lists aliases and groups. */
  readonly listAliases: boolean
  /** Model to the models that may answer in its place, in order; not followed further. */
  readonly fallbacks: ReadonlyMap<string, ReadonlyArray<string>>
}
