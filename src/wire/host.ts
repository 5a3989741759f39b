/**
 * A backend's host and port: where its name leads now, and the connections to each address. The runtime keeps names for
 * 30 seconds and does not tell; these are looked up by the system's resolver, which keeps nothing, and kept for a bound.
 */
import { lookup } from "node:dns"
import { isIP } from "node:net"
import { Unreachable } from "../domain/upstream-errors.ts"
import { toUpstreamError } from "./to-upstream-error.ts"
import { Origin, type OriginAddress } from "./connection.ts"

/** Gives the addresses of a name, or rejects as the system's resolver does. */
export type NameLookup = (hostname: string) => Promise<ReadonlyArray<string>>

// RFC 6761, section 6.3: this name is the machine itself, whatever its hosts file leaves out.
const loopback: Readonly<Record<string, ReadonlyArray<string>>> = { localhost: ["127.0.0.1", "::1"] }

/** Asks the resolver of the system, which reads its hosts file and keeps nothing. */
export const systemNameLookup: NameLookup = (hostname) =>
  new Promise((resolve, reject) => {
    const certain = loopback[hostname] ?? []
    lookup(hostname, { all: true }, (error, found) => {
      const addresses = [...(found ?? []).map(({ address }) => address), ...certain]
      if (addresses.length > 0) resolve(addresses)
      else reject(error ?? new Error("no address"))
    })
  })

/** How names are looked up. */
export interface NameSettings {
  readonly lookUp: NameLookup
  /** Longest time a name's addresses are relied on, in milliseconds. */
  readonly keptMs: () => number
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** For how long an address that failed stands behind the others, in milliseconds. */
const avoidedMs = 30_000

/**
 * The addresses to connect to, best first. Addresses of one family are replicas and take turns; those of the other family
 * are another way to the same ones (as ::1 and 127.0.0.1 are). What failed lately comes last.
 */
export const connectOrder = <A extends Pick<Origin, "address" | "avoidUntil">>(
  origins: ReadonlyArray<A>,
  turn: number,
  now: number
): ReadonlyArray<A> => {
  if (origins.length < 2) return origins
  const good = origins.filter(({ avoidUntil }) => avoidUntil <= now)
  const family = isIP((good[0] ?? origins[0])?.address ?? "")
  const replicas = good.filter(({ address }) => isIP(address) === family)
  const first = turn % Math.max(1, replicas.length)
  return [
    ...replicas.slice(first),
    ...replicas.slice(0, first),
    ...good.filter(({ address }) => isIP(address) !== family),
    ...origins.filter(({ avoidUntil }) => avoidUntil > now)
  ]
}

const notFound = "host name not found"

const failure = (error: unknown): Unreachable => {
  const known = toUpstreamError(error, false)
  return known._tag === "Unreachable" ? known : new Unreachable({ reason: "host name could not be looked up" })
}

/** A host and port, and the origins its name leads to. */
export class Host {
  private readonly where: OriginAddress
  private readonly naming: NameSettings
  private readonly isName: boolean
  private origins: ReadonlyArray<Origin> = []
  private knownAt = -Infinity
  private pending: Promise<void> | undefined
  private turn = 0

  constructor(where: OriginAddress, naming: NameSettings) {
    this.where = where
    this.naming = naming
    const address = where.trust?.address ?? where.hostname
    this.isName = isIP(address) === 0
    if (!this.isName) this.origins = [new Origin(where, address)]
  }

  /** Idle connections to all of its addresses. */
  get idle(): number {
    return this.origins.reduce((sum, { idle }) => sum + idle.length, 0)
  }

  /** Whether its addresses are known within the bound; from half of it on they are looked up beside the calls. */
  isKnown(): boolean {
    if (!this.isName) return true
    const age = this.naming.now() - this.knownAt
    const keptMs = this.naming.keptMs()
    if (age >= keptMs) return false
    if (age >= keptMs / 2) this.lookUp().catch(() => undefined)
    return true
  }

  /** Looks its name up, once for all who wait; rejects with an upstream error when it leads nowhere. */
  lookUp(): Promise<void> {
    if (!this.isName) return Promise.resolve()
    this.pending ??= this.ask().finally(() => {
      this.pending = undefined
    })
    return this.pending
  }

  /** The origins in the order in which a call is to try them. */
  take(): ReadonlyArray<Origin> {
    if (this.origins.length < 2) return this.origins
    this.turn += 1
    return connectOrder(this.origins, this.turn, this.naming.now())
  }

  /** Notes that a connection to one of several addresses failed or was too slow. */
  avoid(origin: Origin): void {
    origin.avoidUntil = this.naming.now() + avoidedMs
  }

  private async ask(): Promise<void> {
    const { lookUp, now } = this.naming
    const found = await lookUp(this.where.hostname).catch(failure)
    const failed = found instanceof Unreachable
    // A resolver that cannot say is no word that the addresses have gone.
    if (!failed || found.reason === notFound || this.origins.length === 0) this.adopt(failed ? [] : found)
    this.knownAt = this.origins.length === 0 ? -Infinity : now()
    if (this.origins.length === 0) throw failed ? found : new Unreachable({ reason: notFound })
  }

  private adopt(addresses: ReadonlyArray<string>): void {
    const before = this.origins
    this.origins = [...new Set(addresses)].map(
      (address) => before.find((origin) => origin.address === address) ?? new Origin(this.where, address)
    )
    for (const origin of before) {
      if (this.origins.includes(origin)) continue
      origin.named = false
      origin.retireAll()
    }
  }
}
