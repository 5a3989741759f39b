/**
 * What becomes of a found server from look to look: a plain rule over what was seen.
 */
import type { BackendType } from "../backend/all.ts"

/** A server that was found, and is a backend since. */
export interface DiscoveredServer {
  /** Name of the backend; it stays through every move. */
  readonly name: string
  readonly type: BackendType
  readonly url: string
  /** Since when it has been away, in monotonic milliseconds; undefined while it is there. */
  readonly awaySince: number | undefined
}

/**
 * What a look at a place has shown. Well: its probes are good, or an administrator has taken it out of use, and nobody
 * had to ask. Withdrawn: the server has said that it is going. Taken: the same server is a backend already, from the
 * config or found elsewhere.
 */
export type Sighting =
  | { readonly _tag: "Answers"; readonly type: BackendType; readonly url: string }
  | { readonly _tag: "Well" | "Nothing" | "Withdrawn" | "Taken" }

/** What is to be done. Probe: it answers again, and its probes are to see that soon. */
export type DiscoveryAction =
  | { readonly _tag: "Nothing" | "Probe" }
  | { readonly _tag: "Add" | "Replace"; readonly type: BackendType; readonly url: string }
  | { readonly _tag: "Move"; readonly url: string }
  | { readonly _tag: "Drop"; readonly why: "taken" | "gone" }

/** What is to be done, and since when the server is away if it stays. */
interface Decision {
  readonly deed: DiscoveryAction
  readonly awaySince: number | undefined
}

const there = (deed: DiscoveryAction): Decision => ({ deed, awaySince: undefined })

/** The rule. */
export const decideAction = (
  found: DiscoveredServer | undefined,
  sight: Sighting,
  now: number,
  graceMs: number
): Decision => {
  if (found === undefined) return there(sight._tag === "Answers" ? { ...sight, _tag: "Add" } : { _tag: "Nothing" })
  switch (sight._tag) {
    case "Taken":
      return there({ _tag: "Drop", why: "taken" })
    case "Well":
      return there({ _tag: "Nothing" })
    case "Answers":
      if (sight.type !== found.type) return there({ ...sight, _tag: "Replace" })
      return there(sight.url === found.url ? { _tag: "Probe" } : { _tag: "Move", url: sight.url })
    case "Nothing":
    case "Withdrawn": {
      const awaySince = found.awaySince ?? now
      return { deed: now - awaySince >= graceMs ? { _tag: "Drop", why: "gone" } : { _tag: "Nothing" }, awaySince }
    }
  }
}
