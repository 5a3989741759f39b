/**
 * Every host that a config lets the gateway contact, and what for.
 */
import { plainType } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import { networkFault, zoneOf } from "../backend/zone.ts"
import type { TokenIssuer } from "../domain/token-issuer.ts"
import { hostInUrl, hostPortOf } from "../domain/url-host.ts"
import type { LoadedConfig } from "./compile.ts"
import { dnsServerAddress, readHost } from "./hosts.ts"
import * as Result from "effect/Result"

/** A host that may be contacted; the port is null where it is one of several, `why_not` says why it is not all the same. */
export interface PossibleHost {
  readonly host: string
  readonly port: number | null
  readonly zone: string
  readonly purpose: string
  readonly why_not: string | null
}

const at = (url: string, zone: string | undefined, purpose: string, whyNot?: string): ReadonlyArray<PossibleHost> => {
  const place = hostPortOf(url)
  if (place === undefined) return []
  const { host, port } = place
  return [{ host, port, zone: zone ?? zoneOf({ type: plainType, url }), purpose, why_not: whyNot ?? null }]
}

const ofBackend = (backend: Backend): ReadonlyArray<PossibleHost> => {
  const { barred, name, url, wake } = backend
  const woken = wake === undefined ? [] : at(`http://${wake.address}:${wake.port}`, undefined, `wakes backend ${name}`)
  return [...at(url, zoneOf(backend), `backend ${name}`, barred), ...woken]
}

const ofIssuer = ({ issuer, jwks, jwksUrl, name }: TokenIssuer): ReadonlyArray<PossibleHost> =>
  jwks === undefined ? at(jwksUrl ?? issuer, undefined, `public keys of issuer ${name}`) : []

const searched = ({ discovery, settings }: LoadedConfig): ReadonlyArray<PossibleHost> => {
  if (!discovery) return []
  const { announce, hosts, mdns } = settings.discovery
  const purpose = "discovery"
  return [
    { host: "127.0.0.1", port: null, zone: "local", purpose, why_not: null },
    ...hosts.flatMap((text): ReadonlyArray<PossibleHost> => {
      const entry = readHost(text)
      if (Result.isFailure(entry)) return []
      const { host, port } = entry.success
      const [found] = at(`http://${host}:${port ?? 1}`, undefined, purpose)
      return found === undefined ? [] : [{ ...found, port: port ?? null }]
    }),
    ...(mdns || announce
      ? [{ host: "224.0.0.251", port: 5353, zone: "lan", purpose: "discovery (mDNS)", why_not: null }]
      : [])
  ]
}

const ofDnsServer = (server: string): ReadonlyArray<PossibleHost> => {
  const address = dnsServerAddress(server) ?? ""
  const port = server === address ? "53" : (/:(\d+)$/.exec(server)?.[1] ?? "53")
  return at(`http://${hostInUrl(address)}:${port}`, undefined, "members of backends (DNS)")
}

/** All of them: of these backends, of the search for servers, and of what is told to others. */
export const possibleHosts = (loaded: LoadedConfig, backends: Iterable<Backend>): ReadonlyArray<PossibleHost> => {
  const { otlp, perimeter, store } = loaded
  const found = [
    ...[...backends].flatMap(ofBackend),
    ...loaded.followed.flatMap(({ backend }) => ofBackend(backend)),
    ...(loaded.followed.some(({ by }) => by === "kubernetes") && loaded.kubernetes !== undefined
      ? at(loaded.kubernetes.url, undefined, "members of backends (Kubernetes)")
      : []),
    ...(loaded.followed.some(({ by }) => by === "dns")
      ? loaded.settings.discovery.dns_servers.flatMap(ofDnsServer)
      : []),
    ...searched(loaded),
    ...loaded.issuers.flatMap(ofIssuer),
    ...loaded.settings.budgets.flatMap(({ name, webhook_url: url }) =>
      url === undefined ? [] : at(url, undefined, `webhook of budget ${name}`)
    ),
    ...(store === undefined
      ? []
      : at(`http://${hostInUrl(store.host)}:${store.port}`, undefined, "what replicas share (cluster.url)")),
    ...loaded.settings.hooks.flatMap(({ name, url }) => at(url, undefined, `hook ${name}`)),
    ...(otlp?.traces === undefined ? [] : at(otlp.traces.url, undefined, "telemetry (traces)")),
    ...(otlp?.metrics === undefined ? [] : at(otlp.metrics.url, undefined, "telemetry (metrics)"))
  ]
  const beyond = 'privacy.mode = "local-only" leaves it out'
  const whyNot = ({ host, why_not }: PossibleHost): string | null => {
    const isBeyond = perimeter !== undefined && networkFault(host) === undefined && !perimeter(host)
    return why_not ?? (isBeyond ? beyond : null)
  }
  return found.map((each) => Object.assign({}, each, { why_not: whyNot(each) }))
}
