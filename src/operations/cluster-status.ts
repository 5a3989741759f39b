/**
 * What is told of the replicas and of the store that they share.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import type { ClusterStatus } from "../api/cluster-api.ts"
import type { Settings } from "../config/schema.ts"
import { type Replica, Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"

// What each replica may have of its own beside its files: where it listens, and what it is called.
const ownKeys: ReadonlySet<string> = new Set(["host", "port", "listen", "replica_name"])

/** A number that is the same for the same settings, but for what replicas may have of their own; it tells nothing of them. */
export const sharedDigest = (settings: Settings): number => {
  const { auth, capture, usage } = settings
  // Whether keys are kept is for all of them, and where they and others are kept is not.
  const shared = {
    ...settings,
    auth: { ...auth, store: auth.store !== undefined },
    capture: { ...capture, path: undefined },
    usage: { ...usage, path: undefined }
  }
  const text = JSON.stringify(shared, (key, value: unknown) => (ownKeys.has(key) ? undefined : value))
  return createHash("sha256").update(text).digest().readUIntBE(0, 6)
}

const digestIn = ({ figures }: Pick<Replica, "figures">): number | undefined => figures["config_digest"]

/** Reads it; undefined for a gateway that is alone. */
export const clusterStatus = Effect.gen(function* () {
  const replicas = yield* Replicas
  const store = yield* SharedStore
  return (): ClusterStatus | undefined => {
    if (!store.isOn) return undefined
    const { connected, forMs, losses, reason = null } = store.standing()
    const all = replicas.list()
    const own = all.find((each) => each.own)
    const differs = (other: Replica): boolean =>
      own !== undefined && digestIn(other) !== undefined && digestIn(other) !== digestIn(own)
    return {
      store: {
        status: connected ? "connected" : "away",
        for_seconds: Math.floor(forMs / 1000),
        reason: connected ? null : reason,
        losses
      },
      config_differs: all.filter(differs).map(({ name }) => name),
      replicas: all.map((replica) => {
        const { ageMs, id, name, own: isOwn, version, workers } = replica
        const { config_digest: _, ...figures } = replica.figures
        return {
          id,
          name,
          own: isOwn,
          workers,
          version,
          uptime_seconds: Math.max(0, Math.floor(ageMs / 1000)),
          config_differs: differs(replica),
          figures
        }
      })
    }
  }
})
