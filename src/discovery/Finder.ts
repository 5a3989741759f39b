/**
 * Looks at one place at a time, and keeps the registry in step with what is there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import type { Backend } from "../backend/backend.ts"
import type { Limits } from "../domain/server.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { Registry } from "../registry/Registry.ts"
import { Transport } from "../upstream/Transport.ts"
import { type BackendType, plainType } from "../backend/all.ts"
import { decideAction, type DiscoveredServer, type Sighting } from "./decide.ts"
import { firstLookMs, identify } from "../health/identify.ts"
import { shortHash } from "../backend/followed.ts"
import type { Place } from "./places.ts"
import type { Machine } from "./Machine.ts"
import { hostPortOf, urlAt } from "../domain/url-host.ts"
import { isSameMachine } from "./same-machine.ts"

/** What a finder goes by, times in milliseconds. */
export interface FinderSettings {
  /** Time that a found server may be away before it is taken out. */
  readonly graceMs: number
  /** Time limits of calls to what is found. */
  readonly limits: Limits
  /** The port Nexus itself listens on; undefined while it does not. */
  readonly ownPort: number | undefined
}

const backendAt = (name: string, url: string, type: BackendType, limits: Limits): Backend => ({
  name,
  url,
  type,
  priority: 50,
  origin: "discovered",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits,
  models: []
})

/** The first of a place's URLs where an LLM server answers; undefined when none does. It is never given a key. */
const lookAt = Effect.fnUntraced(function* (transport: Transport["Service"], { urls }: Place, limits: Limits) {
  for (const url of urls) {
    const type = yield* identify(transport, backendAt("", url, plainType, limits), firstLookMs)
    if (type !== undefined) return { type, url }
  }
  return undefined
})

const nameOf = (type: BackendType, { suffix }: Place): string => `${type}-${suffix}`

/** Looks at a place once, and returns the backend that is there. */
export const lookOnce = (place: Place, limits: Limits): Effect.Effect<Backend | undefined, never, Transport> =>
  Effect.gen(function* () {
    const seen = yield* lookAt(yield* Transport, place, limits)
    return seen === undefined ? undefined : backendAt(nameOf(seen.type, place), seen.url, seen.type, limits)
  })

/** Whether a URL leads to one of the backends, or to Nexus' own port. */
export const leadsToKnown = Effect.fnUntraced(function* (
  { locate }: Machine,
  url: string,
  backends: ReadonlyArray<Backend>,
  ownPort: number | undefined
) {
  const endpoint = hostPortOf(url)
  if (endpoint === undefined) return false
  const others = backends.flatMap((each) => {
    const other = hostPortOf(each.address === undefined ? each.url : urlAt(each.url, each.address))
    return other?.port === endpoint.port ? [other.host] : []
  })
  if (others.includes(endpoint.host)) return true
  // Names are only resolved where the port is the same.
  if (others.length === 0 && endpoint.port !== ownPort) return false
  const here = yield* locate(endpoint.host)
  if (endpoint.port === ownPort && here.own) return true
  for (const host of others) if (isSameMachine(here, yield* locate(host))) return true
  return false
})

const yielded = "backend is in the config, the discovered one removed"

