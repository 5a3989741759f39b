/**
 * The search for servers, while the settings want it and as they want it.
 */
import { Effect, Layer, type Scope } from "effect"
import { NexusConfig } from "../config/NexusConfig.ts"
import * as Discovery from "../discovery/Discovery.ts"
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
    const searching = Effect.suspend(() =>
      wanted().on ? Effect.asVoid(Layer.build(Discovery.layer({ ownPort }))) : forget
    )
    yield* Effect.asVoid(restartOnReload(wanted, searching))
  })
