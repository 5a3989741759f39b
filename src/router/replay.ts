/**
 * What would have become of a request under another config: its decision made anew, by the figures that were noted at the first.
 */
import type { Backend } from "../backend/backend.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import type { RoutingSettings, Ruling } from "../domain/routing.ts"
import { newLiveState, standingOf } from "../registry/live-state.ts"
import { reconcile } from "../registry/snapshot-changes.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { aliasChain } from "./alias-chains.ts"
import { type LiveFigures, withFigures } from "./live-figures.ts"
import { lookUpName, type NameTarget } from "./names.ts"
import type { Attempt } from "./choice.ts"
import { Plan } from "./plan.ts"
import { headersFor, ruledSettings, type RuledRequest, rulingFor, unitOf } from "./route-table.ts"
import { targetsFor } from "./rule-targets.ts"

/** What of a config decides where requests go. */
export interface ReplayConfig {
  readonly routing: RoutingSettings
  readonly backends: ReadonlyArray<Backend>
}

/** Who would be asked first, and by which rule. */
interface ReplayChoice {
  readonly backend: string
  readonly model: string
  readonly rule: string | null
  readonly canary: boolean
}

/** A decision before and after; null where nobody could be asked at once. */
export interface ReplayedDecision {
  readonly before: ReplayChoice | null
  readonly after: ReplayChoice | null
  /** Whether it would wait for a slot. */
  readonly waits: { readonly before: boolean; readonly after: boolean }
  readonly changed: boolean
  /** What cannot be known of it. */
  readonly unknown: ReadonlyArray<string>
}

/** What was decided, and what is kept of the request. */
export interface Remembered {
  readonly plan: Plan
  readonly seen: LiveFigures
  readonly id: string
  readonly key: string | undefined
  /** When it came, in milliseconds since 1970. */
  readonly at: number
}

/** The same server as before, as another config has it: what was known of it still holds. */
const asBefore = (backend: Backend, { apiKey, query, tls, type, url }: Backend): Backend => {
  const { query: _, tls: __, ...own } = backend
  return {
    ...own,
    url,
    type,
    apiKey,
    ...(query === undefined ? {} : { query }),
    ...(tls === undefined ? {} : { tls })
  }
}

const isWell: ProbeOutcome = { _tag: "Up", models: undefined, latencyMs: 0 }

/** A snapshot as it would have been with these backends; a new one serves what the config tells of it. */
const withBackends = (snapshot: Snapshot, backends: ReadonlyArray<Backend>): Snapshot => {
  const wanted = backends.map((backend) => {
    const before = snapshot.backends.get(backend.name)?.backend
    return before === undefined ? backend : asBefore(backend, before)
  })
  const fresh = backends.filter(({ models, name }) => models.length > 0 && !snapshot.backends.has(name))
  const found = new Map(fresh.map(({ name }) => [name, isWell]))
  return reconcile(snapshot, wanted, found, { failures: 1, recoveries: 1 }).snapshot
}

const toldFields = ["context_length", "max_output_tokens", "slots"] as const

/** The models of which an earlier config tells something that a later one says nothing of. */
const untold = (before: Backend, after: Backend): ReadonlyArray<string> =>
  before.models.flatMap((told) => {
    const { capabilities = {}, ...own } = after.models.find(({ id }) => id === told.id) ?? {}
    const isMissing =
      toldFields.some((field) => told[field] !== undefined && !(field in own)) ||
      Object.keys(told.capabilities).some((ability) => !(ability in capabilities))
    return isMissing || !("id" in own) ? [told.id] : []
  })

const notesOf = (backend: Backend, before: Backend | undefined): ReadonlyArray<string> => {
  const { models, name } = backend
  if (before === undefined) {
    return models.length === 0
      ? [`${name} is new: what it serves is not known, so no request goes there`]
      : [`${name} is new: it is taken to be well, and to serve ${listed(models.map(({ id }) => id))} alone`]
  }
  const left = untold(before, backend)
  return [
    ...(before.url !== backend.url || before.type !== backend.type
      ? [`${name} is another server: it is taken to be like the one before it`]
      : []),
    ...(left.length === 0
      ? []
      : [
          `the config no longer tells all that it told of ${listed(left)} at ${name}: that still holds, since what the server says is not known`
        ])
  ]
}

const mostNamed = 5

const listed = (names: ReadonlyArray<string>): string =>
  names.length <= mostNamed
    ? names.join(", ")
    : `${names.slice(0, mostNamed).join(", ")} and ${names.length - mostNamed} more`

const choiceOf = (attempt: Attempt | undefined): ReplayChoice | null =>
  attempt === undefined
    ? null
    : {
        backend: attempt.candidate.state.backend.name,
        model: attempt.model,
        rule: attempt.ruling?.rule?.name ?? null,
        canary: attempt.ruling?.canary ?? false
      }

const isSame = (a: ReplayChoice | null, b: ReplayChoice | null): boolean =>
  a?.backend === b?.backend && a?.model === b?.model && a?.rule === b?.rule && a?.canary === b?.canary

