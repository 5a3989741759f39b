/**
 * The figures of the whole gateway, those of its other processes among them.
 */
import * as Effect from "effect/Effect"
import { Meters } from "../proxy/Meters.ts"
import { Registry } from "../registry/Registry.ts"
import { type ProcessFigures, sumFigures } from "../telemetry/process-figures.ts"
import { Budgets } from "../usage/Budgets.ts"
import { clusterStatus } from "./cluster-status.ts"
import type { FiguresNow } from "./figure-hooks.ts"
import { wholeStanding } from "./handlers/health-pages.ts"
import { siblingQuestions, Siblings } from "./Siblings.ts"

/** What asks for them; `started` is when the gateway began, in monotonic milliseconds. */
export const figuresNow = Effect.fnUntraced(function* (started: number) {
  const registry = yield* Registry
  const meters = yield* Meters
  const siblings = yield* Siblings
  const budgets = yield* Budgets
  const cluster = yield* clusterStatus
  let last: ReadonlyArray<ProcessFigures> = []
  const openCircuits = (name: string): number => {
    const live = registry.snapshot().backends.get(name)?.live
    if (live === undefined) return 0
    return wholeStanding(live, performance.now()).circuits.filter(({ state }) => state === "open").length
  }
  // Others that do not answer in time are counted as they last did: counters never go back.
  const now: Effect.Effect<FiguresNow> = Effect.gen(function* () {
    const own = meters.measures()
    const answer = yield* siblings.ask(siblingQuestions.measures, { own })
    if (answer !== undefined) last = answer
    return {
      whole: sumFigures([own, ...last]),
      snapshot: registry.snapshot(),
      openCircuits,
      budgets: { rules: budgets.rules(), standing: budgets.standing() },
      cluster: cluster(),
      uptimeSeconds: (performance.now() - started) / 1000
    }
  })
  return now
})
