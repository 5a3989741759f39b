/**
 * Accounts for each request exactly once: the memory of the last ones, the log line at debug, and the defects that nobody
 * else reports.
 */
import { Cause, Context, Effect, Layer } from "effect"
import type { Turn } from "../registry/live.ts"
import { explain } from "../router/explain.ts"
import type { Plan } from "../router/plan.ts"
import { RequestLog } from "../telemetry/logging.ts"
import type { Exchange } from "./exchange.ts"
import { Recent } from "./Recent.ts"

/** Where the request path reports. */
export class Accounting extends Context.Service<
  Accounting,
  {
    /** A plan was made for the request. */
    readonly routed: (exchange: Exchange, plan: Plan) => void
    /** A request changed how a backend and model stand. */
    readonly turned: (backend: string, model: string, turn: Turn) => void
    /** The request has ended, whatever the way. */
    readonly ended: (exchange: Exchange) => void
    /** The request ended by a defect of the gateway. */
    readonly defect: (requestId: string, cause: Cause.Cause<unknown>) => void
  }
>()("nexus/http/Accounting") {
  /** Writes to the log. */
  static readonly layer = Layer.effect(
    Accounting,
    Effect.gen(function* () {
      const log = yield* RequestLog
      const recent = yield* Recent
      const routed = (exchange: Exchange, plan: Plan): void => {
        const seen = plan.witness(performance.now())
        exchange.decided = plan
        exchange.seen = seen
        if (!log.debugEnabled()) return
        const { requested: model, order, ...decision } = explain(plan, seen)
        log.write("debug", "routing decision", {
          request_id: exchange.id,
          model,
          backend: order[0]?.backend,
          ...decision
        })
      }
      const turned = (backend: string, model: string, turn: Turn): void => {
        if (turn._tag === "Closed") return log.write("info", "circuit closed", { backend, model })
        const for_ms = Math.round(turn.forMs)
        if (turn._tag === "Cooling")
          return log.write("info", "backend asked to be left alone", { backend, model, for_ms })
        log.write("warn", "circuit opened", { backend, model, failures: turn.failures, for_ms })
      }
      const ended = (exchange: Exchange): void => {
        recent.note(exchange)
        if (!log.debugEnabled()) return
        const now = performance.now()
        const retried = exchange.request.headers.get("x-stainless-retry-count") ?? ""
        log.write("debug", "request ended", {
          request_id: exchange.id,
          endpoint: exchange.endpoint,
          model: exchange.model,
          upstream_model: exchange.upstreamModel,
          backend: exchange.backend,
          stream: exchange.stream,
          outcome: exchange.outcome,
          status: exchange.status,
          attempts: exchange.attempts,
          // What the client's own library says of its retries.
          ...(/^[1-9]\d{0,3}$/.test(retried) ? { client_retry: Number(retried) } : {}),
          duration_ms: Math.round(now - exchange.started),
          ...(exchange.firstByteAt === 0 ? {} : { first_byte_ms: Math.round(exchange.firstByteAt - exchange.started) }),
          bytes_out: exchange.bytesOut,
          ...(exchange.failures.length === 0 ? {} : { failures: exchange.failures })
        })
      }
      const defect = (requestId: string, cause: Cause.Cause<unknown>): void =>
        log.write("error", "internal error", { request_id: requestId, cause: Cause.pretty(cause) })
      return Accounting.of({ routed, turned, ended, defect })
    })
  )
}
