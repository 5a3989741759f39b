/**
 * Which backend is meant when a model is to be loaded, unloaded or got.
 */
import * as Result from "effect/Result"
import { backendTypes, kindNamed } from "../backend/all.ts"
import type { ModelAction } from "../backend/model-actions.ts"
import { zoneOf } from "../backend/zone.ts"
import { BackendNotFound, BadRequest, type GatewayError, NotImplemented, ZoneNotAllowed } from "../domain/errors.ts"
import { allowsBackend } from "../domain/grant.ts"
import { beyondWords } from "../domain/zones.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import { type BackendState, type Candidate, inRotation, type Snapshot } from "../registry/snapshot.ts"
import { modelNotAllowed, modelNotFound } from "../router/model-not-found.ts"
import { lookUpName } from "../router/names.ts"
import { mayAskFor } from "../router/scope.ts"
import { backendsWithin, boundsOf, type KeyBounds, limitOn, targetFor, zoneRefusal } from "../router/zoned-targets.ts"

/** What somebody wants done; the backend may stand behind the model as well, as in `qwen3:8b@lab`. */
export interface ModelWish {
  readonly model: string
  readonly backend?: string | undefined
}

/** Whom it is meant for. */
export interface Meant {
  readonly state: BackendState
  /** As the backend lists it, where it does. */
  readonly model: string
}

const can = ({ backend: { type } }: BackendState, action: ModelAction): boolean =>
  kindNamed(type).lifecycle?.[action] !== undefined

const named = (states: ReadonlyArray<BackendState>): string => states.map(({ backend }) => backend.name).join(", ")

const labels = (action: ModelAction): string =>
  backendTypes
    .filter((type) => kindNamed(type).lifecycle?.[action] !== undefined)
    .map((type) => kindNamed(type).label)
    .join(", ")

const cannot = (action: ModelAction, { backend }: BackendState, others: ReadonlyArray<BackendState>): GatewayError => {
  const label = kindNamed(backend.type).label
  const instead = others.length === 0 ? `; ${labels(action)} can` : `; these backends can: ${named(others)}`
  const why = `Backend '${backend.name}' cannot ${action} models when asked to: it is of kind ${label}${instead}`
  return new NotImplemented({ operation: `models/${action}`, model: "", why })
}

const several = (action: ModelAction, model: string, states: ReadonlyArray<BackendState>): GatewayError =>
  new BadRequest({
    message: `Several backends could ${action} '${model}': ${named(states)}. Name one of them: --backend (backend), or ${model}@${states[0]?.backend.name ?? "NAME"}`,
    param: "backend"
  })

/** A model at a backend, from `model@backend`; the names of some models have an @ themselves. */
const split = ({ backend, model }: ModelWish, names: RoutingSettings, snapshot: Snapshot): ModelWish => {
  const at = model.lastIndexOf("@")
  if (backend !== undefined || at < 1 || !snapshot.backends.has(model.slice(at + 1))) return { model, backend }
  if (lookUpName(model, names, snapshot).candidates.length > 0) return { model, backend }
  return { model: model.slice(0, at), backend: model.slice(at + 1) }
}

const someOr = <A>(all: ReadonlyArray<A>, holds: (one: A) => boolean): ReadonlyArray<A> => {
  const some = all.filter(holds)
  return some.length === 0 ? all : some
}

/** Of those that have a model, the ones that get requests, and of these the ones for which the action changes something. */
const concerned = (action: ModelAction, candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  someOr(
    someOr(candidates, ({ state }) => inRotation(state)),
    ({ model }) => model.loaded !== (action === "load")
  )

/** Decides whom a wish is meant for, of those that the key of who has it lets ask. */
export const choose = (
  action: ModelAction,
  wish: ModelWish,
  names: RoutingSettings,
  snapshot: Snapshot,
  key?: KeyBounds
): Result.Result<Meant, GatewayError> => {
  const { backend, model } = split(wish, names, snapshot)
  const scope = key?.scope
  const bounds = boundsOf(key)
  const limitFor = ({ backend: one }: BackendState) => limitOn(one, bounds.zones, names)
  // Those that a key is not for are to it as if they were not there.
  const all = [...snapshot.backends.values()].filter((state) => allowsBackend(scope, state.backend))
  const able = all.filter((state) => can(state, action) && limitFor(state) === undefined)
  const { beyond = [], candidates } = targetFor(key, lookUpName(model, names, snapshot), model, names, snapshot)
  if ((action === "pull" || candidates.length === 0) && !mayAskFor(model, scope, names))
    return Result.fail(modelNotAllowed(model, "models", names, snapshot, bounds))
  if (backend !== undefined) {
    const state = all.find((each) => each.backend.name === backend)
    if (state === undefined)
      return Result.fail(
        new BackendNotFound({ name: backend, known: [...backendsWithin(bounds, names, snapshot).keys()] })
      )
    const limit = limitFor(state)
    if (limit !== undefined) {
      const reason = beyondWords(zoneOf(state.backend), limit)
      return Result.fail(new ZoneNotAllowed({ model, reasons: [{ backend, model, reason }] }))
    }
    if (!can(state, action)) return Result.fail(cannot(action, state, able))
    const listed = candidates.find((each) => each.state.backend.name === backend)?.model.id
    return Result.succeed({ state, model: action === "pull" ? model : (listed ?? model) })
  }
  const [only, ...others] = able
  if (only === undefined) {
    const why = `No backend can ${action} models when asked to; ${labels(action)} can`
    return Result.fail(new NotImplemented({ operation: `models/${action}`, model: "", why }))
  }
  if (action === "pull") {
    const [one = only, ...more] = others.length === 0 ? able : someOr(able, inRotation)
    return more.length === 0 ? Result.succeed({ state: one, model }) : Result.fail(several(action, model, able))
  }
  const [first] = candidates
  if (first === undefined)
    return Result.fail(beyond.length === 0 ? modelNotFound(model, names, snapshot, bounds) : zoneRefusal(model, beyond))
  const [one, ...more] = concerned(
    action,
    candidates.filter(({ state }) => can(state, action))
  )
  if (one === undefined) return Result.fail(cannot(action, first.state, able))
  if (more.length === 0) return Result.succeed({ state: one.state, model: one.model.id })
  return Result.fail(
    several(
      action,
      model,
      [one, ...more].map(({ state }) => state)
    )
  )
}
