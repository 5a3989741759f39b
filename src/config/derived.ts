/**
 * What follows from settings that may be replaced while the gateway runs.
 */
import type { LoadedConfig } from "./compile.ts"

/** Gives what `make` makes of the settings of the moment; it is made once for all calls under the same settings. */
export const derived = <A>(current: () => LoadedConfig, make: (loaded: LoadedConfig) => A): (() => A) => {
  let of: LoadedConfig | undefined
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
