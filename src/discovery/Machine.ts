/**
 * What discovery has to know of the machine it runs on, and of the names of others.
 */
import { lookup } from "node:dns/promises"
import { existsSync, readFileSync } from "node:fs"
import { hostname } from "node:os"
import * as Effect from "effect/Effect"
import { monotonicMs } from "../domain/monotonic.ts"
import { addressesNow, localNetwork } from "./mdns/local-network.ts"
import { isInContainer } from "./places.ts"
import { isLocalName } from "../domain/url-host.ts"
import { isAddress, type HostIdentity } from "./same-machine.ts"

/** This machine, and names. */
export interface Machine {
  readonly inContainer: boolean
  /** Where a host of a URL is (IPv6 without brackets); without addresses when its name does not resolve. */
  readonly locate: (host: string) => Effect.Effect<HostIdentity>
}

const resolveFor = "1 second"

/** Addresses of names are asked for again after this, in milliseconds. */
const rememberMs = 30_000

// Only Linux has it, and not everybody may read it.
const cgroup = Effect.orElseSucceed(
  Effect.try(() => readFileSync("/proc/1/cgroup", "utf8")),
  () => ""
)

const resolve = (host: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.tryPromise(() => lookup(host, { all: true })).pipe(
    Effect.timeout(resolveFor),
    Effect.map((all) => all.map(({ address }) => address.toLowerCase())),
    Effect.orElseSucceed(() => [])
  )

/** The real ones. */
export const realMachine: Effect.Effect<Machine> = Effect.gen(function* () {
  const remembered = new Map<string, { readonly until: number; readonly addresses: ReadonlyArray<string> }>()
  const ownNames = new Set([hostname(), `${hostname()}.local`].map((name) => name.toLowerCase()))
  const addressesOf = Effect.fnUntraced(function* (host: string) {
    if (isAddress(host)) return [host]
    const now = yield* monotonicMs
    const known = remembered.get(host)
    if (known !== undefined && now < known.until) return known.addresses
    const addresses = yield* resolve(host)
    remembered.set(host, { until: now + rememberMs, addresses })
    return addresses
  })
  return {
    inContainer: isInContainer({ has: existsSync, cgroup: yield* cgroup }),
    locate: (host) =>
      isLocalName(host) || ownNames.has(host)
        ? Effect.succeed({ own: true, addresses: [] })
        : Effect.map(addressesOf(host), (addresses) => {
            const { isOwn } = localNetwork(addressesNow())
            return { own: addresses.some(isOwn), addresses }
          })
  }
})