/** The finder over the registry. */
export const makeFinder = Effect.fnUntraced(function* (settings: FinderSettings, surroundings: Machine) {
  const registry = yield* Registry
  const transport = yield* Transport
  const lock = yield* Semaphore.make(1)
  const all = yield* Ref.make<ReadonlyMap<string, DiscoveredServer>>(new Map())
  const unclaimedSince = new Map<string, number>()

  const stateOf = (name: string) => registry.snapshot().backends.get(name)
  const backends = () => [...registry.snapshot().backends.values()].map(({ backend }) => backend)
  const fixed = () => backends().filter(({ origin }) => origin !== "discovered")
  const set = (id: string, found: DiscoveredServer) => Ref.update(all, (before) => new Map(before).set(id, found))
  const forget = (id: string) => Ref.update(all, (before) => new Map([...before].filter(([each]) => each !== id)))

  const unclaimed = () => {
    const claimed = new Set([...Ref.getUnsafe(all).values()].map(({ name }) => name))
    return backends().filter(({ name, origin }) => origin === "discovered" && !claimed.has(name))
  }

  /** What was found at a place: by this finder, or by one before it. */
  const claimOf = ({ id, urls }: Pick<Place, "id" | "urls">): DiscoveredServer | undefined => {
    const mine = Ref.getUnsafe(all).get(id)
    if (mine !== undefined && stateOf(mine.name)?.backend.origin === "discovered") return mine
    const left = unclaimed().find(({ url }) => urls.includes(url))
    return left === undefined ? undefined : { name: left.name, type: left.type, url: left.url, awaySince: undefined }
  }

  const isTaken = (urls: ReadonlyArray<string>, others: ReadonlyArray<Backend>) =>
    Effect.map(
      Effect.findFirst(urls, (url) => leadsToKnown(surroundings, url, others, settings.ownPort)),
      Option.isSome
    )

  const see = Effect.fnUntraced(function* (place: Place): Effect.fn.Return<Sighting> {
    const mine = claimOf(place)
    const taken = mine === undefined ? isTaken(place.urls, backends()) : isTaken([mine.url], fixed())
    if (yield* taken) return { _tag: "Taken" }
    const state = mine === undefined ? undefined : stateOf(mine.name)
    // One that an administrator has taken out of use is left as it is.
    if (state !== undefined && state.mode !== "enabled") return { _tag: "Well" }
    if (place.withdrawn) return { _tag: "Withdrawn" }
    // Health probes look after what is registered; only one that is down is looked at again.
    const well = state !== undefined && state.health.status !== "unhealthy"
    if (mine !== undefined && well && place.urls.includes(mine.url)) return { _tag: "Well" }
    const seen = yield* lookAt(transport, place, settings.limits)
    return seen === undefined ? { _tag: well ? "Well" : "Nothing" } : { _tag: "Answers", ...seen }
  })

  const add = Effect.fnUntraced(function* (place: Place, type: BackendType, url: string) {
    const plain = nameOf(type, place)
    const free = [plain, `${plain}-found`].find((name) => stateOf(name) === undefined)
    const name = free ?? `${plain}-${shortHash(place.id)}`
    yield* registry.put(backendAt(name, url, type, settings.limits))
    yield* set(place.id, { name, type, url, awaySince: undefined })
    yield* Effect.annotateLogs(Effect.logInfo("backend found"), { backend: name, type, url })
  })

  // The config may have taken over the name with the server: then that one stays.
  const drop = (id: string, name: string, why: string) =>
    Effect.suspend(() => (stateOf(name)?.backend.origin === "discovered" ? registry.remove(name) : Effect.void)).pipe(
      Effect.andThen(forget(id)),
      Effect.andThen(Effect.annotateLogs(Effect.logInfo(why), { backend: name }))
    )

  const move = Effect.fnUntraced(function* (id: string, found: DiscoveredServer, url: string) {
    yield* registry.put(backendAt(found.name, url, found.type, settings.limits))
    yield* set(id, { ...found, url, awaySince: undefined })
    const about = { backend: found.name, from: found.url, url }
    yield* Effect.annotateLogs(Effect.logInfo("backend has moved"), about)
  })

  const settle = Effect.fnUntraced(function* (place: Place, sight: Sighting) {
    const mine = claimOf(place)
    const now = yield* monotonicMs
    const { deed, awaySince } = decideAction(mine, sight, now, settings.graceMs)
    if (mine === undefined) {
      // Another place may have led to it meanwhile.
      if (deed._tag === "Add" && !(yield* isTaken([deed.url], backends()))) yield* add(place, deed.type, deed.url)
      return
    }
    // What an earlier finder found goes by the settings of this one.
    if (!Ref.getUnsafe(all).has(place.id)) {
      yield* registry.put(backendAt(mine.name, mine.url, mine.type, settings.limits))
    }
    yield* set(place.id, { ...mine, awaySince })
    switch (deed._tag) {
      case "Probe":
        return registry.suspect(mine.name)
      case "Move":
        return yield* move(place.id, mine, deed.url)
      case "Replace":
        yield* drop(place.id, mine.name, "another server answers there now")
        return yield* add(place, deed.type, deed.url)
      case "Drop":
        return yield* drop(place.id, mine.name, deed.why === "taken" ? yielded : "backend has gone, removed")
      default:
        return
    }
  })

  return {
    /** Looks at a place, and does what follows from it. */
    visit: (place: Place) => Effect.flatMap(see(place), (sight) => lock.withPermits(1)(settle(place, sight))),
    claimOf,
    /** What was found, by the identity of its place. */
    found: () => Ref.getUnsafe(all),
    /** Takes out what the config has come to name. */
    yieldToConfig: lock.withPermits(1)(
      Effect.suspend(() =>
        Effect.forEach(
          Ref.getUnsafe(all),
          ([id, { name, url }]) =>
            Effect.flatMap(isTaken([url], fixed()), (taken) => (taken ? drop(id, name, yielded) : Effect.void)),
          { discard: true }
        )
      )
    ),
    /** Takes out what an earlier finder found and no place has led to within the grace. */
    sweepUnclaimed: lock.withPermits(1)(
      Effect.gen(function* () {
        const now = yield* monotonicMs
        const left = unclaimed().map(({ name }) => name)
        for (const name of unclaimedSince.keys()) if (!left.includes(name)) unclaimedSince.delete(name)
        for (const name of left) {
          const since = unclaimedSince.get(name) ?? now
          unclaimedSince.set(name, since)
          if (now - since >= settings.graceMs) yield* drop("", name, "backend is no longer looked for, removed")
        }
      })
    )
  }
})
