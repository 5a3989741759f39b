/**
 * Whether requests are traced, and where their traces go: set while there is somebody who takes them.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Tracing } from "./request-trace.ts"

/** Who takes traces at the moment; where nothing else is provided it is nobody ever. */
export const Traces = Context.Reference<{
  /** Undefined while nobody does; looked at once for each request. */
  readonly current: () => Tracing | undefined
  /** Has them given to somebody, or to nobody. */
  readonly give: (to: Tracing | undefined) => void
}>("nexus/proxy/Traces", { defaultValue: () => ({ current: () => undefined, give: () => undefined }) })

/** Nobody at first. */
export const layer = Layer.sync(Traces, () => {
  let taker: Tracing | undefined
  return {
    current: () => taker,
    give: (to) => {
      taker = to
    }
  }
})
