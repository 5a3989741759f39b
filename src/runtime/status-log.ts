/**
 * Writes to the log how the gateway stands, when SIGUSR1 or SIGUSR2 asks for it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Registry } from "../registry/Registry.ts"
import { localBackends } from "../remote/local-backends.ts"

/** The signals that ask. */
export const statusSignals = ["SIGUSR1", "SIGUSR2"] as const

const tell = Effect.flatMap(Registry, ({ snapshot }) => {
  const all = localBackends(snapshot())
  const healthy = all.filter(({ status, mode }) => status === "healthy" && mode === "enabled").length
  const backends = all.map(({ name, status, mode, reason, in_flight, cooling_ms, circuits }) => ({
    name,
    status,
    ...(mode === "enabled" ? {} : { mode }),
    ...(reason === "" ? {} : { reason }),
    in_flight,
    ...(cooling_ms > 0 ? { cooling_ms } : {}),
    ...(circuits.length > 0 ? { circuits } : {})
  }))
  const in_flight = all.reduce((sum, backend) => sum + backend.in_flight, 0)
  return Effect.annotateLogs(Effect.logInfo("how it stands"), { healthy, in_flight, backends })
})

/** Answers the signals until the scope closes. */
export const statusLog: Effect.Effect<void, never, Registry | Scope.Scope> = Effect.gen(function* () {
  const run = Effect.runForkWith(yield* Effect.context<Registry>())
  const onSignal = () => void run(tell)
  yield* Effect.acquireRelease(
    Effect.sync(() => statusSignals.forEach((signal) => process.on(signal, onSignal))),
    () => Effect.sync(() => statusSignals.forEach((signal) => process.off(signal, onSignal)))
  )
})
