/**
 * Which server listens.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Listening, type ListenFailed, listenOnBun, type ListenOptions } from "./BunServer.ts"

/** Listens until the scope closes; requests still under way are then cut. */
export const listen = (options: ListenOptions): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  options.wire === "own"
    ? Effect.flatMap(
        Effect.promise(() => import("./WireServer.ts")),
        ({ listenOnWire }) => listenOnWire(options)
      )
    : listenOnBun(options)
