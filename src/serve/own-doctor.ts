/**
 * `nexus doctor` for the running gateway: looks at its own ground and its backends, as they are in force.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ConfigOptions, NexusConfig } from "../config/NexusConfig.ts"
import type { Report } from "../doctor/report.ts"
import { Doctor, type DoctorNews } from "../operations/DoctorService.ts"
import { Registry } from "../registry/Registry.ts"

// Whoever is told puts each finding where it belongs, so none waits for those before it.
const reportBy =
  (tell: (news: DoctorNews) => void): Report =>
  (section, about) => {
    tell({ event: "section", section, about })
    return {
      say: (finding) => tell({ event: "finding", section, ...finding }),
      end: () => undefined
    }
  }

/** What looks over the gateway of this process; `from` is where its config is read. */
export const doctorLayer = (from: ConfigOptions) =>
  Layer.effect(
    Doctor,
    Effect.gen(function* () {
      const registry = yield* Registry
      const config = yield* NexusConfig
      return Doctor.of({
        look: Effect.fnUntraced(function* (inference, tell) {
          const { lookOver } = yield* Effect.promise(() => import("../doctor/diagnose.ts"))
          const states = [...registry.snapshot().backends.values()]
          const here = {
            loaded: config.current(),
            from,
            backends: states.map(({ backend }) => backend),
            healthy: new Set(
              states.filter(({ health }) => health.status === "healthy").map(({ backend }) => backend.name)
            )
          }
          yield* lookOver(here, { inference, report: reportBy(tell) })
        })
      })
    })
  )
