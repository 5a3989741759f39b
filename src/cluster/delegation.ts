/**
 * Changes that a worker is asked for and its supervisor carries out, since there must be one truth for all workers.
 */
import { Effect, Schema } from "effect"
import { Control, NotChanged } from "../operations/Control.ts"
import { Conflict } from "../domain/errors.ts"
import type { ConfigStatus } from "../operations/api/control-api.ts"
import type { Change, Changed, Up, Wish } from "./messages.ts"
import { type Slot, tell } from "./broadcast.ts"

const encodeRefusal = Schema.encodeSync(NotChanged)

const granted = (control: Control["Service"], wish: Wish): Effect.Effect<Omit<Changed, "_tag" | "ask">, NotChanged> => {
  switch (wish._tag) {
    case "Reload":
      return Effect.map(control.reload, (comparison) => ({ comparison }))
    case "Compare":
      return Effect.map(control.compare, (comparison) => ({ comparison }))
    case "Add":
      return Effect.map(control.add(wish.backend), (backend) => ({ backend }))
    case "Remove":
      return Effect.map(control.remove(wish.name, wish.save), (backend) => ({ backend }))
    case "SetMode":
      return Effect.map(control.setMode(wish.name, wish.mode), (backend) => ({ backend }))
  }
}

/** Carries out what a worker was asked for, and tells it what came of it. */
export const carryOut = (slot: Slot, { ask, wish }: Change): Effect.Effect<void, never, Control> =>
  Control.use((control) => granted(control, wish)).pipe(
    Effect.matchEffect({
      onSuccess: ({ comparison, backend }) =>
        Effect.sync(() =>
          tell(slot, {
            _tag: "Changed",
            ask,
            ...(comparison === undefined ? {} : { comparison }),
            ...(backend === undefined ? {} : { backend })
          })
        ),
      onFailure: (refusal) => Effect.sync(() => tell(slot, { _tag: "Changed", ask, refusal: encodeRefusal(refusal) }))
    })
  )

/** Time that the supervisor has for a change. */
const changeFor = "30 seconds"

const late = new Conflict({ message: "The supervisor of the workers did not answer in time" })

/** A worker's view of the changes: `say` reaches the supervisor. */
export const makeDelegate = (say: (message: Up) => void) => {
  const waiting = new Map<number, (changed: Changed) => void>()
  let asks = 0
  let status: ConfigStatus = { generation: 0, loaded_at: 0, path: null, needs_restart: [], failure: null }
  const ask = <A>(wish: Wish, pick: (changed: Changed) => A | undefined): Effect.Effect<A, NotChanged> =>
    Effect.callback<A, NotChanged>((resume) => {
      asks += 1
      const number = asks
      waiting.set(number, (changed) => {
        const answer = pick(changed)
        resume(answer === undefined ? Effect.fail(changed.refusal ?? late) : Effect.succeed(answer))
      })
      say({ _tag: "Change", ask: number, wish })
      return Effect.sync(() => waiting.delete(number))
    }).pipe(Effect.timeoutOrElse({ duration: changeFor, orElse: () => Effect.fail(late) }))
  const control = Control.of({
    status: () => status,
    reload: ask({ _tag: "Reload" }, ({ comparison }) => comparison),
    compare: ask({ _tag: "Compare" }, ({ comparison }) => comparison),
    add: (backend) => ask({ _tag: "Add", backend }, (changed) => changed.backend),
    remove: (name, save) => ask({ _tag: "Remove", name, save }, ({ backend }) => backend),
    setMode: (name, mode) => ask({ _tag: "SetMode", name, mode }, ({ backend }) => backend)
  })
  return {
    control,
    /** Takes an answer of the supervisor. */
    changed: (changed: Changed): void => {
      waiting.get(changed.ask)?.(changed)
      waiting.delete(changed.ask)
    },
    /** Takes how the config stands. */
    stands: (now: ConfigStatus): void => {
      status = now
    }
  }
}
