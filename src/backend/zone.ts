/**
 * The zone of a backend: as its definition has it, or by its kind and address; and the zones of addresses.
 */
import { BlockList, isIP, isIPv4 } from "node:net"
import { networkInterfaces } from "node:os"
import { isUsualZone, type UsualZone } from "../domain/zones.ts"
import { hostPortOf, isLocalName } from "../domain/url-host.ts"
import { kindNamed } from "./all.ts"
import type { Backend } from "./backend.ts"

/** Networks that are nobody's on the internet: private, link-local, those of carriers and VPNs. */
export const privateNetworks = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "100.64.0.0/10",
  "fc00::/7"
] as const

// No URL can hold one with its interface, but a resolver may give one.
const linkLocal = "fe80::/10"

// What is not set leads to this machine as well.
const ownNetworks = ["127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"]

/** The family of an address, as lists of networks want it. */
export const familyOf = (address: string): "ipv4" | "ipv6" => (isIPv4(address) ? "ipv4" : "ipv6")

/** Why a text is no network; undefined when it is one, such as 10.0.0.0/8, or an address. */
export const networkFault = (text: string): string | undefined => {
  const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const family = isIP(address)
  const most = family === 4 ? 32 : 128
  if (family === 0 || address.includes("%") || (bits !== undefined && Number(bits) > most)) {
    return "expected a network such as 10.0.0.0/8 or fd00::/8, or an address"
  }
  return undefined
}

/** Tells the addresses of some networks; an IPv4 address in the form of an IPv6 one is what it stands for. */
export const addressesWithin = (networks: ReadonlyArray<string>): ((address: string) => boolean) => {
  const list = new BlockList()
  for (const network of networks) {
    const [address = "", bits] = network.split("/")
    list.addSubnet(address, bits === undefined ? (isIPv4(address) ? 32 : 128) : Number(bits), familyOf(address))
  }
  return (given) => {
    const address = given.replace(/%.*$/, "")
    return isIP(address) !== 0 && list.check(address, familyOf(address))
  }
}

const isOwn = addressesWithin(ownNetworks)
const isPrivate = addressesWithin([...privateNetworks, linkLocal])

/** Whether an address leads to this machine: to its loopback interface, or one that it has in a network. */
export const isOfThisMachine = (address: string): boolean =>
  isOwn(address) ||
  Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address.toLowerCase()))

/** The zone of an address. */
export const zoneOfAddress = (address: string): UsualZone =>
  isOwn(address) ? "local" : isPrivate(address) ? "lan" : "cloud"

// Names that nobody can have on the internet: without a dot, or below what is for private networks.
const privateName =
  /^[^.]+$|\.(?:local|lan|internal|home\.arpa|home|localdomain|intranet|private|corp|test|svc|cluster\.local)$/

const zoneOfHost = (host: string): UsualZone => {
  if (isLocalName(host)) return "local"
  if (isIP(host) !== 0) return zoneOfAddress(host)
  return privateName.test(host) ? "lan" : "cloud"
}

type Placed = Pick<Backend, "address" | "type" | "url">

const derived = ({ address, type, url }: Placed): UsualZone => {
  if (kindNamed(type).locality === "cloud") return "cloud"
  if (address !== undefined) return zoneOfAddress(address)
  const endpoint = hostPortOf(url)
  return endpoint === undefined ? "cloud" : zoneOfHost(endpoint.host)
}

const zones = new WeakMap<Placed, UsualZone>()

/**
 * The zone that a backend is in: the one it is said to be in, else by what it is and where. A name is what nobody else can
 * have, or beyond.
 */
export const zoneOf = (backend: Placed & Pick<Backend, "zone">): string => backend.zone ?? placeOf(backend)

/**
 * Whether a backend is in the cloud, where bytes leave the house and answers take money: as it is said to be, and where its
 * zone has a name of somebody's own, which tells neither, by what it is and where.
 */
export const isInCloud = (backend: Placed & Pick<Backend, "zone">): boolean =>
  (backend.zone !== undefined && isUsualZone(backend.zone) ? backend.zone : placeOf(backend)) === "cloud"

const placeOf = (backend: Placed): UsualZone => {
  const known = zones.get(backend)
  if (known !== undefined) return known
  const made = derived(backend)
  zones.set(backend, made)
  return made
}
