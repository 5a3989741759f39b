/**
 * The other processes of the same gateway: what they remember of requests that this one has not seen.
 */
import { Context, Effect } from "effect"
import type { Explained, RecentRequest } from "./admin-api.ts"

/** What processes remember: the request of an id, or without one the list of the last. */
export interface Memories {
  readonly requests: ReadonlyArray<RecentRequest>
  readonly explained: ReadonlyArray<Explained>
}

/** The memories of nobody. */
export const noMemories: Memories = { requests: [], explained: [] }

/** Asks the others; a gateway of one process has none. */
export const Siblings = Context.Reference<{
  readonly ask: (id: string | undefined) => Effect.Effect<Memories>
}>("nexus/http/Siblings", { defaultValue: () => ({ ask: () => Effect.succeed(noMemories) }) })
