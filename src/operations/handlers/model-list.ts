/**
 * What `/v1/models` says of a snapshot.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Dialect } from "../../dialect/Dialect.ts"
import { requestIdHeaders } from "../../dialect/refuse.ts"
import { contextOf } from "../../domain/server.ts"
import { type Candidate, inRotation, type Snapshot } from "../../registry/snapshot.ts"
import type { RoutingSettings } from "../../domain/routing.ts"
import { isListedAs } from "../../registry/candidates.ts"
import { lookUpName } from "../../router/names.ts"
import type { ModelEntry } from "../../api/gateway-api.ts"

const servingOf = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  candidates.filter(({ state }) => inRotation(state))

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)

const listed = ["vision", "tools", "json_mode"] as const

// One that can makes the model able; only when all are known not to be able is it not.
const together = (candidates: ReadonlyArray<Candidate>): ModelEntry["capabilities"] =>
  Object.fromEntries(
    listed.flatMap((ability): ReadonlyArray<readonly [string, boolean]> => {
      const told = new Set(candidates.map(({ model }) => model.capabilities[ability]))
      if (told.has(true)) return [[ability, true]]
      return told.has(undefined) ? [] : [[ability, false]]
    })
  )

const merge = (id: string, candidates: ReadonlyArray<Candidate>, created: number): ModelEntry => {
  const lengths = candidates.flatMap(({ model }) => contextOf(model) ?? [])
  return {
    id,
    object: "model",
    created,
    owned_by: "nexus",
    ...(lengths.length === 0 ? {} : { context_length: Math.max(...lengths) }),
    capabilities: together(candidates),
    // One backend may serve several models of a group.
    backends: [...new Set(candidates.map(({ state }) => state.backend.name))]
  }
}

/** Every model that a backend in rotation serves, once, sorted by id; `created` in seconds since 1970. */
export const listServed = (snapshot: Snapshot, created: number): ReadonlyArray<ModelEntry> =>
  [...snapshot.candidates]
    .flatMap(([id, candidates]) => {
      const serving = isListedAs(id, candidates) ? servingOf(candidates) : []
      return serving.length === 0 ? [] : [merge(id, serving, created)]
    })
    .sort(byId)

/** What an alias or a group leads to, as an entry of its own; undefined when no backend in rotation serves that. */
const namedEntry = (
  name: string,
  settings: RoutingSettings,
  snapshot: Snapshot,
  created: number
): ModelEntry | undefined => {
  const { candidates, name: led } = lookUpName(name, settings, snapshot)
  const serving = servingOf(candidates)
  if (serving.length === 0) return undefined
  const mark = settings.aliases.has(name)
    ? { alias_of: led }
    : { group_of: [...new Set(serving.map(({ model }) => model.id))] }
  return { ...merge(name, serving, created), ...mark }
}

/** The same with the aliases and groups that lead to them, which go before models of the same name. */
export const listModels = (
  snapshot: Snapshot,
  created: number,
  settings: RoutingSettings
): ReadonlyArray<ModelEntry> => {
  const served = listServed(snapshot, created)
  const names = settings.listAliases ? [...new Set([...settings.aliases.keys(), ...settings.groups.keys()])] : []
  if (names.length === 0) return served
  const named = names.flatMap((name) => namedEntry(name, settings, snapshot, created) ?? [])
  return [...served.filter(({ id }) => !settings.aliases.has(id) && !settings.groups.has(id)), ...named].sort(byId)
}

/** What a name leads to: an alias or a group by its name, a model by its id; undefined when no backend in rotation serves it. */
export const findModel = (
  snapshot: Snapshot,
  name: string,
  created: number,
  settings: RoutingSettings
): ModelEntry | undefined => {
  if (settings.aliases.has(name) || settings.groups.has(name)) return namedEntry(name, settings, snapshot, created)
  const { candidates, name: id } = lookUpName(name, settings, snapshot)
  const serving = servingOf(candidates)
  return serving.length === 0 ? undefined : merge(id, serving, created)
}

const Listed = Schema.Struct({ id: Schema.String, created: Schema.Finite })
const decodeOne = Schema.decodeUnknownOption(Listed)
const decodeList = Schema.decodeUnknownOption(Schema.Struct({ data: Schema.Array(Listed) }))

const decoder = new TextDecoder()

/** The answer to a question for models, in a dialect; a failure as well. */
export const relisted = async (
  dialect: Dialect,
  response: Response,
  query: URLSearchParams,
  requestId: string
): Promise<Response> => {
  const { models, passedError, types } = dialect
  const { status } = response
  if (models === undefined) return response
  const headers = { "content-type": types.whole, ...requestIdHeaders(dialect, requestId) }
  const told = await response.bytes()
  // The head alone was asked for.
  if (told.byteLength === 0) return new Response(null, { status, headers })
  if (status >= 400) return new Response(new Uint8Array(passedError(status, told, requestId)), { status, headers })
  const json: unknown = JSON.parse(decoder.decode(told))
  const list = Option.getOrUndefined(decodeList(json))
  if (list !== undefined) return Response.json(models.page(list.data, query), { headers })
  const one = Option.getOrUndefined(decodeOne(json))
  return one === undefined ? new Response(told, { status, headers }) : Response.json(models.one(one), { headers })
}
