/**
 * Announcing the gateway on the local network, while the settings want it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { NexusConfig } from "../config/NexusConfig.ts"
import { isLoopback } from "../domain/url-host.ts"
import { restartOnReload } from "./restart-on-reload.ts"
import type { Reloader } from "./Reloader.ts"

/** Announces what listens on `port` from now on; the returned effect takes it back, and so does the scope's end. */
export const announceOnNetwork = (
  port: number
): Effect.Effect<Effect.Effect<void>, never, NexusConfig | Reloader | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* NexusConfig
    const wanted = () => {
      const { discovery, server } = config.current().settings
      return { on: discovery.announce && !isLoopback(server.host), host: server.host, by: discovery.mdns_interface }
    }
    const announced = Effect.gen(function* () {
      const { on, host, by } = wanted()
      if (!on) return
      const { announce } = yield* Effect.promise(() => import("../discovery/mdns/Announcer.ts"))
      const { openLink } = yield* Effect.promise(() => import("../discovery/mdns/Link.ts"))
      yield* announce({ host, port, interface: by, open: openLink })
    })
    return yield* restartOnReload(wanted, announced)
  })
