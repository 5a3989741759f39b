/**
 * Changes that a worker is asked for and its supervisor carries out, since there must be one truth for all workers.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { modes } from "../domain/server.ts"
import { Conflict } from "../domain/errors.ts"
import { BackendChange, ReloadChanges, type ConfigStatus, NewBackend, SettingsInForce } from "../api/control-api.ts"
import { Control, NotChanged } from "../operations/Control.ts"
import { type Ask, type CallContract, type CallHandler, handling } from "./calls.ts"

const change = <Payload, Success>(
  name: string,
  payload: Schema.Codec<Payload, unknown>,
  success: Schema.Codec<Success, unknown>
): CallContract<Payload, Success, NotChanged> => ({ name, payload, success, failure: NotChanged, withinMs: 30_000 })

const nothing = Schema.Struct({})

const changes = {
  reload: change("reload", nothing, ReloadChanges),
  compare: change("compare", nothing, ReloadChanges),
  settings: change("settings", nothing, SettingsInForce),
  nextRouting: change("nextRouting", nothing, Schema.Record(Schema.String, Schema.Unknown)),
  add: change("add", NewBackend, BackendChange),
  remove: change("remove", Schema.Struct({ name: Schema.String, save: Schema.Boolean }), BackendChange),
  wake: change("wake", Schema.Struct({ name: Schema.String }), BackendChange),
  setMode: change("setMode", Schema.Struct({ name: Schema.String, mode: Schema.Literals(modes) }), BackendChange)
}

/** The supervisor's side: carries out what workers are asked for. */
export const changeHandlers: ReadonlyArray<CallHandler<Control>> = [
  handling(changes.reload, () => Control.use(({ reload }) => reload)),
  handling(changes.compare, () => Control.use(({ compare }) => compare)),
  handling(changes.settings, () => Control.use(({ settings }) => settings)),
  handling(changes.nextRouting, () => Control.use(({ nextRouting }) => nextRouting)),
  handling(changes.add, (backend) => Control.use(({ add }) => add(backend))),
  handling(changes.remove, ({ name, save }) => Control.use(({ remove }) => remove(name, save))),
  handling(changes.wake, ({ name }) => Control.use(({ wake }) => wake(name))),
  handling(changes.setMode, ({ name, mode }) => Control.use(({ setMode }) => setMode(name, mode)))
]

const late = new Conflict({ message: "The supervisor of the workers did not answer in time" })

/** A worker's side: `ask` reaches the supervisor, `status` is what it told last of the config. */
export const delegatedControl = (ask: Ask, status: () => ConfigStatus): Control["Service"] => {
  const wish = <Payload, Success>(contract: CallContract<Payload, Success, NotChanged>, payload: Payload) =>
    Effect.catchTag(ask(contract, payload), "NoReply", () => Effect.fail(late))
  return Control.of({
    status,
    reload: wish(changes.reload, {}),
    compare: wish(changes.compare, {}),
    settings: wish(changes.settings, {}),
    nextRouting: wish(changes.nextRouting, {}),
    add: (backend) => wish(changes.add, backend),
    remove: (name, save) => wish(changes.remove, { name, save }),
    wake: (name) => wish(changes.wake, { name }),
    setMode: (name, mode) => wish(changes.setMode, { name, mode })
  })
}
