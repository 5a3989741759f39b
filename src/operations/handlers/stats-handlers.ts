/**
 * What the endpoints answer that tell of the gateway's work.
 */
import * as Effect from "effect/Effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Registry } from "../../registry/Registry.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { prometheusContentType, exposition } from "../prometheus.ts"
import { figuresNow } from "../whole-figures.ts"
import { statsOf } from "./stats.ts"

/** The handlers of the group; `started` is when the gateway began, in monotonic milliseconds. */
export const statsHandlers = (started: number) =>
  HttpApiBuilder.group(
    ContractApi,
    "work",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const figures = yield* figuresNow(started)
      const metrics = Effect.gen(function* () {
        let text = ""
        for (const piece of exposition(yield* figures)) {
          text += piece
          // Requests go on in between.
          yield* Effect.yieldNow
        }
        return HttpServerResponse.text(text, { contentType: prometheusContentType })
      })
      return handlers.handleAll({
        metrics: () => metrics,
        stats: () =>
          Effect.map(figures, ({ cluster, uptimeSeconds, whole }) => ({
            ...statsOf(whole, registry.snapshot(), uptimeSeconds),
            ...(cluster === undefined ? {} : { cluster })
          }))
      })
    })
  )
