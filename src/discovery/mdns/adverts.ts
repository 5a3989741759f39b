/**
 * What servers on the network say of themselves by mDNS, put together from the records of many packets, within bounds.
 */
import type { DnsRecord } from "./records.ts"

interface Instance {
  /** Its full name in lower case. */
  readonly key: string
  /** As it was written, without the type. */
  readonly label: string
  readonly pointedUntil: number
  readonly withdrawn: boolean
  readonly service: { readonly host: string; readonly port: number; readonly until: number } | undefined
  readonly text: ReadonlyMap<string, string>
}

interface Address {
  readonly heardAt: number
  readonly until: number
}

/** All that is known; times are monotonic milliseconds. */
export interface Adverts {
  readonly instances: ReadonlyMap<string, Instance>
  /** Addresses by host. */
  readonly addresses: ReadonlyMap<string, ReadonlyMap<string, Address>>
}

/** A server that announces itself, or did. */
export interface Advert {
  /** Identity, the same whatever its address is. */
  readonly key: string
  readonly label: string
  readonly addresses: ReadonlyArray<string>
  readonly port: number
  /** Path of its base URL as it says, without a trailing slash or `/v1`; empty when it says none that can be one. */
  readonly path: string
  /** Announced; no longer heard of; taken back by itself. */
  readonly state: "live" | "silent" | "withdrawn"
}

/** What to go by when packets are taken in. */
export interface AdvertTerms {
  readonly now: number
  /** Service types in lower case, such as `_llm._tcp`. */
  readonly types: ReadonlyArray<string>
  /** Whether an address may be called at all. */
  readonly isUsable: (address: string) => boolean
}

/** Instances that are remembered at a time. */
export const mostInstances = 64

/** Addresses of one host. */
export const mostAddresses = 4

/** Nothing known. */
export const noAdverts: Adverts = { instances: new Map(), addresses: new Map() }

// Makes room by forgetting one that is no longer announced.
const withRoom = (instances: Map<string, Instance>, now: number): boolean => {
  if (instances.size < mostInstances) return true
  const dead = [...instances.values()].find((each) => each.withdrawn || now >= each.pointedUntil)
  return dead !== undefined && instances.delete(dead.key)
}

const point = (instances: Map<string, Instance>, record: DnsRecord & { _tag: "Pointer" }, terms: AdvertTerms): void => {
  const type = terms.types.find((each) => record.name === `${each}.local`)
  if (type === undefined || !record.to.endsWith(`.${type}.local`)) return
  const label = record.written.slice(0, record.to.length - `.${type}.local`.length)
  if (label === "" || new TextEncoder().encode(label).length > 63) return
  const known = instances.get(record.to)
  if (record.ttlMs === 0) {
    if (known !== undefined) instances.set(record.to, { ...known, withdrawn: true })
    return
  }
  if (known === undefined && !withRoom(instances, terms.now)) return
  const news = { pointedUntil: terms.now + record.ttlMs, withdrawn: false }
  const nothing = { key: record.to, label, service: undefined, text: new Map<string, string>() }
  instances.set(record.to, { ...(known ?? nothing), ...news })
}

const locate = (instances: Map<string, Instance>, record: DnsRecord, now: number): void => {
  const known = instances.get(record.name)
  if (known === undefined) return
  if (record._tag === "Text" && record.ttlMs > 0) instances.set(record.name, { ...known, text: record.entries })
  if (record._tag !== "Service") return
  const service = { host: record.host, port: record.port, until: now + record.ttlMs }
  instances.set(record.name, record.ttlMs === 0 ? { ...known, withdrawn: true } : { ...known, service })
}

const address = (
  addresses: Map<string, ReadonlyMap<string, Address>>,
  record: DnsRecord & { _tag: "Address" },
  { now, isUsable }: AdvertTerms
): void => {
  const before = addresses.get(record.name) ?? new Map<string, Address>()
  if (record.ttlMs === 0) {
    // It stays known: it is where a server was that has taken itself back.
    const known = before.get(record.address)
    if (known !== undefined) addresses.set(record.name, new Map(before).set(record.address, { ...known, until: now }))
    return
  }
  // What replaces leaves alone what was heard within the last second: one announcement may take several packets.
  const kept = [...before].filter(
    ([each, { heardAt }]) => each !== record.address && !(record.flush && now - heardAt > 1000)
  )
  const news: ReadonlyArray<readonly [string, Address]> = isUsable(record.address)
    ? [[record.address, { heardAt: now, until: now + record.ttlMs }]]
    : []
  addresses.set(record.name, new Map([...kept, ...news].slice(-mostAddresses)))
}

