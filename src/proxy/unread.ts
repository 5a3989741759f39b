/**
 * Requests that nobody understands, or that ask no model: what is passed on to one backend, and what changes the models of a
 * server.
 */
import * as Effect from "effect/Effect"
import { type GatewayError, LoopDetected } from "../domain/errors.ts"
import type { ModelChange, Passage } from "../dialect/Dialect.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import type { BackendState } from "../registry/snapshot.ts"
import { gatewayHops, maxGatewayHops } from "../upstream/endpoint.ts"
import type { GaveUp } from "./final-failure.ts"
import type { Forwarding } from "./forwarding.ts"
import { withinLimits } from "./limited.ts"
import { changedBackend, decideChange, refusedUnread } from "./model-changes.ts"
import { forbiddenBackend, passOn } from "./passed-on.ts"
import { readBody } from "./request-body.ts"
import type { RequestRun } from "./request-run.ts"
import { type StreamedLimits, withStreamedBody } from "./streamed-body.ts"

type Forwarded = Effect.Effect<void, GatewayError | GaveUp>

/** Why a request does not go on whose body is there, as far as it must be. */
export const entryRefusal = (forwarding: Forwarding, run: RequestRun): GatewayError | undefined => {
  const { record } = run
  const full = forwarding.taken(run)
  if (full !== undefined) return full
  record.awaits(performance.now() - record.started)
  const hops = gatewayHops(record.request.headers)
  run.hops = hops
  return hops > maxGatewayHops ? new LoopDetected({ hops }) : undefined
}

/** Answers a request of which nobody is asked. */
export const answered = (
  run: RequestRun,
  body: string | Uint8Array<ArrayBuffer>,
  type: string,
  headers: Readonly<Record<string, string>> = {}
): void => {
  const { record } = run
  const { dialect } = record.route
  run.respond(
    new Response(body, { headers: { "content-type": type, ...requestIdHeaders(dialect, record.id), ...headers } })
  )
  const end = { outcome: "completed", status: 200, backend: "", bytes: body.length, cutPrompt: undefined } as const
  record.ends(end, performance.now())
}

/** What changes the models of a server, by what its body names or unread. */
export const changed = (forwarding: Forwarding, run: RequestRun, passage: Passage, change: ModelChange): Forwarded => {
  const { limits, record, upload } = run
  const { clock, request, route } = record
  const { registry, router, turns } = forwarding
  const { headers, method } = request
  const asked = { route, passage, change, method, headers }
  const changeable = () => ({ snapshot: registry.snapshot(), names: router.names(), key: record.grant })
  const unread = refusedUnread(asked)
  if (unread !== undefined) return Effect.fail(unread)
  const { fields } = change
  if (fields === undefined) {
    const to = forbiddenBackend(changedBackend(asked, changeable()), record.grant?.scope)
    // Files of models are as large as they are, and whoever may have one pulled may send one.
    return "live" in to
      ? passedOn(forwarding, run, passage, to, { ...limits, maxStreamedBytes: Infinity })
      : Effect.fail(to)
  }
  return Effect.flatMap(readBody(request, clock, limits, upload, turns), (body): Forwarded => {
    upload.arrived()
    const refusal = entryRefusal(forwarding, run)
    if (refusal !== undefined) return Effect.fail(refusal)
    const decision = decideChange(asked, fields, body, changeable())
    if (decision._tag === "Refused") return Effect.fail(decision.why)
    if (decision._tag === "Passed") {
      const { body: told, to } = decision
      return withinLimits(forwarding.limits, run, undefined, 0, told, (sent) =>
        passOn(forwarding, run, to, passage, sent)
      )
    }
    return Effect.sync(() => answered(run, decision.answer.body, decision.answer.type))
  })
}

/** What nobody reads goes to one backend. */
export const passedOn = (
  forwarding: Forwarding,
  run: RequestRun,
  passage: Passage,
  to: BackendState | GatewayError,
  limits: StreamedLimits = run.limits
): Forwarded => {
  const { record, upload } = run
  const { clock, request } = record
  if (!("live" in to)) return Effect.fail(to)
  const mediaType = request.headers.get("content-type")
  return withStreamedBody({ clock, form: undefined, limits, mediaType, request, upload }, (body) =>
    Effect.flatMap(
      body.begun(() => true),
      (): Forwarded => {
        const refusal = entryRefusal(forwarding, run)
        return refusal === undefined
          ? withinLimits(forwarding.limits, run, undefined, 0, to, (there) =>
              passOn(forwarding, run, there, passage, body)
            )
          : Effect.fail(refusal)
      }
    )
  )
}
