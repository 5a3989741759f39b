/**
 * Asks a server what it is, with questions that cost nothing.
 */
import { Effect, Option } from "effect"
import type { Backend } from "../domain/backend.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type Kind, isModelList, isNexus, isVersion, kindOfList, kinds } from "./fingerprint.ts"
import { isProps, readProps } from "./llamacpp.ts"
import { readV1 } from "./lmstudio.ts"
import { ask, want } from "./questions.ts"

/**
 * What a server at a backend's address is: its kind, that it wants a key which the backend has not, that it is a Nexus, or
 * undefined for what is none. Each question may take `timeoutMs`.
 */
export const look = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.fn.Return<Kind | "locked" | "nexus" | undefined> {
  const list = Option.getOrUndefined(yield* Effect.option(ask(transport, backend, { path: "/v1/models", timeoutMs })))
  if (list === undefined) return undefined
  if (isNexus(list)) return "nexus"
  if (list.status === 401 || list.status === 403) return "locked"
  const tell = (path: string) => want(transport, backend, { path, timeoutMs })
  return (
    kindOfList(list) ??
    (isVersion((yield* tell("/api/version"))?.body) ? kinds.ollama : undefined) ??
    (isProps(readProps((yield* tell("/props"))?.body)) ? kinds.llamacpp : undefined) ??
    (readV1((yield* tell("/api/v1/models"))?.body) === undefined ? undefined : kinds.lmstudio) ??
    (isModelList(list) ? kinds.generic : undefined)
  )
})

/** The kind of server at a backend's address, if it can be used: what asks for a key, or is a Nexus, is for the config to name. */
export const identify = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.Effect<Kind | undefined> =>
  Effect.map(look(transport, backend, timeoutMs), (found) =>
    found === "locked" || found === "nexus" ? undefined : found
  )
