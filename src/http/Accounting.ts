/**
 * Accounts for each request exactly once: the log line at debug, and the defects that nobody else reports.
 */
import { Cause, Context, Effect, Layer } from "effect"
import type { Plan } from "../router/plan.ts"
import { RequestLog } from "../telemetry/logging.ts"
import type { Exchange } from "./exchange.ts"

/** Where the request path reports. */
export class Accounting extends Context.Service<
  Accounting,
  {
    /** A plan was made for the request. */
    readonly routed: (exchange: Exchange, plan: Plan) => void
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
      const routed = (exchange: Exchange, plan: Plan): void => {
        if (!log.debugEnabled) return
        log.write("debug", "routing decision", { request_id: exchange.id, ...plan.describe(performance.now()) })
      }
      const ended = (exchange: Exchange): void => {
        if (!log.debugEnabled) return
        const now = performance.now()
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
          duration_ms: Math.round(now - exchange.started),
          ...(exchange.firstByteAt === 0 ? {} : { first_byte_ms: Math.round(exchange.firstByteAt - exchange.started) }),
          bytes_out: exchange.bytesOut,
          ...(exchange.failures.length === 0 ? {} : { failures: exchange.failures })
        })
      }
      const defect = (requestId: string, cause: Cause.Cause<unknown>): void =>
        log.write("error", "internal error", { request_id: requestId, cause: Cause.pretty(cause) })
      return Accounting.of({ routed, ended, defect })
    })
  )
}
