/**
 * The search for servers, while the settings want it and as they want it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { NexusConfig } from "../config/NexusConfig.ts"
import { Registry } from "../registry/Registry.ts"
import type { Transport } from "../upstream/Transport.ts"
import { restartOnReload } from "./restart-on-reload.ts"
import type { Reloader } from "./Reloader.ts"

/** Searches from now on; done when the first look has ended. `ownPort` is where Nexus listens. */
export const searchForServers = (
  ownPort: number
): Effect.Effect<void, never, NexusConfig | Registry | Transport | Reloader | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* NexusConfig
    const registry = yield* Registry
    const wanted = () => {
      const { discovery, settings } = config.current()
      return { on: discovery, how: settings.discovery, limits: settings.server }
    }
    const forget = Effect.gen(function* () {
      const found = [...registry.snapshot().backends.values()].flatMap(({ backend: { name, origin } }) =>
        origin === "discovered" ? [name] : []
      )
      yield* Effect.forEach(found, registry.remove, { discard: true })
      if (found.length === 0) return
      yield* Effect.annotateLogs(Effect.logWarning("discovery is off now, what it found is removed"), {
        backends: found.join(", ")
      })
    })
    const search = Effect.gen(function* () {
      const { layer } = yield* Effect.promise(() => import("../discovery/Discovery.ts"))
      yield* Layer.build(layer({ ownPort }))
    })
    const searching = Effect.suspend(() => (wanted().on ? search : forget))
    yield* Effect.asVoid(restartOnReload(wanted, searching))
  })
