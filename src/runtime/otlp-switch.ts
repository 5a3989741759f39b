/**
 * Sending by OTLP, while the settings want it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as ScopedRef from "effect/ScopedRef"
import { NexusConfig } from "../config/NexusConfig.ts"
import { restartOnReload } from "./restart-on-reload.ts"
import type { OtlpSender } from "./otlp-export.ts"

const wanted = (sender: OtlpSender) =>
  Effect.gen(function* () {
    const config = yield* NexusConfig
    const { otlp } = config.current()
    if (otlp === undefined) return
    const { exportByOtlp } = yield* Effect.promise(() => import("./otlp-export.ts"))
    yield* exportByOtlp(otlp, sender)
  })

/** Sends from now on, as the settings of the moment want it; the returned effect sends what is left, and so does the scope's end. */
export const sendByOtlp = Effect.gen(function* () {
  const config = yield* NexusConfig
  return yield* restartOnReload(() => config.current().otlp, wanted({ worker: undefined, ageMs: 0 }))
})

/** The same for one of several processes; the returned effect is for whenever its settings may have changed. */
export const sendByOtlpAs = Effect.fnUntraced(function* (sender: OtlpSender) {
  const config = yield* NexusConfig
  const make = wanted(sender)
  let before = config.current().otlp
  const running = yield* ScopedRef.fromAcquire(make)
  const services = yield* Effect.context<Effect.Services<typeof make>>()
  return Effect.suspend(() => {
    const now = config.current().otlp
    if (Equal.equals(before, now)) return Effect.void
    before = now
    const anew = Effect.andThen(ScopedRef.set(running, Effect.void), ScopedRef.set(running, make))
    return Effect.provideContext(anew, services)
  })
})
