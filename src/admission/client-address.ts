/**
 * The address that a request comes from: that of the connection, or the one that a trusted proxy tells of (`X-Forwarded-For`).
 */
import { BlockList, isIP } from "node:net"
import { isLoopback } from "../domain/url-host.ts"

/** Networks by which addresses are looked up. */
export const networksOf = (networks: ReadonlyArray<string>): BlockList => {
  const list = new BlockList()
  for (const network of networks) {
    const [address = "", length = ""] = network.split("/")
    const family = isIP(address) === 6 ? "ipv6" : "ipv4"
    list.addSubnet(address, Number(length), family)
  }
  return list
}

/** An address without its zone; one that is written as IPv6 for IPv4 as the IPv4 one. */
export const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "")

/** Whether an address is in a list; one that is written as IPv6 for IPv4 is the IPv4 one. */
export const isIn = (list: BlockList, address: string | undefined): boolean => {
  if (address === undefined) return false
  const plain = plainAddress(address)
  const family = isIP(plain)
  return family !== 0 && list.check(plain, family === 6 ? "ipv6" : "ipv4")
}

/** Whether it is an address of this machine alone. */
export const isLocal = (address: string | undefined): boolean =>
  address !== undefined && isLoopback(plainAddress(address))

/** The address in an entry of the header; some proxies write the port behind it. */
const addressIn = (entry: string): string | undefined => {
  const text = entry.trim()
  const [host = "", ...ports] = text.split(":")
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? (ports.length === 1 ? host : text)
  return isIP(bare) === 0 ? undefined : bare
}

/** The address of a client, by that of its connection and what the header says. */
export type ClientAddress = (peer: string | undefined, forwarded: string | null) => string | undefined

/**
 * Believes proxies in these networks: each has added who connected to it, so that the client is the last address in the header
 * that is none of theirs. What comes before that is the client's own word.
 */
export const addressThrough = (trusted: ReadonlyArray<string>): ClientAddress => {
  const proxies = networksOf(trusted)
  return (peer, forwarded) => {
    if (forwarded === null || !isIn(proxies, peer)) return peer
    let client = peer
    for (const entry of forwarded.split(",").toReversed()) {
      const told = addressIn(entry)
      // Nobody who knows has told this: who came by way of a proxy is not taken for this machine.
      if (told === undefined) return isLocal(client) ? undefined : client
      // Nobody on this machine comes by way of another one.
      if (!isLocal(told) || isLocal(client)) client = told
      if (!isIn(proxies, told)) break
    }
    return client
  }
}
