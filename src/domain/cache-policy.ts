/**
 * Which answers are kept to be given again, as the settings say it.
 */
import { matchesGlob } from "./glob.ts"

/** Whose answers are kept: of all requests, or of those alone whose answers can be expected to be the same. */
export const cachedRequests = ["all", "deterministic"] as const

/** What is said for models whose names are meant. */
export interface CachePolicy {
  readonly glob: string
  /** How long an answer may be given again, in milliseconds. */
  readonly keptMs: number
  readonly requests: (typeof cachedRequests)[number]
  /** Whether an answer that one key has got is given to others. */
  readonly shared: boolean
}

/** What holds for a request by the names of its model, the strictest of all that are meant; undefined where nothing is kept. */
export const cachePolicyFor = (
  policies: ReadonlyArray<CachePolicy>,
  names: Iterable<string>
): Omit<CachePolicy, "glob"> | undefined => {
  let found: Omit<CachePolicy, "glob"> | undefined
  for (const name of names) {
    for (const policy of policies) {
      if (!matchesGlob(policy.glob, name)) continue
      found = {
        keptMs: Math.min(policy.keptMs, found?.keptMs ?? Infinity),
        requests: found?.requests === "deterministic" ? "deterministic" : policy.requests,
        shared: policy.shared && found?.shared !== false
      }
    }
  }
  return found === undefined || found.keptMs === 0 ? undefined : found
}
