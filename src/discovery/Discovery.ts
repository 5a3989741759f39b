/**
 * Finds LLM servers: on the well-known ports of this machine and of named hosts, and by what announces itself.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import { defaultLimits } from "../config/compile.ts"
import { type HostEntry, readHost } from "../config/hosts.ts"
import { type LoadedConfig, NexusConfig } from "../config/NexusConfig.ts"
import type { Backend } from "../backend/backend.ts"
import { llmType } from "./mdns/announcement.ts"
import { browse } from "./mdns/Browser.ts"
import { openLink, type OpenLink } from "./mdns/Link.ts"
import { Registry } from "../registry/Registry.ts"
import { OpenFiles } from "../upstream/OpenFiles.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type FinderSettings, leadsToKnown, lookOnce, makeFinder } from "./Finder.ts"
import { mdnsServiceTypes, wellKnownPorts } from "../backend/all.ts"
import { advertPlace, containerHosts, hostPlaces, localPlaces, type Place } from "./places.ts"
import { realMachine, type Machine } from "./Machine.ts"
import { bareHost } from "../domain/url-host.ts"

/** What is looked for by mDNS. */
interface MdnsSettings {
  /** Service types in lower case, such as `_llm._tcp`. */
  readonly types: ReadonlyArray<string>
  /** The interface, by name or IPv4 address; all but loopback when undefined. */
  readonly interface: string | undefined
}

/** How discovery works, times in milliseconds. */
export interface DiscoverySettings extends FinderSettings {
  readonly intervalMs: number
  /** Machines to look at besides this one. */
  readonly hosts: ReadonlyArray<HostEntry>
  /** Undefined when nothing is looked for by mDNS. */
  readonly mdns: MdnsSettings | undefined
  /** {@link wellKnownPorts} when absent. */
  readonly ports?: ReadonlyArray<number>
  /** The real ones when absent. */
  readonly surroundings?: Machine
  /** The real network when absent. */
  readonly open?: OpenLink
}

/** The start waits no longer than this for the first look, in milliseconds. */
const firstLookMs = 1500

/** Places that are looked at at a time, for each of the three ways of finding. */
const atATime = 16

/** Announcements that come in quick succession are looked at together. */
const gatherFor = "1 second"

const around = ({ surroundings }: Pick<DiscoverySettings, "surroundings">): Effect.Effect<Machine> =>
  surroundings === undefined ? realMachine : Effect.succeed(surroundings)

const portsOf = ({ ports, ownPort }: Pick<DiscoverySettings, "ports" | "ownPort">) => {
  const all = ports ?? wellKnownPorts
  return { all, local: all.filter((port) => port !== ownPort) }
}

/** What {@link findOnce} goes by. */
type LookSettings = Pick<DiscoverySettings, "limits" | "ownPort" | "ports" | "surroundings"> & {
  readonly hosts?: ReadonlyArray<HostEntry>
  /** Backends that are known, which are not to be found again. */
  readonly known?: ReadonlyArray<Backend>
}

/** Looks once at every port but Nexus' own, and returns what was found there, in the order of the places. */
export const findOnce = (settings: LookSettings): Effect.Effect<ReadonlyArray<Backend>, never, Transport> =>
  Effect.gen(function* () {
    const surroundings = yield* around(settings)
    const { all, local } = portsOf(settings)
    const hosts = [...(settings.hosts ?? []), ...(surroundings.inContainer ? containerHosts : [])]
    const places = [...localPlaces(local), ...hosts.flatMap((host) => hostPlaces(host, all))]
    const looked = yield* Effect.forEach(places, (place) => lookOnce(place, settings.limits), { concurrency: atATime })
    const found: Array<Backend> = []
    for (const backend of looked) {
      if (backend === undefined) continue
      const known = [...(settings.known ?? []), ...found]
      if (!(yield* leadsToKnown(surroundings, backend.url, known, settings.ownPort))) found.push(backend)
    }
    return found
  })

