/**
 * What an administrator can change while the gateway runs; who does it is for the runtime to say.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Mode } from "../domain/server.ts"
import { BackendNotFound, BadRequest, ConfigRefused, Conflict } from "../domain/errors.ts"
import type { BackendChange, ReloadChanges, ConfigStatus, NewBackend, SettingsInForce } from "../api/control-api.ts"

/** Why a change was not made. */
export const NotChanged = Schema.Union([BadRequest, BackendNotFound, Conflict, ConfigRefused])

/** Type of {@link NotChanged}. */
export type NotChanged = typeof NotChanged.Type

/** The changes. */
export class Control extends Context.Service<
  Control,
  {
    /** Which config is in force. */
    readonly status: () => ConfigStatus
    /** Reads the config anew and takes it over; a config with mistakes changes nothing. */
    readonly reload: Effect.Effect<ReloadChanges, NotChanged>
    /** What {@link reload} would change. */
    readonly compare: Effect.Effect<ReloadChanges, NotChanged>
    /** All settings in force. */
    readonly settings: Effect.Effect<SettingsInForce, NotChanged>
    /** What decides where requests go in the config as it is now, as a replay takes it. */
    readonly nextRouting: Effect.Effect<Readonly<Record<string, unknown>>, NotChanged>
    readonly add: (backend: NewBackend) => Effect.Effect<BackendChange, NotChanged>
    readonly remove: (name: string, save: boolean) => Effect.Effect<BackendChange, NotChanged>
    /** Wakes a backend over the network. */
    readonly wake: (name: string) => Effect.Effect<BackendChange, NotChanged>
    readonly setMode: (name: string, mode: Mode) => Effect.Effect<BackendChange, NotChanged>
  }
>()("nexus/operations/Control") {}