/** Makes decisions anew under a config; what is the same for many of them is made once. */
export class Replay {
  private readonly config: ReplayConfig
  private last: { readonly of: Snapshot; readonly made: Snapshot } | undefined

  constructor(config: ReplayConfig) {
    this.config = config
  }

  /** What cannot be known of any request. */
  notes(snapshot: Snapshot): ReadonlyArray<string> {
    return this.config.backends.flatMap((backend) => notesOf(backend, snapshot.backends.get(backend.name)?.backend))
  }

  /** A decision before and after. */
  of(remembered: Remembered): ReplayedDecision {
    const { plan, seen } = remembered
    const { needs } = plan
    const { routing } = this.config
    const snapshot = this.snapshotFor(plan.snapshot)
    const ruling = this.rulingOf(remembered, snapshot)
    const settings = ruledSettings(routing, ruling?.rule)
    const { targets, unseen } = asSeen(plan, seen, targetsFor(needs, ruling, settings, snapshot))
    const drawn = [...plan.drawn]
    const random = () => drawn.shift() ?? 0.5
    const anew = new Plan(needs, settings, snapshot, { turn: plan.turn, random }, seen.now, ruling, targets)
    const again = plan.replay(seen)
    const before = choiceOf(again.next(seen.now))
    const after = choiceOf(anew.next(seen.now))
    // Who has nobody to ask, and is not refused, waits.
    const waits = {
      before: before === null && again.hasNext(seen.now),
      after: after === null && anew.hasNext(seen.now)
    }
    const unknown = [...unkept(remembered, ruling), ...unseen]
    return { before, after, waits, changed: !isSame(before, after) || waits.before !== waits.after, unknown }
  }

  private snapshotFor(snapshot: Snapshot): Snapshot {
    if (this.last?.of !== snapshot) this.last = { of: snapshot, made: withBackends(snapshot, this.config.backends) }
    return this.last.made
  }

  private rulingOf({ at, id, key, plan }: Remembered, snapshot: Snapshot): Ruling | undefined {
    const { routing } = this.config
    if (routing.rules.length === 0) return undefined
    const { needs, ruling } = plan
    const names = [...aliasChain(needs.model, routing.aliases), lookUpName(needs.model, routing, snapshot).name]
    const kept = new Map(ruling?.headers ?? [])
    const header = (name: string) => kept.get(name) ?? null
    const request: RuledRequest = { id, key, request: { headers: { get: header } } }
    return rulingFor(
      routing.rules,
      { needs, names, key, header, at },
      ruling?.unit ?? unitOf(request, routing.sessionHeaders)
    )
  }
}

/** Facts that a rule asks for and that nobody kept. */
const unkept = ({ plan }: Remembered, ruling: Ruling | undefined): ReadonlyArray<string> => {
  if (ruling === undefined) return []
  const kept = new Set(plan.ruling === undefined ? [] : headersFor(plan.ruling.rules))
  const headers = ruling.misses.flatMap((miss, at) =>
    miss === "headers"
      ? (ruling.rules[at]?.match.headers ?? []).flatMap(([name]) => (kept.has(name) ? [] : [name]))
      : []
  )
  const canary = ruling.rule?.canary
  return [
    ...[...new Set(headers)].map((name) => `its header ${name} was not kept, and is taken not to be there`),
    ...(canary?.by === "session" && plan.ruling === undefined
      ? ["its session was not kept, and it is drawn by its id"]
      : [])
  ]
}

const idOf = ({ model, state }: Candidate): string => JSON.stringify([state.backend.name, model.id])

/** Has what was noted of a server hold for other slots, by all that it was at work on. */
const refit = ({ model: before, state: { live } }: Candidate, { model: { slots } }: Candidate): void => {
  const standing = standingOf(live, before.id)
  if (slots === undefined || slots === before.slots || standing.recalled === undefined) return
  const isFull = live.inFlight + live.siblings.inFlight >= slots
  standing.recalled = { ...standing.recalled, places: slots, isFull }
}

/** The same targets with the figures that were noted then; those of a backend for another of its models are taken for it. */
const asSeen = (
  { targets: before }: Plan,
  seen: LiveFigures,
  targets: ReadonlyArray<NameTarget>
): { readonly targets: ReadonlyArray<NameTarget>; readonly unseen: ReadonlyArray<string> } => {
  const noted = withFigures(before, seen).flat()
  const byModel = new Map(noted.map((each) => [idOf(each), each]))
  const byBackend = new Map(noted.map(({ state }) => [state.backend.name, state.live]))
  const unseen = new Set<string>()
  const placed = targets.map(({ candidates, ...target }): NameTarget => {
    const list = candidates.map((candidate): Candidate => {
      const { backend } = candidate.state
      const same = byModel.get(idOf(candidate))
      if (same !== undefined) refit(same, candidate)
      const live = same?.state.live ?? byBackend.get(backend.name)
      if (live === undefined) unseen.add(backend.name)
      return { model: candidate.model, state: { ...candidate.state, live: live ?? newLiveState() } }
    })
    return { ...target, candidates: list }
  })
  const words = [...unseen].map((name) => `how busy and how fast ${name} was then was not noted`)
  return { targets: placed, unseen: words }
}
