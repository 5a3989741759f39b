/**
 * What bounds where this process may connect: privacy.mode for all it does, and for one backend the zone that it is in.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isIP } from "node:net"
import type { Backend } from "../backend/backend.ts"
import { zoneOf, zoneOfAddress } from "../backend/zone.ts"
import { hostPortOf, isLocalName } from "../domain/url-host.ts"
import { isFurther, isUsualZone, limitAgainst, type ZoneLimits } from "../domain/zones.ts"
import { type Gate, openGate } from "../wire/call.ts"
import { Contacts } from "../wire/contacts.ts"
import { admittedAddresses } from "../wire/dialing.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"

/** What every connection of the process passes; everything is let through unless the settings say otherwise. */
export const Perimeter = Context.Reference<Gate>("nexus/upstream/Perimeter", { defaultValue: () => openGate })

/** The hosts that this process has connected to. */
export const HostContacts = Context.Reference<Contacts>("nexus/upstream/HostContacts", {
  defaultValue: () => new Contacts()
})

/** None so far, for a gateway that begins. */
export const freshContacts = Layer.sync(HostContacts, () => new Contacts())

/** Those hosts as they are told; `now` in monotonic milliseconds. */
export const contactedHosts = (contacts: Contacts, now: number) =>
  contacts.list().map(({ addresses, calls, connections, host, lastAt, port }) => ({
    host,
    port,
    zones: [...new Set([...addresses].map(zoneOfAddress))],
    addresses: [...addresses],
    connections,
    calls,
    last_ms_ago: Math.max(0, Math.round(now - lastAt))
  }))

/** What bounds where sockets may be opened to, and where it is noted that they were. */
export interface DialingBounds {
  readonly gate: Gate
  readonly contacts: Contacts
}

/** The gate under privacy.mode, with the addresses that it leaves; all of them while there are none to tell. */
export const perimeterGate =
  (withinNow: () => ((address: string) => boolean) | undefined): Gate =>
  (address) => {
    const isWithin = withinNow()
    return isWithin === undefined || isWithin(address)
      ? undefined
      : 'it is beyond this machine and the networks in privacy.networks (privacy.mode = "local-only")'
  }

/** An address of a host that may be sent to; fails with why there is none, in words for a person. */
export const admitted = (gate: Gate, host: string): Effect.Effect<string, string> =>
  Effect.tryPromise({ try: () => admittedAddresses(gate, host), catch: (error) => toUpstreamError(error, false) }).pipe(
    Effect.map((addresses) => addresses.find((address) => isIP(address) === 4) ?? addresses[0]),
    Effect.mapError((error) => ("reason" in error ? error.reason : "it could not be looked up in time"))
  )

// A name that can only be this machine, or an address, leads where the config says.
const isFixed = ({ url }: Backend): boolean => {
  const host = hostPortOf(url)?.host ?? ""
  return isIP(host) !== 0 || isLocalName(host)
}

const declared = (zone: string): Gate | undefined =>
  isUsualZone(zone)
    ? (address) => {
        const found = zoneOfAddress(address)
        return found === zone ? undefined : `its name leads to zone ${found}, and it is said to be in ${zone}`
      }
    : undefined

const gates = new WeakMap<Backend, { readonly gate: Gate | undefined }>()

const ownGate = (backend: Backend): Gate | undefined => {
  const known = gates.get(backend)
  if (known !== undefined) return known.gate
  const gate = backend.zone === undefined || isFixed(backend) ? undefined : declared(backend.zone)
  gates.set(backend, { gate })
  return gate
}

/**
 * What bounds where calls to a backend may go. One that is said to be in a zone is nowhere else, whatever its name leads to; of
 * one whose zone is made out by its name, no request that is bound goes further than that.
 */
export const reachOf = (backend: Backend, limits?: ZoneLimits): Gate | undefined => {
  const own = ownGate(backend)
  if (own !== undefined || limits === undefined || backend.zone !== undefined || isFixed(backend)) return own
  const zone = zoneOf(backend)
  return (address) => {
    const found = zoneOfAddress(address)
    const limit = isFurther(found, zone) ? limitAgainst(limits, found) : undefined
    return limit === undefined ? undefined : `its name leads to zone ${found}, and ${limit.by} does not allow that`
  }
}