/** Takes in the records of a packet; the very same value when none of them concerns what is looked for. */
export const addRecords = (adverts: Adverts, records: ReadonlyArray<DnsRecord>, terms: AdvertTerms): Adverts => {
  const instances = new Map(adverts.instances)
  for (const record of records) if (record._tag === "Pointer") point(instances, record, terms)
  for (const record of records) locate(instances, record, terms.now)
  const hosts = new Set([...instances.values()].flatMap(({ service }) => (service === undefined ? [] : [service.host])))
  const concerns = (record: DnsRecord): boolean =>
    instances.has(record._tag === "Pointer" ? record.to : record.name) || hosts.has(record.name)
  if (!records.some(concerns)) return adverts
  const addresses = new Map([...adverts.addresses].filter(([host]) => hosts.has(host)))
  for (const record of records) {
    if (record._tag === "Address" && hosts.has(record.name)) address(addresses, record, terms)
  }
  return { instances, addresses }
}

/** The path of a base URL that a server hints at; empty when it cannot be one. */
export const basePath = (text: ReadonlyMap<string, string>): string => {
  const hint = text.get("path") ?? text.get("api_path") ?? ""
  if (!/^\/[A-Za-z0-9._~/-]{0,63}$/.test(hint) || /\/\/|\/\.{1,2}(\/|$)/.test(hint)) return ""
  return hint.replace(/\/+$/, "").replace(/\/v1$/, "")
}

// IPv4 first; within a family in the order of their digits, so that the choice is the same each time.
const preferred = (a: string, b: string): number =>
  Number(a.includes(":")) - Number(b.includes(":")) || (a < b ? -1 : Number(a > b))

/** The servers that can be called or could be; none that says it is a Nexus. */
export const advertsOf = ({ instances, addresses }: Adverts, now: number): ReadonlyArray<Advert> =>
  [...instances.values()].flatMap(({ key, label, service, text, withdrawn, pointedUntil }) => {
    if (service === undefined || text.get("type")?.toLowerCase() === "nexus") return []
    const all = [...(addresses.get(service.host) ?? new Map<string, Address>())]
    if (all.length === 0) return []
    const fresh = all.filter(([, { until }]) => now < until)
    const isLive = now < pointedUntil && now < service.until && fresh.length > 0
    return [
      {
        key,
        label,
        addresses: (fresh.length > 0 ? fresh : all).map(([each]) => each).sort(preferred),
        port: service.port,
        path: basePath(text),
        state: withdrawn ? "withdrawn" : isLive ? "live" : "silent"
      }
    ]
  })

/** A question to the network. */
export interface DnsQuestion {
  readonly name: string
  readonly type: "PTR" | "SRV" | "TXT" | "A" | "AAAA" | "ANY"
}

/** What to ask now: who is there, and what is missing or has grown old of those that were announced. */
export const questionsOf = (
  { instances, addresses }: Adverts,
  types: ReadonlyArray<string>,
  now: number
): ReadonlyArray<DnsQuestion> => {
  const missing = [...instances.values()].flatMap((instance): ReadonlyArray<DnsQuestion> => {
    if (instance.withdrawn || now >= instance.pointedUntil) return []
    const { key: name, service } = instance
    if (service === undefined || now >= service.until) {
      return [
        { name, type: "SRV" },
        { name, type: "TXT" }
      ]
    }
    const known = [...(addresses.get(service.host)?.values() ?? [])]
    return known.some(({ until }) => now < until)
      ? []
      : [
          { name: service.host, type: "A" },
          { name: service.host, type: "AAAA" }
        ]
  })
  return [...types.map((type): DnsQuestion => ({ name: `${type}.local`, type: "PTR" })), ...missing.slice(0, 32)]
}
