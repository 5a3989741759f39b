/**
 * What has a server get, make or lose models: whom it is meant for, and what that one is told.
 */
import * as Result from "effect/Result"
import { kindNamed } from "../backend/all.ts"
import type { DialectRoute, ModelChange, Passage } from "../dialect/Dialect.ts"
import { exactJson } from "../dialect/exact-json.ts"
import { modelFault, parseBody } from "../dialect/json-body.ts"
import type { PageAnswer } from "../dialect/pages.ts"
import { BadRequest, type GatewayError, MethodNotAllowed, NotImplemented } from "../domain/errors.ts"
import { allowsModel } from "../domain/grant.ts"
import type { Scope } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import { type BackendState, inRotation, type Snapshot } from "../registry/snapshot.ts"
import { modelNotAllowed } from "../router/model-not-found.ts"
import { lookUpName } from "../router/names.ts"
import { backendsWithin, boundsOf, type KeyBounds, targetFor } from "../router/zoned-targets.ts"
import { backendHeader, backendNamed, forbiddenBackend, namesOf, noBackend, unavailable } from "./passed-on.ts"

/** What it is decided by. */
export interface ChangeRequest {
  readonly route: DialectRoute
  readonly passage: Passage
  readonly change: ModelChange
  readonly method: string
  readonly headers: Headers
}

/** What there is to change. */
export interface Changeable {
  readonly snapshot: Snapshot
  readonly names: RoutingSettings
  /** What bounds the key. */
  readonly key: KeyBounds | undefined
}

/** Why it is refused before anything of its body is read. */
export const refusedUnread = ({ change, method, passage }: ChangeRequest): GatewayError | undefined => {
  const { methods: allowed } = change
  if (!allowed.includes(method)) return new MethodNotAllowed({ method, path: passage.path, allowed })
  return change.present === undefined ? passage.refused : undefined
}

const changesIn = (dialect: string, { backend: { type } }: BackendState): boolean =>
  kindNamed(type).changesBy === dialect

/** The one whose models are to be changed: the one that is named, or the only one whose models can be. */
export const changedBackend = (
  { passage, headers, route: { dialect, operation } }: ChangeRequest,
  { key, names: settings, snapshot }: Changeable,
  named: string | null = backendNamed(passage, headers)
): BackendState | GatewayError => {
  const all = [...snapshot.backends.values()].filter((state) => changesIn(dialect.id, state))
  const open = backendsWithin(boundsOf(key), settings, snapshot)
  const within = all.filter(({ backend }) => open.has(backend.name))
  // Where none is, one says why.
  const keepers = within.length === 0 ? all.slice(0, 1) : within
  const names = namesOf(keepers).join(", ")
  if (named !== null) {
    const state = snapshot.backends.get(named)
    if (state === undefined) return noBackend(named, open.values())
    if (all.includes(state)) return unavailable(state) ?? state
    const others = within.length === 0 ? "" : `; those of ${names} can be`
    const message = `The models of backend '${named}', which is of type ${state.backend.type}, cannot be changed${others}`
    return new BadRequest({ message, param: backendHeader })
  }
  const [only, ...others] = keepers
  if (only === undefined) {
    const why = `There is no backend of type ${dialect.id}: the models of others are changed at their servers`
    return new NotImplemented({ operation: operation.name, model: "", why })
  }
  if (others.length === 0) return unavailable(only) ?? only
  const message = `Several backends could be meant (${names}): name one in the header '${backendHeader}', or before the model as in ${only.backend.name}/MODEL`
  return new BadRequest({ message, param: backendHeader })
}

/** The backend before the name of a model, as in `lab/qwen3:8b`. */
const prefixOf = (name: unknown, { backends }: Snapshot): string | undefined => {
  if (typeof name !== "string") return undefined
  const slash = name.indexOf("/")
  const prefix = name.slice(0, Math.max(0, slash))
  return slash < name.length - 1 && backends.has(prefix) ? prefix : undefined
}

const isForbidden = (name: unknown, scope: Scope | undefined, snapshot: Snapshot): boolean => {
  if (scope?.models === undefined || typeof name !== "string" || name === "") return false
  const prefix = prefixOf(name, snapshot)
  const bare = prefix === undefined ? name : name.slice(prefix.length + 1)
  return !allowsModel(scope, bare)
}

/** What becomes of one whose body has come. */
export type ChangeDecision =
  | { readonly _tag: "Passed"; readonly to: BackendState; readonly body: Uint8Array }
  | { readonly _tag: "Present"; readonly answer: PageAnswer }
  | { readonly _tag: "Refused"; readonly why: GatewayError }

const refused = (why: GatewayError): ChangeDecision => ({ _tag: "Refused", why })

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Decides what becomes of one whose body names models in these fields. */
export const decideChange = (
  asked: ChangeRequest,
  fields: ReadonlyArray<string>,
  body: Uint8Array,
  changeable: Changeable
): ChangeDecision => {
  const { key, names, snapshot } = changeable
  const scope = key?.scope
  const { change, headers, passage } = asked
  const read = parseBody(body)
  if (Result.isFailure(read)) return refused(read.failure)
  const json = read.success
  const model = fields.map((field) => json[field]).find((name) => name !== undefined && name !== "")
  const fault = modelFault(model)
  if (fault !== undefined) return refused(new BadRequest({ message: fault.message, param: fields[0] ?? null }))
  const header = backendNamed(passage, headers)
  const prefixes = new Set(fields.flatMap((field) => prefixOf(json[field], snapshot) ?? []))
  const [prefix, ...more] = prefixes
  const named = header ?? prefix ?? null
  // Whatever backend is named before it: what a key is not for it can neither have nor lose.
  const forbidden = fields.map((field) => json[field]).find((name) => isForbidden(name, scope, snapshot))
  if (forbidden !== undefined)
    return refused(modelNotAllowed(String(forbidden), "models", names, snapshot, boundsOf(key)))
  const { candidates } = targetFor(key, lookUpName(String(model), names, snapshot), String(model), names, snapshot)
  const isThere = candidates.some(({ state }) => inRotation(state))
  if (change.present !== undefined && isThere && (named === null || passage.refused !== undefined))
    return { _tag: "Present", answer: change.present(json) }
  if (passage.refused !== undefined) return refused(passage.refused)
  if (header === null && more.length > 0) {
    const message = `Two backends are named before models (${[...prefixes].join(", ")}); one cannot have what another has`
    return refused(new BadRequest({ message, param: fields[0] ?? null }))
  }
  const to = forbiddenBackend(changedBackend(asked, changeable, named), scope)
  if (!("live" in to)) return refused(to)
  const isPrefixed = (field: string) => named !== null && prefixOf(json[field], snapshot) === named
  const prefixed = fields.filter(isPrefixed)
  if (prefixed.length === 0) return { _tag: "Passed", to, body }
  const bare = prefixed.map((field) => [field, String(json[field]).slice(to.backend.name.length + 1)])
  const exact = exactJson(decoder.decode(body), json)
  const told = JSON.stringify({ ...Object(exact), ...Object.fromEntries(bare) })
  return { _tag: "Passed", to, body: encoder.encode(told) }
}
