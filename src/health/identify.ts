/**
 * Asks a server what it is, with questions that cost nothing.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend } from "../backend/backend.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { Transport } from "../upstream/Transport.ts"
import { isModelList, isNexus, fingerprintQuestions, typeOfList } from "../backend/fingerprint.ts"
import { type BackendType, plainType } from "../backend/all.ts"
import { readList } from "../backend/openai-like.ts"
import type { ParsedAnswer } from "../backend/talk.ts"
import { askServer, askOptional } from "./ask-server.ts"

/** The answer to the question for its models, and where it came from; of two that are no lists, the first. */
export const askModelList = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.fn.Return<{ readonly answer: ParsedAnswer; readonly apiPath: ApiPath }, UpstreamError> {
  const apiPath = backend.apiPath ?? "/v1"
  const answer = yield* askServer(transport, backend, { path: "/v1/models", timeoutMs })
  if (backend.apiPath === undefined || readList(answer.body) !== undefined) return { answer, apiPath }
  const other = apiPath === "" ? "/v1" : ""
  const there = yield* askOptional(transport, backend, { path: "/v1/models", apiPath: other, timeoutMs })
  return there === undefined || readList(there.body) === undefined
    ? { answer, apiPath }
    : { answer: there, apiPath: other }
})

/** How long an answer of a server may take that may be none, or is asked before it counts, in milliseconds. */
export const firstLookMs = 2000

/**
 * What a server at a backend's address is: its type, that it wants a key which the backend has not, that it is a Nexus, or
 * undefined for what is none. Each question may take `timeoutMs`.
 */
export const inspectServer = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.fn.Return<BackendType | "locked" | "nexus" | undefined> {
  const list = Option.getOrUndefined(yield* Effect.option(askModelList(transport, backend, timeoutMs)))?.answer
  if (list === undefined) return undefined
  if (isNexus(list)) return "nexus"
  if (list.status === 401 || list.status === 403) return "locked"
  const shown = typeOfList(list)
  if (shown !== undefined) return shown
  for (const { isOne, path, type } of fingerprintQuestions) {
    if (isOne((yield* askOptional(transport, backend, { path, timeoutMs }))?.body)) return type
  }
  return isModelList(list) ? plainType : undefined
})

/** The type of the server at a backend's address, if it can be used: what asks for a key, or is a Nexus, is for the config to name. */
export const identify = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.Effect<BackendType | undefined> =>
  Effect.map(inspectServer(transport, backend, timeoutMs), (found) =>
    found === "locked" || found === "nexus" ? undefined : found
  )
