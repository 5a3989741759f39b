/**
 * What a name leads to: an alias, a group or a model as it is written, and where there is none, the same in another
 * spelling, without the prefix of a provider that clients put before it, or without a suffix of OpenRouter's.
 */
import { kindNamed } from "../backend/all.ts"
import { spellingsOf } from "../backend/spelling.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { ZoneLimit } from "../domain/zones.ts"
import { inOtherSpelling } from "../registry/candidates.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { resolveAlias } from "./alias-chains.ts"
import { groupCandidates } from "./groups.ts"

/** A candidate that a request may not go to, and what says so. */
export interface BeyondZones {
  readonly candidate: Candidate
  readonly zone: string
  readonly limit: ZoneLimit
}

/** What may answer for a name. */
export interface NameTarget {
  /** The model, by a name that a backend lists, or the group. */
  readonly name: string
  readonly candidates: ReadonlyArray<Candidate>
  /** What OpenRouter is told of the model behind its name; empty mostly. */
  readonly suffix: string
  /** Whether nobody has the name as it was written. */
  readonly understood: boolean
  /** The alias, group or listed model that was found by the name that came, however it was written. */
  readonly entry: string
  /** Names on the way to it beside the one that was asked for: in another spelling, without a prefix, of a fallback. */
  readonly via?: ReadonlyArray<string>
  /** Those that a rule leaves out; nobody when absent. */
  readonly barred?: ReadonlyArray<Candidate>
  /** Those in zones that the request may not go to; nobody when absent. */
  readonly beyond?: ReadonlyArray<BeyondZones>
  /** Those that the key is not for; nobody when absent. */
  readonly forbidden?: ReadonlyArray<Candidate>
}

type Names = Pick<RoutingSettings, "aliases" | "groups">

const nobody: ReadonlyArray<Candidate> = []

// Prefixes taken away at most, as in openrouter/openai/gpt-4o.
const mostPrefixes = 3

const suffixed = /:(?:beta|exacto|extended|floor|free|nitro|online|thinking)$/

const target = (name: string, candidates: ReadonlyArray<Candidate>, understood: boolean): NameTarget => ({
  name,
  candidates,
  suffix: "",
  understood,
  entry: name
})

