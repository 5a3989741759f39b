/**
 * Where the requests of this process are counted, and what is told of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Limiter } from "../admission/Limiter.ts"
import { Dialects } from "../dialect/all.ts"
import { backendOperation } from "../dialect/passage.ts"
import { Registry } from "../registry/Registry.ts"
import { MeterTable } from "../telemetry/meter-table.ts"
import { UsageLedger } from "../usage/UsageLedger.ts"
import { processFigures, type ProcessFigures } from "../telemetry/process-figures.ts"

/** The counters of this process. */
export class Meters extends Context.Service<
  Meters,
  {
    readonly ledger: MeterTable
    /** What they say now. */
    readonly measures: () => ProcessFigures
  }
>()("nexus/proxy/Meters") {
  /** Over the registry, which knows the models that have counters of their own; `worker` is the number of this process. */
  static readonly layer = (worker: number) =>
    Layer.effect(
      Meters,
      Effect.map(Effect.all([Registry, Dialects, UsageLedger, Limiter]), ([registry, dialects, usage, limiter]) => {
        const endpoints = [
          ...dialects.flatMap(({ operations, passages = [], sockets = [] }) =>
            [...operations, ...passages, ...sockets].map(({ name }) => name)
          ),
          backendOperation.name
        ]
        const ledger = new MeterTable(
          endpoints,
          (backend, model) => registry.snapshot().backends.get(backend)?.models.has(model) ?? false
        )
        const usageNow = () => {
          if (!usage.isOn) return undefined
          const { failure, waiting } = usage.standing()
          return { waiting, failing: failure !== undefined }
        }
        return Meters.of({
          ledger,
          measures: () => processFigures(ledger, worker, performance.now(), usageNow(), limiter.counted())
        })
      })
    )
}
