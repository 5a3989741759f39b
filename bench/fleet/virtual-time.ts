/**
 * What the gateway waits by, by a clock of virtual time: its time limits, and the clock of its fibers.
 */
import { type Clock, Duration, Effect } from "effect"
import type { Deadline, Deadlines } from "../../src/upstream/Deadlines.ts"
import type { VirtualClock } from "./virtual-clock.ts"

/** How often the gateway looks at its time limits, in milliseconds. */
const sweepEveryMs = 200

/** The time limits of a gateway that goes by this clock. */
export class Sweeps {
  readonly #clock: VirtualClock
  readonly #watches = new Set<Deadline>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  readonly add: Deadlines["Service"]["add"] = (watch) => {
    this.#watches.add(watch)
    if (this.#watches.size === 1) this.#wait()
  }

  readonly remove: Deadlines["Service"]["remove"] = (watch) => void this.#watches.delete(watch)

  #wait(): void {
    const { at, now, speed } = this.#clock
    at(now() + (sweepEveryMs * speed) / 1000, () => {
      for (const watch of this.#watches) {
        if (performance.now() < watch.at) continue
        watch.at = Infinity
        watch.expire("phase")
      }
      if (this.#watches.size > 0) this.#wait()
    })
  }
}

/** The clock of its fibers; `performance.now` has to go by the same one. */
export const effectClock = ({ at, now, speed }: VirtualClock): Clock.Clock => {
  const millis = (): number => performance.now()
  const nanos = (): bigint => BigInt(Math.round(performance.now() * 1e6))
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback((resume) =>
        Effect.sync(at(now() + (Duration.toMillis(duration) * speed) / 1000, () => resume(Effect.void)))
      )
  }
}