const asWritten = (end: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget | undefined => {
  const candidates = groupCandidates(end, settings, snapshot) ?? snapshot.candidates.get(end)
  return candidates === undefined ? undefined : target(end, candidates, false)
}

const writtenOtherwise = (name: string, snapshot: Snapshot): NameTarget | undefined => {
  const found = inOtherSpelling(name, snapshot)
  return found === undefined ? undefined : target(found.id, found.candidates, true)
}

// A table of names is never changed; another takes its place.
const tables = new WeakMap<ReadonlyMap<string, unknown>, ReadonlyMap<string, string>>()

/** The names of a table by what their spellings have in common; the first of each. */
const bySpelling = (table: ReadonlyMap<string, unknown>): ReadonlyMap<string, string> => {
  const known = tables.get(table)
  if (known !== undefined) return known
  const made = new Map<string, string>()
  for (const name of table.keys()) {
    for (const spelling of spellingsOf(name)) if (!made.has(spelling)) made.set(spelling, name)
  }
  tables.set(table, made)
  return made
}

/** The name in a table that this is another spelling of. */
const spelledIn = (table: ReadonlyMap<string, unknown>, name: string): string | undefined => {
  if (table.size === 0) return undefined
  const names = bySpelling(table)
  for (const spelling of spellingsOf(name)) {
    const found = names.get(spelling)
    if (found !== undefined) return found
  }
  return undefined
}

/** The alias or the group that is written otherwise. */
const namedOtherwise = (name: string, { aliases, groups }: Names): string | undefined =>
  spelledIn(aliases, name) ?? spelledIn(groups, name)

const inAnySpelling = (end: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget | undefined => {
  const other = namedOtherwise(end, settings)
  if (other !== undefined && other !== end) {
    const last = resolveAlias(other, settings.aliases)
    const found = asWritten(last, settings, snapshot) ?? writtenOtherwise(last, snapshot)
    if (found !== undefined) return { ...found, understood: true, entry: other, via: [other] }
  }
  return writtenOtherwise(end, snapshot)
}

const known = (name: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget | undefined => {
  const end = resolveAlias(name, settings.aliases)
  const found = asWritten(end, settings, snapshot) ?? inAnySpelling(end, settings, snapshot)
  return found === undefined || end === name ? found : { ...found, entry: name }
}

/** The same, found by this name as well. */
export const throughName = (found: NameTarget, name: string): NameTarget => ({
  ...found,
  via: [name, ...(found.via ?? [])]
})

const withoutSuffix = (name: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget | undefined => {
  let base = name
  for (let found = suffixed.exec(base); found !== null; found = suffixed.exec(base)) {
    base = base.slice(0, found.index)
    const meant = base === "" ? undefined : known(base, settings, snapshot)
    if (meant !== undefined) return { ...throughName(meant, base), suffix: name.slice(base.length) }
  }
  return undefined
}

const meantBy = (name: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget | undefined => {
  let rest = name
  for (let prefixes = 0; ; prefixes += 1) {
    const meant = settings.modelSuffixes ? withoutSuffix(rest, settings, snapshot) : undefined
    if (meant !== undefined) return throughName(meant, rest)
    const slash = rest.indexOf("/")
    if (!settings.stripPrefixes || prefixes === mostPrefixes || slash === -1) return undefined
    rest = rest.slice(slash + 1)
    const found = rest === "" ? undefined : known(rest, settings, snapshot)
    if (found !== undefined) return throughName(found, rest)
  }
}

/** What a name leads to; nobody serves it where nothing is found. */
export const lookUpName = (name: string, settings: RoutingSettings, snapshot: Snapshot): NameTarget => {
  const end = resolveAlias(name, settings.aliases)
  const exact = asWritten(end, settings, snapshot)
  if (exact !== undefined) return end === name ? exact : { ...exact, entry: name }
  const found = inAnySpelling(end, settings, snapshot) ?? meantBy(end, settings, snapshot)
  const entry = end === name ? (found?.entry ?? name) : name
  return found === undefined ? { ...target(end, nobody, false), entry } : { ...found, understood: true, entry }
}

/** What a name is known as however it is written: the alias, the group or the listed model; itself where nobody has it. */
export const knownAs = (name: string, settings: RoutingSettings, snapshot: Snapshot): string =>
  settings.aliases.has(name) || settings.groups.has(name) || snapshot.candidates.has(name)
    ? name
    : lookUpName(name, settings, snapshot).entry

/** What may answer in the place of a model, by any of its spellings where it is called `name`. */
const fallbacksOf = (
  { name }: NameTarget,
  asked: string,
  { aliases, fallbacks }: RoutingSettings
): ReadonlyArray<string> | undefined => {
  if (fallbacks.size === 0) return undefined
  const exact = fallbacks.get(name) ?? fallbacks.get(resolveAlias(asked, aliases))
  if (exact !== undefined) return exact
  const other = spelledIn(fallbacks, name)
  return other === undefined ? undefined : fallbacks.get(other)
}

const allFor = (name: string, settings: RoutingSettings, snapshot: Snapshot): ReadonlyArray<NameTarget> => {
  const first = lookUpName(name, settings, snapshot)
  const others = fallbacksOf(first, name, settings)
  if (others === undefined) return [first]
  const all = new Map([[first.name, first]])
  for (const other of others) {
    const found = lookUpName(other, settings, snapshot)
    const next = { ...found, via: [...(first.via ?? []), other, ...(found.via ?? [])] }
    if (!all.has(next.name)) all.set(next.name, next)
  }
  return [...all.values()]
}

interface Asked {
  readonly name: string
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly targets: ReadonlyArray<NameTarget>
}

// A request asks more than once, and the next one often for the same. Settings and snapshots are never changed.
let last: Asked | undefined

/** All that may answer for a name: what it leads to, and then its fallbacks in their order, each once. */
export const nameTargets = (name: string, settings: RoutingSettings, snapshot: Snapshot): ReadonlyArray<NameTarget> => {
  if (last?.snapshot === snapshot && last.settings === settings && last.name === name) return last.targets
  const targets = allFor(name, settings, snapshot)
  last = { name, settings, snapshot, targets }
  return targets
}

// OpenRouter lists many of its models with a suffix; behind a gateway of one's own it is known by that.
const lists = new WeakMap<ReadonlyMap<string, unknown>, boolean>()

const knowsSuffixes = ({ backend, models }: Candidate["state"]): boolean => {
  if (/^https?:\/\/(?:[^/@]*\.)?openrouter\.ai(?:[:/]|$)/i.test(backend.url)) return true
  // Others have names of their own.
  if (kindNamed(backend.type).fingerprint !== undefined) return false
  const told = lists.get(models)
  if (told !== undefined) return told
  const found = [...models.keys()].some((id) => suffixed.test(id))
  lists.set(models, found)
  return found
}

/** The name a backend is asked by: the one it lists, and what OpenRouter is told behind it. */
export const upstreamName = ({ suffix }: NameTarget, { model, state }: Candidate): string =>
  suffix === "" || !knowsSuffixes(state) ? model.id : model.id + suffix
