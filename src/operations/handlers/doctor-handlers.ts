/**
 * What is answered whoever has the gateway looked over: a stream, one at a time.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Drain } from "../../admission/Drain.ts"
import type { DoctorEvent } from "../../api/doctor-api.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { Conflict, type GatewayError } from "../../domain/errors.ts"
import { Doctor } from "../DoctorService.ts"

/** Longest time without a line, in milliseconds: less than what a silent connection is left open. */
const silentMs = 10_000

const busy = new Conflict({ message: "The gateway is being looked over already; try again when that is done" })

/** The handlers of the group; `refuse` answers in OpenAI's shape. */
export const doctorHandlers = (refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
  HttpApiBuilder.group(
    ContractApi,
    "doctor",
    Effect.fnUntraced(function* (handlers) {
      const doctor = yield* Doctor
      const { begun } = yield* Drain
      let isBusy = false

      const events = (inference: boolean): Stream.Stream<DoctorEvent> =>
        Stream.unwrap(
          Effect.gen(function* () {
            const news = yield* Queue.unbounded<DoctorEvent>()
            const counts = { errors: 0, warnings: 0 }
            const looked = doctor.look(inference, (found) => {
              if (found.event === "finding" && found.severity === "error") counts.errors += 1
              if (found.event === "finding" && found.severity === "warning") counts.warnings += 1
              Queue.offerUnsafe(news, found)
            })
            yield* Effect.raceFirst(Effect.as(looked, true), Effect.as(begun, false)).pipe(
              // Whoever asked is told of an end in any case.
              Effect.catchDefect((defect) => Effect.as(Effect.logError("the doctor failed", defect), false)),
              Effect.tap((complete) => Queue.offer(news, { event: "done", complete, ...counts })),
              Effect.forkScoped
            )
            const next = Queue.take(news).pipe(
              Effect.timeoutOption(silentMs),
              Effect.map(Option.getOrElse((): DoctorEvent => ({ event: "waiting" })))
            )
            return Stream.fromEffectRepeat(next).pipe(Stream.takeUntil(({ event }) => event === "done"))
          })
        ).pipe(
          Stream.ensuring(
            Effect.sync(() => {
              isBusy = false
            })
          )
        )
      return handlers.handle("look", ({ payload: { inference = false } }) => {
        if (isBusy) return refuse(busy)
        isBusy = true
        return Effect.succeed(events(inference))
      })
    })
  )
