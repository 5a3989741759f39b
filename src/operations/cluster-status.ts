/**
 * What is told of the replicas and of the store that they share.
 */
import * as Effect from "effect/Effect"
import type { ClusterStatus } from "../api/cluster-api.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"

/** Reads it; undefined for a gateway that is alone. */
export const clusterStatus = Effect.gen(function* () {
  const replicas = yield* Replicas
  const store = yield* SharedStore
  return (): ClusterStatus | undefined => {
    if (!store.isOn) return undefined
    const { connected, forMs, losses, reason = null } = store.standing()
    return {
      store: {
        status: connected ? "connected" : "away",
        for_seconds: Math.floor(forMs / 1000),
        reason: connected ? null : reason,
        losses
      },
      replicas: replicas.list().map(({ ageMs, figures, id, name, own, version, workers }) => ({
        id,
        name,
        own,
        workers,
        version,
        uptime_seconds: Math.max(0, Math.floor(ageMs / 1000)),
        figures
      }))
    }
  }
})
