/**
 * Discovery over a fake world: what runs where, what names mean, what is heard by mDNS, and what was logged.
 */
import { Effect, Layer, Logger, Queue } from "effect"
import { type DiscoverySettings, layerOf } from "../../src/discovery/Discovery.ts"
import type { Machine } from "../../src/discovery/Machine.ts"
import { isLocalName } from "../../src/domain/url-host.ts"
import { isAddress, type HostIdentity } from "../../src/discovery/same-machine.ts"
import type { ReceivedPacket, MdnsLink, OpenLink, SentRecord } from "../../src/discovery/mdns/Link.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { type Canned, FakeWorld } from "../health/fake.ts"

/** Time limits of what is found. */
export const limits = { connectMs: 5000, firstByteMs: 0, idleMs: 0, totalMs: 0 }

/** The answers of an Ollama without models. */
export const ollama = {
  "/v1/models": { json: { object: "list", data: null } },
  "/api/version": { json: { version: "0.9" } }
}

/** A list of one model, as a server of this owner gives it. */
export const openai = (owner: string, id = "m"): Canned => ({
  json: { data: [{ id, object: "model", owned_by: owner }] }
})

/** A machine where these names resolve to these addresses, and `own` are its own. */
export const resolving = (
  names: Readonly<Record<string, ReadonlyArray<string>>>,
  own: ReadonlyArray<string> = [],
  inContainer = false
): Machine => ({
  inContainer,
  locate: (host) => {
    const addresses = isAddress(host) ? [host] : (names[host] ?? [])
    const found: HostIdentity = { own: isLocalName(host) || addresses.some((each) => own.includes(each)), addresses }
    return Effect.succeed(found)
  }
})

/** A machine that knows no other. */
export const nowhere = resolving({})

/** A network that carries what a test says; this machine is 10.0.0.1 in 10.0.0.0/8. */
export class FakeLink {
  readonly asked: Array<string> = []
  readonly said: Array<ReadonlyArray<SentRecord>> = []
  private readonly packets = Effect.runSync(Queue.unbounded<ReceivedPacket>())

  /** Lets a packet be heard. */
  hear(packet: Partial<ReceivedPacket>): void {
    Queue.offerUnsafe(this.packets, { questions: [], records: [], isResponse: true, from: "10.0.0.5", ...packet })
  }

  readonly link: MdnsLink = {
    addresses: ["10.0.0.1"],
    isOwn: (address) => address.startsWith("127.") || address === "10.0.0.1",
    isNear: (address) => address.startsWith("10."),
    isOutdated: () => false,
    next: Queue.take(this.packets),
    query: (questions) =>
      Effect.sync(() => {
        this.asked.push(...questions.map(({ name, type }) => `${name} ${type}`))
      }),
    respond: (records) =>
      Effect.sync(() => {
        this.said.push(records)
      })
  }

  readonly open: OpenLink = () => Effect.succeed(this.link)
}

/** What a test has at hand. */
export interface Stage {
  readonly world: FakeWorld
  readonly registry: Registry["Service"]
  readonly names: () => ReadonlyArray<string>
  readonly urls: () => ReadonlyArray<string>
  readonly log: ReadonlyArray<string>
}

/** Discovery with these settings, after `prepare` has set the scene. */
export const stagedWith =
  (
    settings: Partial<DiscoverySettings>,
    prepare: (stage: Stage) => Effect.Effect<void>,
    body: (stage: Stage) => Effect.Effect<void>
  ) =>
  () =>
    Effect.suspend(() => {
      const world = new FakeWorld()
      const log: Array<string> = []
      const Base = Layer.mergeAll(
        Registry.layer(() => ({ failures: 1, recoveries: 1 })),
        Transport.layerOf(world.transport),
        Logger.layer([Logger.make(({ message }) => void log.push([message].flat().join(" ")))])
      )
      const stage = (registry: Registry["Service"]): Stage => ({
        world,
        registry,
        names: () => [...registry.snapshot().backends.keys()],
        urls: () => [...registry.snapshot().backends.values()].map(({ backend }) => backend.url),
        log
      })
      const discovery = layerOf({
        intervalMs: 15_000,
        graceMs: 60_000,
        limits,
        ownPort: 7009,
        ports: [],
        hosts: [],
        mdns: undefined,
        surroundings: nowhere,
        ...settings
      })
      return Registry.use((registry) => prepare(stage(registry))).pipe(
        Effect.andThen(Registry.use((registry) => body(stage(registry))).pipe(Effect.provide(discovery))),
        Effect.provide(Base)
      )
    })