const make = (settings: DiscoverySettings) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const files = yield* OpenFiles
    const surroundings = yield* around(settings)
    const finder = yield* makeFinder(settings, surroundings)
    const { all, local } = portsOf(settings)
    const unresolved = new Set<string>()

    const guarded = (round: Effect.Effect<void>) =>
      Effect.catchCause(round, (cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
        return files.spent() ? Effect.void : Effect.logError("discovery failed", cause)
      })

    const visitAll = (places: ReadonlyArray<Place>) =>
      Effect.forEach(places, finder.visit, { concurrency: atATime, discard: true })

    // Runs a round now and after each pause; what it returns resolves when the first one has ended.
    const rounds = Effect.fnUntraced(function* (round: Effect.Effect<void>, pause: Effect.Effect<void>) {
      const first = yield* Latch.make(false)
      // Without files nobody can be asked.
      const look = Effect.suspend(() => (files.full() ? Effect.void : guarded(round)))
      yield* look.pipe(Effect.andThen(first.open), Effect.andThen(pause), Effect.forever, Effect.forkScoped)
      return first.await
    })

    // A name that does not resolve is told of once, until it does; one that nobody named is not told of.
    const placesOf = Effect.fnUntraced(function* (entry: HostEntry, isNamed: boolean) {
      const { own, addresses } = yield* surroundings.locate(bareHost(entry.host))
      const places = hostPlaces(entry, all)
      if (own || addresses.length > 0) {
        unresolved.delete(entry.host)
        return places
      }
      if (isNamed && !unresolved.has(entry.host)) {
        unresolved.add(entry.host)
        yield* Effect.annotateLogs(Effect.logWarning("host of [discovery] does not resolve"), { host: entry.host })
      }
      return places.filter((place) => finder.claimOf(place) !== undefined)
    })

    const named = settings.hosts.map((entry) => ({ entry, isNamed: true }))
    const unnamed = surroundings.inContainer ? containerHosts.map((entry) => ({ entry, isNamed: false })) : []
    const lookAtHosts = Effect.forEach([...named, ...unnamed], ({ entry, isNamed }) => placesOf(entry, isNamed), {
      concurrency: atATime
    }).pipe(Effect.flatMap((places) => visitAll(places.flat())))

    const news = yield* registry.follow
    yield* PubSub.take(news).pipe(
      Effect.flatMap((change) =>
        change._tag === "Put" && change.backend.origin !== "discovered" ? guarded(finder.yieldToConfig) : Effect.void
      ),
      Effect.forever,
      Effect.forkScoped
    )

    const interval = Effect.sleep(settings.intervalMs)
    const ofPorts = yield* rounds(Effect.andThen(visitAll(localPlaces(local)), finder.sweepUnclaimed), interval)
    // After the first look at the ports, so that what is reached both ways is named for its port each time.
    const ofHosts =
      named.length + unnamed.length === 0 ? Effect.void : yield* rounds(Effect.andThen(ofPorts, lookAtHosts), interval)

    if (settings.mdns !== undefined) {
      const { adverts, changed } = yield* browse({ ...settings.mdns, open: settings.open ?? openLink })
      const lookAtAdverts = Effect.gen(function* () {
        const heard = (yield* adverts).map((advert) => ({ advert, place: advertPlace(advert) }))
        const places = heard.flatMap(({ advert, place }) =>
          advert.state === "live" || finder.claimOf(place) !== undefined ? [place] : []
        )
        const ids = new Set(places.map(({ id }) => id))
        // What is no longer known by mDNS stays as long as it answers where it was.
        const lost = [...finder.found()].flatMap(([id, { url }]) =>
          id.startsWith("mdns ") && !ids.has(id) ? [{ id, suffix: "", urls: [url], withdrawn: false }] : []
        )
        yield* visitAll([...places, ...lost])
      })
      const pause = Effect.andThen(Effect.sleep(gatherFor), Effect.race(changed, interval))
      yield* Effect.asVoid(rounds(lookAtAdverts, pause))
    }

    yield* Effect.timeoutOption(Effect.andThen(ofPorts, ofHosts), firstLookMs)
  })

/**
 * Looks now (built once that first look has ended, or taken too long) and then every interval, until the scope closes.
 * What was found stays in the registry then; when it is built anew, it takes over what it finds there.
 */
export const layerOf = (settings: DiscoverySettings): Layer.Layer<never, never, Registry | Transport> =>
  Layer.effectDiscard(make(settings))

/** The machines that the config names. */
export const hostsOf = ({ settings }: LoadedConfig): ReadonlyArray<HostEntry> =>
  settings.discovery.hosts.flatMap((text) => {
    const read = readHost(text)
    return Result.isSuccess(read) ? [read.success] : []
  })

const mdnsOf = ({ settings: { discovery } }: LoadedConfig): MdnsSettings | undefined =>
  discovery.mdns
    ? {
        types: [...new Set([...mdnsServiceTypes, llmType, ...discovery.mdns_types.map((type) => type.toLowerCase())])],
        interface: discovery.mdns_interface
      }
    : undefined

/** The search as the config asks for it at the moment; `ownPort` is the port Nexus listens on, if it does. */
export const layer = (options: {
  readonly ownPort: number | undefined
}): Layer.Layer<never, never, NexusConfig | Registry | Transport> =>
  Layer.unwrap(
    NexusConfig.useSync(({ current }) => {
      const loaded = current()
      const { discovery } = loaded.settings
      return layerOf({
        intervalMs: discovery.interval_seconds * 1000,
        graceMs: discovery.grace_seconds * 1000,
        limits: defaultLimits(loaded.settings),
        ownPort: options.ownPort,
        hosts: hostsOf(loaded),
        mdns: mdnsOf(loaded)
      })
    })
  )
