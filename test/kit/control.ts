/**
 * Configs that are there already, and changes that are never asked for.
 */
import { Effect, Layer, Option } from "effect"
import type { LoadedConfig } from "../../src/config/compile.ts"
import { Conflict } from "../../src/domain/errors.ts"
import { Issuers } from "../../src/issuer/Issuers.ts"
import { Lifecycle } from "../../src/lifecycle/Lifecycle.ts"
import { Doctor } from "../../src/operations/DoctorService.ts"
import { Control } from "../../src/operations/Control.ts"
import type { ConfigInUse } from "../../src/runtime/Reloader.ts"

/** What a gateway is started with that no file stands behind. */
export const sourceOf = (loaded: LoadedConfig): ConfigInUse => ({
  read: { loaded, file: undefined, keyFiles: [], merged: { tree: {}, origins: new Map() }, written: [] },
  from: { path: Option.none(), overrides: {} }
})

const refuse = Effect.fail(new Conflict({ message: "nothing can be changed here" }))

/** A control that refuses everything. */
export const noControl = Layer.succeed(Control, {
  status: () => ({ generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null }),
  reload: refuse,
  compare: refuse,
  settings: refuse,
  nextRouting: refuse,
  add: () => refuse,
  remove: () => refuse,
  wake: () => refuse,
  setMode: () => refuse
})

/** Nobody looks for what is wrong. */
export const noDoctor = Layer.succeed(Doctor, { look: () => Effect.void })

/** Nobody whose tokens are taken. */
export const noIssuers = Layer.succeed(Issuers, {
  tokens: () => undefined,
  explain: () => refuse,
  imagined: () => undefined
})

/** Models that nobody loads. */
export const noLifecycle = Layer.succeed(Lifecycle, { begin: () => refuse })
