/**
 * Which server listens.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Listening, type ListenFailed, listenOnBun, type ListenOptions } from "./BunServer.ts"
import { listenOnWire } from "./WireServer.ts"

/** Listens until the scope closes; requests still under way are then cut. */
export const listen = (options: ListenOptions): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  options.wire === "own" ? listenOnWire(options) : listenOnBun(options)
