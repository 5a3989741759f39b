/**
 * What the endpoints answer that tell of the gateway's work.
 */
import * as Effect from "effect/Effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Registry } from "../../registry/Registry.ts"
import { type ProcessFigures, sumFigures, type TotalFigures } from "../../telemetry/process-figures.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { prometheusContentType, exposition } from "../prometheus.ts"
import { wholeStanding } from "./health-pages.ts"
import { Meters } from "../../proxy/Meters.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"
import { statsOf } from "./stats.ts"

/** The handlers of the group; `started` is when the gateway began, in monotonic milliseconds. */
export const statsHandlers = (started: number) =>
  HttpApiBuilder.group(
    ContractApi,
    "work",
    Effect.fnUntraced(function* (handlers) {
      const registry = yield* Registry
      const meters = yield* Meters
      const siblings = yield* Siblings
      const uptime = (): number => (performance.now() - started) / 1000
      let last: ReadonlyArray<ProcessFigures> = []
      // Others that do not answer in time are counted as they last did: counters never go back.
      const whole: Effect.Effect<TotalFigures> = Effect.gen(function* () {
        const own = meters.measures()
        const answer = yield* siblings.ask(siblingQuestions.measures, { own })
        if (answer !== undefined) last = answer
        return sumFigures([own, ...last])
      })
      const openCircuits = (name: string): number => {
        const live = registry.snapshot().backends.get(name)?.live
        if (live === undefined) return 0
        return wholeStanding(live, performance.now()).circuits.filter(({ state }) => state === "open").length
      }
      const metrics = Effect.gen(function* () {
        const exposed = { whole: yield* whole, snapshot: registry.snapshot(), openCircuits, uptimeSeconds: uptime() }
        let text = ""
        for (const piece of exposition(exposed)) {
          text += piece
          // Requests go on in between.
          yield* Effect.yieldNow
        }
        return HttpServerResponse.text(text, { contentType: prometheusContentType })
      })
      return handlers.handleAll({
        metrics: () => metrics,
        stats: () => Effect.map(whole, (all) => statsOf(all, registry.snapshot(), uptime()))
      })
    })
  )
