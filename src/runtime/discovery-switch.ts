/**
 * The search for servers, and for those behind names, while the settings want it and as they want it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { NexusConfig } from "../config/NexusConfig.ts"
import { Registry } from "../registry/Registry.ts"
import type { Transport } from "../upstream/Transport.ts"
import { restartOnReload } from "./restart-on-reload.ts"
import type { Reloader } from "./Reloader.ts"

/** Searches, and follows the names that are to be followed, from now on; done when the first look has ended. `ownPort` is where Nexus listens. */
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
    const names = () => {
      const { followed, kubernetes, settings } = config.current()
      const { dns_servers: servers, grace_seconds: grace } = settings.discovery
      return { followed, kubernetes, servers, grace, kept: settings.server.dns_refresh_seconds }
    }
    const follow = Effect.gen(function* () {
      const { layer } = yield* Effect.promise(() => import("../discovery/members/Members.ts"))
      yield* Layer.build(layer)
    })
    const hasMembers = () =>
      [...registry.snapshot().backends.values()].some(({ backend }) => backend.memberOf !== undefined)
    const following = Effect.suspend(() => (names().followed.length > 0 || hasMembers() ? follow : Effect.void))
    yield* Effect.asVoid(restartOnReload(names, following))
    yield* Effect.asVoid(restartOnReload(wanted, searching))
  })
