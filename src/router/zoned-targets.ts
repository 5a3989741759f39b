/**
 * Who may answer a request by the zones that it may go to: what its key, its header, its rule and the names of its model say.
 */
import { zoneOf } from "../backend/zone.ts"
import { type AttemptFailure, BadRequest, ZoneNotAllowed } from "../domain/errors.ts"
import { allowsBackend, type Grant } from "../domain/grant.ts"
import { matchesGlob } from "../domain/glob.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { type RoutingSettings, type Rule, splitModelAt } from "../domain/routing.ts"
import { beyondWords, limitAgainst, type ZoneLimit, type ZoneLimits, zoneName } from "../domain/zones.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { aliasChain } from "./alias-chains.ts"
import { entryCandidates } from "./groups.ts"
import type { BeyondZones, NameTarget } from "./names.ts"
import { inScope } from "./scope.ts"

// The header by which a request gives up zones.
const zonesHeader = "x-nexus-zones"

const nothing: ZoneLimits = []

/** The zones that a header names; a text that names none in good form is refused, so that a slip opens nothing. */
const zonesIn = (text: string): ReadonlyArray<string> | undefined => {
  const zones = text
    .toLowerCase()
    .split(",")
    .map((zone) => zone.trim())
  return zones.every((zone) => zoneName.test(zone)) ? zones : undefined
}

/** Where a request may go, whatever its model; undefined where it may go anywhere, a refusal where its header is none. */
export const requestLimits = (
  headers: { readonly get: (name: string) => string | null },
  grant: Pick<Grant, "zones"> | undefined
): ZoneLimits | BadRequest | undefined => {
  const asked = headers.get(zonesHeader)
  const ofKey = grant?.zones
  if (asked === null) return ofKey === undefined ? undefined : [ofKey]
  const zones = zonesIn(asked)
  if (zones === undefined) {
    const message = `The header '${zonesHeader}' names zones separated by commas, such as 'local, lan'`
    return new BadRequest({ message, param: zonesHeader })
  }
  const own: ZoneLimit = { by: `the request (${zonesHeader})`, zones }
  return ofKey === undefined ? [own] : [ofKey, own]
}

/** What bounds a request that goes to one backend whatever its model. */
export const limitOn = (
  backend: Candidate["state"]["backend"],
  limits: ZoneLimits | undefined,
  { zones: policies }: Pick<RoutingSettings, "zones">
): ZoneLimit | undefined => {
  if (limits === undefined && policies?.all === undefined) return undefined
  const zone = zoneOf(backend)
  return limitAgainst(limits ?? nothing, zone) ?? (policies?.all && limitAgainst([policies.all], zone))
}

const ofNames = (names: Iterable<string>, { zones }: RoutingSettings): ZoneLimits => {
  const policies = zones?.models ?? []
  const found = new Set<ZoneLimit>()
  for (const name of names) for (const { glob, limit } of policies) if (matchesGlob(glob, name)) found.add(limit)
  return [...found]
}

const chainsOf = (names: ReadonlyArray<string>, { aliases }: RoutingSettings): ReadonlyArray<string> =>
  names.flatMap((name) => aliasChain(name, aliases))

