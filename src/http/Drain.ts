/**
 * Whether the gateway is stopping: readiness flips first, then work in progress is ended.
 */
import { Context, Effect, Layer } from "effect"

/** The one switch from serving to stopping; it never switches back. */
export class Drain extends Context.Service<
  Drain,
  {
    readonly draining: () => boolean
    readonly begin: Effect.Effect<void>
  }
>()("nexus/http/Drain") {
  /** Starts in the serving state. */
  static readonly layer = Layer.sync(Drain, () => {
    let draining = false
    return Drain.of({
      draining: () => draining,
      begin: Effect.sync(() => {
        draining = true
      })
    })
  })
}
