/**
 * The place of its own that the administration may have: a port, or a Unix socket.
 */
import { lstat, unlink } from "node:fs/promises"
import { connect } from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { adminListen } from "../config/listening.ts"
import type { LoadedConfig } from "../config/NexusConfig.ts"
import type { Listening, ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"
import type { Gateway } from "./Gateway.ts"

/** Whether nobody listens on a socket any more: its process ended without taking it away. */
const isLeft = (path: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = connect(path)
    socket.once("connect", () => resume(Effect.succeed(false)))
    socket.once("error", (error) => resume(Effect.succeed("code" in error && error.code === "ECONNREFUSED")))
    return Effect.sync(() => socket.destroy())
  })

/** Takes away a socket that an earlier gateway has left behind; anything else that is there stays. */
const clear = Effect.fnUntraced(function* (path: string) {
  const found = yield* Effect.promise(() => lstat(path).catch(() => undefined))
  if (found?.isSocket() !== true) return
  if (yield* isLeft(path)) yield* Effect.promise(() => unlink(path).catch(() => undefined))
})

/** Listens at the place that the config names; does nothing when it names none. */
export const listenForAdmin = Effect.fnUntraced(function* (
  { settings }: LoadedConfig,
  { administer }: Gateway["Service"]
): Effect.fn.Return<Listening | undefined, ListenFailed, Scope.Scope> {
  const place = adminListen(settings.admin.listen)
  if (place === undefined) return undefined
  const { wire } = settings.server
  if (place._tag === "Port") return yield* listen({ hostname: place.host, port: place.port, fetch: administer, wire })
  yield* clear(place.path)
  return yield* listen({ hostname: place.path, port: 0, socket: place.path, fetch: administer, wire })
})