/** The names by which a group has a candidate: those of entries that are aliases, with or without a backend. */
const groupNames = (
  candidate: Candidate,
  name: string,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<string> =>
  (settings.groups.get(name) ?? []).flatMap((entry) =>
    entryCandidates(entry, settings, snapshot).some(
      ({ model, state }) => model.id === candidate.model.id && state.backend.name === candidate.state.backend.name
    )
      ? chainsOf([entry, splitModelAt(entry).model], settings)
      : []
  )

interface Zoned {
  readonly kept: ReadonlyArray<Candidate>
  readonly beyond: ReadonlyArray<BeyondZones>
}

// The same list for the same candidates and limits: what is known of a list is kept by it.
const lists = new WeakMap<ReadonlyArray<Candidate>, Map<string, Zoned>>()

// Clients name zones of their own making.
const mostKept = 100

const keyOf = (limits: ZoneLimits): string => limits.map(({ by, zones }) => `${by}\t${zones.join()}`).join("\n")

const split = (
  candidates: ReadonlyArray<Candidate>,
  limitFor: (candidate: Candidate, zone: string) => ZoneLimit | undefined
): Zoned => {
  const beyond = candidates.flatMap((candidate): ReadonlyArray<BeyondZones> => {
    const zone = zoneOf(candidate.state.backend)
    const limit = limitFor(candidate, zone)
    return limit === undefined ? [] : [{ candidate, zone, limit }]
  })
  if (beyond.length === 0) return { kept: candidates, beyond }
  const out = new Set(beyond.map(({ candidate }) => candidate))
  return { kept: candidates.filter((candidate) => !out.has(candidate)), beyond }
}

const kept = (candidates: ReadonlyArray<Candidate>, limits: ZoneLimits): Zoned => {
  const of = lists.get(candidates) ?? new Map<string, Zoned>()
  const key = keyOf(limits)
  const known = of.get(key)
  if (known !== undefined) return known
  const made = split(candidates, (_, zone) => limitAgainst(limits, zone))
  if (of.size >= mostKept) of.clear()
  of.set(key, made)
  lists.set(candidates, of)
  return made
}

/**
 * The same targets without those that a request may not go to. What its model is called counts for all of them, and what each
 * of them is called on the way for itself.
 */
export const zonedTargets = (
  targets: ReadonlyArray<NameTarget>,
  needs: Pick<RoutingNeeds, "model" | "zones">,
  rule: Pick<Rule, "zones"> | undefined,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> =>
  needs.zones === undefined && settings.zones === undefined
    ? targets
    : boundTargets(targets, needs, rule, settings, snapshot)

const boundTargets = (
  targets: ReadonlyArray<NameTarget>,
  { model: asked, zones }: Pick<RoutingNeeds, "model" | "zones">,
  rule: Pick<Rule, "zones"> | undefined,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> => {
  const { zones: policies } = settings
  const byName = (policies?.models.length ?? 0) > 0
  const whole = [
    ...(zones ?? nothing),
    ...(rule?.zones === undefined ? [] : [rule.zones]),
    ...(policies?.all === undefined ? [] : [policies.all])
  ]
  if (whole.length === 0 && !byName) return targets
  return targets.map((target): NameTarget => {
    const own = byName
      ? ofNames([...chainsOf([asked, ...(target.via ?? [])], settings), target.name], settings)
      : nothing
    const limits = own.length === 0 ? whole : [...whole, ...own]
    const before = kept(target.candidates, limits)
    const { beyond, kept: left } = byName
      ? split(before.kept, (candidate, zone) =>
          limitAgainst(
            ofNames([candidate.model.id, ...groupNames(candidate, target.name, settings, snapshot)], settings),
            zone
          )
        )
      : before
    const all = byName ? [...before.beyond, ...beyond] : beyond
    return all.length === 0 ? target : { ...target, candidates: left, beyond: all }
  })
}

/** What bounds a key: what it is for, and where its requests may go. */
export type KeyBounds = Pick<Grant, "scope" | "zones">

/** The zones of a key, as they bound a request. */
const zonesOfKey = (key: KeyBounds | undefined): ZoneLimits | undefined =>
  key?.zones === undefined ? undefined : [key.zones]

/** What bounds a request: what its key is for, and where it may go. */
export type Bounds = Pick<RoutingNeeds, "scope" | "zones">

/** The bounds of all requests of a key. */
export const boundsOf = (key: KeyBounds | undefined): Bounds => {
  const zones = zonesOfKey(key)
  return {
    ...(key?.scope === undefined ? {} : { scope: key.scope }),
    ...(zones === undefined ? {} : { zones })
  }
}

/** A target without those that are beyond some bounds, and beyond those of the name. */
export const targetWithin = (
  { scope, zones }: Bounds,
  target: NameTarget,
  model: string,
  settings: RoutingSettings,
  snapshot: Snapshot
): NameTarget => {
  const allowed = inScope(target, scope, settings)
  const needs = zones === undefined ? { model } : { model, zones }
  return zonedTargets([allowed], needs, undefined, settings, snapshot)[0] ?? allowed
}

/** A target without those that a key has no business with: by its models, its backends and its zones, and those of the name. */
export const targetFor = (
  key: KeyBounds | undefined,
  target: NameTarget,
  model: string,
  settings: RoutingSettings,
  snapshot: Snapshot
): NameTarget => targetWithin(boundsOf(key), target, model, settings, snapshot)

/** The backends of a snapshot of which something may be told within some bounds. */
export const backendsWithin = (
  { scope, zones }: Bounds,
  settings: RoutingSettings,
  { backends }: Pick<Snapshot, "backends">
): Snapshot["backends"] =>
  new Map(
    [...backends].filter(
      ([, { backend }]) => allowsBackend(scope, backend) && limitOn(backend, zones, settings) === undefined
    )
  )

/** The same reasons, each of them once. */
export const eachOnce = (reasons: ReadonlyArray<AttemptFailure>): ReadonlyArray<AttemptFailure> => [
  ...new Map(reasons.map((each) => [JSON.stringify([each.backend, each.model, each.reason]), each])).values()
]

/** Why nobody may be asked of those who are in other zones. */
export const zoneRefusal = (model: string, beyond: ReadonlyArray<BeyondZones>): ZoneNotAllowed =>
  new ZoneNotAllowed({
    model,
    // By the name that was asked for: where it leads beyond the bounds is not told.
    reasons: eachOnce(
      beyond.map(({ candidate, limit, zone }) => ({
        backend: candidate.state.backend.name,
        model,
        reason: beyondWords(zone, limit)
      }))
    )
  })
