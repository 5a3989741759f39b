/**
 * Which addresses are this machine's own, and which can be those of a machine beside it.
 */
import { BlockList, isIP } from "node:net"
import { networkInterfaces } from "node:os"
import { addressesWithin, familyOf, privateNetworks } from "../../backend/zone.ts"

/** An address of an interface of this machine. */
export interface InterfaceAddress {
  /** Of the interface. */
  readonly name: string
  readonly address: string
  readonly family: "IPv4" | "IPv6"
  readonly internal: boolean
  /** Address and length of the prefix, such as 10.0.0.5/8. */
  readonly cidr: string | null
}

/** What can be said of an address, as of the moment this was made. */
export interface LocalNetwork {
  /** Whether it leads to this machine, loopback included. */
  readonly isOwn: (address: string) => boolean
  /**
   * Whether it can be that of a machine beside this one, or this one's as others call it: a private address, or one of
   * a network this machine is in. IPv6 link-local ones are none, since no URL can hold them.
   */
  readonly isNear: (address: string) => boolean
}

/** All addresses of this machine at the moment. */
export const addressesNow = (): ReadonlyArray<InterfaceAddress> =>
  Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    (list ?? []).map(({ address, family, internal, cidr }) => ({ name, address, family, internal, cidr }))
  )

/** The neighbourhood of a machine with these addresses. */
export const localNetwork = (addresses: ReadonlyArray<InterfaceAddress>): LocalNetwork => {
  const near = new BlockList()
  const isPrivate = addressesWithin(privateNetworks)
  for (const { cidr, internal } of addresses) {
    const [net = "", bits = ""] = cidr?.split("/") ?? []
    if (!internal && isIP(net) !== 0 && Number(bits) > 0) near.addSubnet(net, Number(bits), familyOf(net))
  }
  const own = new Set(addresses.map(({ address }) => address.toLowerCase()))
  return {
    isOwn: (address) => address.startsWith("127.") || address === "::1" || own.has(address.toLowerCase()),
    isNear: (address) =>
      isIP(address) !== 0 &&
      !/^(fe[89ab]|ff|::)/i.test(address) &&
      (isPrivate(address) || near.check(address, familyOf(address)))
  }
}

/** Addresses that the interfaces of `some` have, IPv4 before IPv6; none that is IPv6 link-local. */
export const addressesOn = (
  addresses: ReadonlyArray<InterfaceAddress>,
  some: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const names = new Set(addresses.filter(({ address }) => some.includes(address)).map(({ name }) => name))
  return addresses
    .filter(({ name, address }) => names.has(name) && !/^fe[89ab]/i.test(address))
    .map(({ address }) => address.toLowerCase())
    .sort((a, b) => Number(a.includes(":")) - Number(b.includes(":")))
}

const mostInterfaces = 8

/** One IPv4 address for each interface that is meant: by name or address, or all but loopback when none is named. */
export const chosenInterfaces = (
  addresses: ReadonlyArray<InterfaceAddress>,
  wanted: string | undefined
): ReadonlyArray<string> => {
  const fitting = addresses.filter(
    ({ family, name, address, internal }) =>
      family === "IPv4" && (wanted === undefined ? !internal : name === wanted || address === wanted)
  )
  return fitting
    .filter(({ name }, at) => fitting.findIndex((each) => each.name === name) === at)
    .map(({ address }) => address)
    .slice(0, mostInterfaces)
}
