/**
 * What follows from settings that may be replaced while the gateway runs.
 */
import type { Loaded } from "./compile.ts"

/** Gives what `make` makes of the settings of the moment; it is made once for all calls under the same settings. */
export const derived = <A>(current: () => Loaded, make: (loaded: Loaded) => A): (() => A) => {
  let of: Loaded | undefined
  let made: A
  return () => {
    const loaded = current()
    if (loaded !== of) {
      made = make(loaded)
      of = loaded
    }
    return made
  }
}
