/**
 * What kind of server answers: whether it is what the config calls it, and whether it is spoken to as it wants to be.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { kindNamed, plainType } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { noList } from "../health/probe.ts"
import type { ParsedAnswer } from "../backend/talk.ts"
import { askServer } from "../health/ask-server.ts"
import { speaksTls } from "../wire/tls.ts"
import type { Transport } from "../upstream/Transport.ts"
import { error, type Finding, info, ok, warning } from "./finding.ts"

type Type = Backend["type"]

// A TLS server answers plain requests with 400 or with the end of the connection; a bad certificate is an answer too.
const speaks = (result: Result.Result<ParsedAnswer, UpstreamError>, secure: boolean): boolean =>
  Result.match(result, {
    onSuccess: ({ status }) => secure || status !== 400,
    onFailure: (failure) => secure && failure._tag === "Unreachable" && speaksTls(failure.tls)
  })

/** Whether a server that does not answer well would do so with `http` for `https`, or the other way round. */
export const wrongScheme = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
) {
  const secure = backend.url.startsWith("https:")
  const url = secure ? backend.url.replace(/^https:/, "http:") : backend.url.replace(/^http:/, "https:")
  // A key does not go where the config does not send it.
  const bare = { ...backend, url, apiKey: undefined }
  const heard = yield* Effect.result(askServer(transport, bare, { path: "/v1/models", timeoutMs }))
  if (!speaks(heard, !secure)) return Option.none<Finding>()
  const seen = secure
    ? "the server speaks plain http, and its url says https"
    : "the server speaks TLS, and its url says http"
  return Option.some(error("TLS", seen, `url = "${url}"`))
})

/** What is said of the type that the config tells. */
export const typeFindings = (
  { type }: Backend,
  seen: Type | undefined,
  outcome: ProbeOutcome
): ReadonlyArray<Finding> => {
  if (seen === type) return [ok("type", type)]
  if (seen !== undefined && seen !== plainType) {
    return type === plainType || kindNamed(seen).passesFor?.includes(type) === true
      ? [info("type", `it is a server of type ${seen}, which can say more of its models`, `type = "${seen}"`)]
      : [warning("type", `it answers as ${seen}, not as ${type}`, `type = "${seen}"`)]
  }
  // Nothing has been learnt of a server that does not answer.
  if (outcome._tag === "Refused" || (outcome._tag === "Down" && outcome.reason !== noList)) return []
  const listed = outcome._tag === "Up" && outcome.models !== undefined
  const { fingerprint, listTells } = kindNamed(type)
  const isAnyones = fingerprint === undefined
  if (listed && (isAnyones || (seen === undefined && listTells))) return [ok("type", type)]
  if (outcome._tag === "Down" && isAnyones) return []
  if (isAnyones)
    return [info("type", `${type}, though it gives no list of models: those of [[backends.models]] are used`)]
  return seen === plainType
    ? [
        warning(
          "type",
          `${type} could not be confirmed: only the list of models that all have answers`,
          `type = "${plainType}"`
        )
      ]
    : [warning("type", `${type} could not be confirmed: it answers none of the questions that tell`)]
}
