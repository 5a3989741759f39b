/**
 * Entries of `[discovery] hosts` and `mdns_types`, and of `[server] allowed_hosts`: what they mean, and what is wrong with those that mean nothing.
 */
import * as Result from "effect/Result"
import { networkFault } from "../backend/zone.ts"

/** A machine to look at: on one port, or on the well-known ones. */
export interface HostEntry {
  /** As it stands in a URL: lower case, IPv6 in brackets. */
  readonly host: string
  readonly port: number | undefined
}

/** Hosts that may be named. */
export const maxHosts = 64

/** Service types that may be named. */
export const maxTypes = 16

const example = 'expected a host such as "gpu-box" or "10.0.0.5", or one with its port, such as "gpu-box:9000"'

const bareOf = (text: string): string => text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/[/?#].*$/, "")

const isName = (host: string): boolean =>
  host.length <= 253 && host.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))

/** Reads one entry; fails with what is wrong and what would be right. */
export const readHost = (text: string): Result.Result<HostEntry, string> => {
  if (text.includes("@")) return Result.fail(example)
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return Result.fail(`expected the host alone, without http:// and path; write "${bareOf(text)}"`)
  }
  if (/^[\d.:a-f[\]]+\/\d{1,3}$/i.test(text)) return Result.fail("a range is not searched; name each host")
  if (text.includes("/")) return Result.fail(`expected the host alone, without a path; write "${bareOf(text)}"`)
  if (text.includes("%")) return Result.fail("an address with a zone cannot be called; give a name or another address")
  if (/^[0-9a-f:.]+$/i.test(text) && text.split(":").length > 2) {
    return Result.fail(`an IPv6 address needs brackets; write "[${text}]"`)
  }
  const [, host = "", digits] = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(text) ?? []
  const url = host === "" ? null : URL.parse(`http://${host}:1`)
  if (url === null) return Result.fail(example)
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && (digits === "" || port < 1 || port > 65_535)) {
    return Result.fail("the port must be a whole number from 1 to 65535")
  }
  if (url.hostname === "0.0.0.0" || url.hostname === "[::]") {
    return Result.fail("this is an address to listen on, not one to call; name the host")
  }
  const isMeant = host.startsWith("[") || (url.hostname === host.toLowerCase() && isName(url.hostname))
  return isMeant ? Result.succeed({ host: url.hostname, port }) : Result.fail(example)
}

/** What is wrong with an entry; undefined when nothing is. */
export const hostFault = (text: string): string | undefined => {
  const read = readHost(text)
  return Result.isFailure(read) ? read.failure : undefined
}

const isAddress = (text: string): boolean => !text.includes("/") && networkFault(text) === undefined

/** The address in that of a DNS server, which may have a port; undefined where it is none. */
export const dnsServerAddress = (text: string): string | undefined => {
  if (isAddress(text)) return text
  const [, bracketed = "", plain = "", port] = /^(?:\[([^\]]*)\]|([^[\]:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = bracketed === "" ? plain : bracketed
  const isPort = port === undefined || (Number(port) > 0 && Number(port) < 65_536)
  return isPort && isAddress(address) && (bracketed !== "") === address.includes(":") ? address : undefined
}

/** What is wrong with the address of a DNS server; undefined when nothing is. */
export const dnsServerFault = (text: string): string | undefined =>
  dnsServerAddress(text) === undefined
    ? 'expected the address of a DNS server, such as "10.0.0.53", "127.0.0.1:8600" or "[fd00::53]:53"'
    : undefined

/** What is wrong with a service type; undefined when nothing is. */
export const typeFault = (text: string): string | undefined => {
  if (/^_[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?\._tcp$/i.test(text)) return undefined
  const short = text.replace(/\.local\.?$/i, "").replace(/\.$/, "")
  if (short !== text && typeFault(short) === undefined) return `expected the type without its domain; write "${short}"`
  if (/\._udp$/i.test(short)) return 'LLM servers speak over TCP; expected a type such as "_ollama._tcp"'
  return 'expected a service type such as "_ollama._tcp"'
}

// Nobody can buy a name below these.
const unsold = new Set(["local", "lan", "internal", "home", "localhost", "test", "intranet", "private", "corp"])

const allowedExample = 'expected a host name such as "nexus.lan", or "*.example.com" for all below one'

/** What is wrong with a name in `server.allowed_hosts`; undefined when nothing is. */
export const allowedFault = (text: string): string | undefined => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || text.includes("/")) {
    return `expected the host alone, without http:// and path; write "${bareOf(text).replace(/:\d*$/, "")}"`
  }
  if (text === "*") return `every name would let any web page in; name the hosts, or "*.example.com" for all below one`
  const below = text.startsWith("*.")
  const name = (below ? text.slice(2) : text).toLowerCase()
  if (name.includes("*")) return 'a * stands at the beginning alone, as in "*.example.com"'
  if (/^(\[[0-9a-f:.]+\]|[^:[\]]+):\d*$/i.test(name)) {
    return `expected the host without its port, which does not count; write "${text.replace(/:\d*$/, "")}"`
  }
  if (/^[0-9a-f:.]+$/.test(name) && name.includes(":")) return `an IPv6 address needs brackets; write "[${text}]"`
  if (below && !name.includes(".") && !unsold.has(name)) {
    return `anybody may have a name below "${name}"; say more of it, as in "*.example.${name}"`
  }
  const isAddress = /^\[[0-9a-f:.]+\]$/.test(name) && URL.canParse(`http://${name}`)
  return isName(name) || (!below && isAddress) ? undefined : allowedExample
}
