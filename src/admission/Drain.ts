/**
 * Whether the gateway is stopping: readiness flips first, later it takes nothing new, and then what is under way is ended.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"

/** The one way from serving to stopping; it never leads back. */
export class Drain extends Context.Service<
  Drain,
  {
    /** Whether it has been told to stop: it is not ready any more. */
    readonly stopping: () => boolean
    /** Whether it takes no new request. */
    readonly refusing: () => boolean
    readonly begin: Effect.Effect<void>
    /** Resolves once it has been told to stop. */
    readonly begun: Effect.Effect<void>
    readonly refuse: Effect.Effect<void>
    /** An answer as it is to be sent now: once the gateway is stopping it ends its connection. */
    readonly parting: (response: Response) => Response
  }
>()("nexus/admission/Drain") {
  /** Starts in the serving state. */
  static readonly layer = Layer.sync(Drain, () => {
    let state: "serving" | "stopping" | "refusing" = "serving"
    const told = Latch.makeUnsafe(false)
    return Drain.of({
      stopping: () => state !== "serving",
      refusing: () => state === "refusing",
      begin: Effect.sync(() => {
        if (state === "serving") state = "stopping"
        told.openUnsafe()
      }),
      begun: told.await,
      refuse: Effect.sync(() => {
        state = "refusing"
      }),
      parting: (response) => {
        if (state !== "serving") response.headers.set("connection", "close")
        return response
      }
    })
  })
}
