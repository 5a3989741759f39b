/**
 * What the endpoints answer that tell of the gateway's work.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Registry } from "../../registry/Registry.ts"
import { Router } from "../../router/Router.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { openMetrics, openMetricsContentType, prefersOpenMetrics } from "../open-metrics.ts"
import { prometheusContentType, exposition } from "../prometheus.ts"
import { clusterStatus } from "../cluster-status.ts"
import { figuresNow, totalNow } from "../whole-figures.ts"
import { statsOf } from "./stats.ts"

/** The handlers of the group; `started` is when the gateway began, in monotonic milliseconds. */
export const statsHandlers = (started: number) =>
  HttpApiBuilder.group(
    ContractApi,
    "work",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const router = yield* Router
      const figures = yield* figuresNow(started)
      const total = yield* totalNow
      const clusterNow = yield* clusterStatus
      const metrics = Effect.fnUntraced(function* (accept: string | undefined) {
        const isOpen = prefersOpenMetrics(accept)
        const read = yield* figures
        let text = ""
        for (const piece of isOpen ? openMetrics(read, yield* Clock.currentTimeMillis) : exposition(read)) {
          text += piece
          // Requests go on in between.
          yield* Effect.yieldNow
        }
        const contentType = isOpen ? openMetricsContentType : prometheusContentType
        return HttpServerResponse.text(text, { contentType, headers: { vary: "accept" } })
      })
      return handlers.handleAll({
        metrics: ({ request }) => metrics(request.headers["accept"]),
        stats: () =>
          Effect.map(total, (whole) => {
            const cluster = clusterNow()
            return {
              ...statsOf(whole, registry.snapshot(), router.names(), (performance.now() - started) / 1000),
              ...(cluster === undefined ? {} : { cluster })
            }
          })
      })
    })
  )
