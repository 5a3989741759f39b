/**
 * Members: the servers behind the name in a backend's URL, each a backend of its own.
 */
import { isIPv6 } from "node:net"
import { hostPortOf } from "../domain/url-host.ts"
import type { Backend } from "./backend.ts"

/** How it is found out which servers there are behind a name: by its DNS records, or by the EndpointSlices of a Service. */
export const memberSources = ["dns", "kubernetes"] as const

/** One of {@link memberSources}. */
export type MemberSource = (typeof memberSources)[number]

/** A backend of the config that stands for the servers behind its name. */
export interface Followed {
  readonly by: MemberSource
  /** What all members have in common; its URL has the name that counts for TLS and for what servers are told. */
  readonly backend: Backend
  readonly host: string
  /** What the port is called that is meant, as in `_http._tcp.` before the name. */
  readonly portName: string | undefined
}

/** One server behind a name. */
export interface MemberPlace {
  /** What tells it from the others, such as the name of its pod. */
  readonly label: string
  readonly address: string
  /** The port of the URL when undefined. */
  readonly port: number | undefined
  /** How much later it is preferred than the first ones; not at all when absent. */
  readonly later?: number
}

const namedPort = /^(https?:\/\/)_([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\._tcp\./i

/** A backend whose name is followed. */
export const followedOf = (backend: Backend, by: MemberSource): Followed => {
  const url = backend.url.replace(namedPort, "$1")
  return {
    by,
    backend: { ...backend, url },
    host: hostPortOf(url)?.host ?? "",
    portName: namedPort.exec(backend.url)?.[2]
  }
}

/** What is wrong with a URL whose name is to be followed; undefined when nothing is. */
export const followedFault = (url: string, by: MemberSource): string | undefined => {
  const host = hostPortOf(url.replace(namedPort, "$1"))?.host ?? ""
  if (/^[\d.]+$/.test(host) || isIPv6(host)) return "an address is one server; members are those behind a name"
  if (by === "dns") return undefined
  const words = host.split(".")
  const [service = "", namespace, svc] = words
  const isService = [service, namespace ?? "x"].every((each) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(each))
  return isService && (svc === undefined || svc === "svc")
    ? undefined
    : 'expected the name of a Service, such as "http://vllm.models.svc.cluster.local" or "http://vllm.models"'
}

/** A short mark of a text; not the same for different ones, or hardly ever. */
export const shortHash = (text: string): string => {
  let hash = 0x811c9dc5
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0
  return hash.toString(36).padStart(7, "0").slice(-6)
}

const longestName = 64

/** The name of a member: that of its backend, and its label. */
export const memberName = (backend: string, label: string): string => {
  const plain = label.replaceAll(":", "-").replace(/[^A-Za-z0-9._-]/g, "_")
  // A pod of a StatefulSet is called so already.
  const name = plain.startsWith(`${backend}-`) ? plain : `${backend}-${plain}`
  return name.length <= longestName ? name : `${name.slice(0, longestName - 7)}-${shortHash(name)}`
}

// A port that its scheme means is left out of a URL, which is then the same for the same server.
const withPort = (url: string, port: number): string => {
  const at = new URL(url)
  at.port = String(port)
  return at.href.replace(/\/+$/, "")
}

/** The definition of a member: that of its backend but for where it is. */
export const asMember = (
  backend: Backend,
  own: Pick<Backend, "name" | "priority" | "url"> & { readonly address: string }
): Backend => ({ ...backend, ...own, memberOf: backend.name, origin: "member" })

/** The definition of the member that an endpoint is. */
export const memberAt = ({ backend }: Followed, { address, later = 0, port }: MemberPlace, name: string): Backend =>
  asMember(backend, {
    name,
    url: port === undefined ? backend.url : withPort(backend.url, port),
    address,
    priority: backend.priority + later
  })
