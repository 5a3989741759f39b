/**
 * What a backend says that opens no WebSocket: whoever opens one is told the status alone, so the backend is asked once more
 * as for any other answer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ErrorStatus, UpstreamError } from "../domain/upstream-errors.ts"
import type { Attempt } from "../router/choice.ts"
import { readRefusal } from "../upstream/answer.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import type { Upstream } from "../upstream/Upstream.ts"
import { redactedError } from "./final-failure.ts"
import type { RequestRun } from "./request-run.ts"

/** What a WebSocket is asked for with, but for what any handshake has. */
export interface Handshake {
  readonly url: string
  readonly headers: Record<string, string>
}

// Its words are worth no long waiting, in milliseconds.
const mostMs = 5000

// Whoever has refused for now may open one by then, or counts how often it is asked.
const passing = new Set([408, 425, 429])

const noBody = new Uint8Array(0)

const keyBytes = 16

/** A refusal with its words; the very same where there are none to be had. */
export const refusalInFull = (
  upstream: Upstream["Service"],
  { record }: RequestRun,
  { candidate }: Attempt,
  { headers, protocols, url }: Handshake & { readonly protocols: ReadonlyArray<string> },
  refusal: ErrorStatus
): Effect.Effect<UpstreamError> => {
  const { backend } = candidate.state
  if (passing.has(refusal.status)) return Effect.succeed(refusal)
  const asked = upstream.pass({
    backend,
    method: "GET",
    url,
    headers: {
      ...headers,
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.from(crypto.getRandomValues(new Uint8Array(keyBytes))).toString("base64"),
      ...(protocols.length === 0 ? {} : { "sec-websocket-protocol": protocols.join(", ") })
    },
    body: noBody,
    upgrade: "websocket",
    zones: record.needs?.zones,
    firstByteMs: mostMs,
    clock: record.clock
  })
  return Effect.matchEffect(asked, {
    onFailure: () => Effect.succeed(refusal),
    onSuccess: (head) =>
      Effect.callback((resume) => {
        if (head.status !== refusal.status) {
          head.body.abort()
          return resume(Effect.succeed(refusal))
        }
        readRefusal(head, record.route, (judged) => {
          const said = Exit.isFailure(judged) ? Option.getOrUndefined(Cause.findErrorOption(judged.cause)) : undefined
          const redact = redactorFor(backend, record.request.headers)
          resume(Effect.succeed(said === undefined ? refusal : redactedError(said, redact)))
        })
        return Effect.sync(() => head.body.abort())
      })
  })
}
