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
 * The kind of server at a backend's address; undefined for what is none, wants a key that the backend has not, or is a
 * Nexus. Each question may take `timeoutMs`.
 */
export const identify = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.fn.Return<Kind | undefined> {
  const list = Option.getOrUndefined(yield* Effect.option(ask(transport, backend, { path: "/v1/models", timeoutMs })))
  // What asks for a key cannot be used without one: that is for the config to say.
  if (list === undefined || list.status === 401 || list.status === 403 || isNexus(list)) return undefined
  const tell = (path: string) => want(transport, backend, { path, timeoutMs })
  return (
    kindOfList(list) ??
    (isVersion((yield* tell("/api/version"))?.body) ? kinds.ollama : undefined) ??
    (isProps(readProps((yield* tell("/props"))?.body)) ? kinds.llamacpp : undefined) ??
    (readV1((yield* tell("/api/v1/models"))?.body) === undefined ? undefined : kinds.lmstudio) ??
    (isModelList(list) ? kinds.generic : undefined)
  )
})
