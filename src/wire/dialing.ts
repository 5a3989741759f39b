/**
 * Where this program dials, and nowhere else: no socket is opened to an address that the gate does not let through, whatever
 * name led there. A call searches address after address of its place, the next one when one fails or keeps it waiting; what was
 * known of the name is looked up anew before it is given up.
 */
import { connect, isIP, type Socket } from "node:net"
import type { Socket as BunSocket, TCPSocketConnectOptions } from "bun"
import { Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { Connection, type ConnectionSearch, type PoolSettings } from "./connection.ts"
import type { Gate } from "./call.ts"
import type { ConnectionControl } from "./exchange.ts"
import { type Host, type NameLookup, systemNameLookup } from "./host.ts"
import type { Origin } from "./connection.ts"
import { toUpstreamError } from "./to-upstream-error.ts"

const barred = (reason: string): Unreachable => new Unreachable({ reason, barred: true })

/** Opens a socket to an address, if the gate lets it. */
export const dialSocket = <D>(gate: Gate, options: TCPSocketConnectOptions<D>): Promise<BunSocket<D>> => {
  const refusal = gate(options.hostname)
  return refusal === undefined ? Bun.connect<D>(options) : Promise.reject(barred(refusal))
}

/** The addresses of a host that may be connected to; rejects with an upstream error where there is none. */
export const admittedAddresses = async (
  gate: Gate,
  host: string,
  lookUp: NameLookup = systemNameLookup
): Promise<readonly [string, ...ReadonlyArray<string>]> => {
  const known: ReadonlyArray<string> =
    isIP(host) === 0
      ? await lookUp(host).catch((error: unknown) => {
          throw toUpstreamError(error, false)
        })
      : [host]
  const [first, ...others] = known.filter((address) => gate(address) === undefined)
  if (first === undefined) throw barred(known.map(gate).find((reason) => reason !== undefined) ?? nowhere.reason)
  return [first, ...others]
}

/** Opens a socket to an address that was let through, to see whether somebody listens there. */
export const dialOnce = (gate: Gate, host: string, port: number): Socket => {
  const refusal = gate(host)
  if (refusal !== undefined) throw barred(refusal)
  return connect({ host, port })
}

const nowhere = new Unreachable({ reason: "connection could not be opened" })

/** What comes of a search. */
export interface DialingOutcome {
  readonly connected: (connection: Connection) => void
  readonly refused: (error: UpstreamError) => void
}

/** A search under way; the line of its exchange until there is a connection. */
export class Dialing implements ConnectionControl, ConnectionSearch {
  readonly isUntouched = true
  private readonly settings: PoolSettings
  private readonly place: Host
  private readonly reach: Gate | undefined
  // Until it is told: a connection outlasts the call that it was made for.
  private found: DialingOutcome | undefined
  private readonly under: Array<Connection> = []
  private readonly tried: Array<Origin> = []
  private left: Array<Origin> = []
  private renewed: boolean
  private over = false
  private first: Unreachable | undefined
  // Looks since the last address was tried.
  private looks = 0

  constructor(
    settings: PoolSettings,
    place: Host,
    origins: ReadonlyArray<Origin> | undefined,
    reach: Gate | undefined,
    found: DialingOutcome
  ) {
    this.settings = settings
    this.place = place
    this.reach = reach
    this.found = found
    this.renewed = origins === undefined
    settings.dialings.add(this)
    if (origins === undefined) this.lookUp()
    else this.take(origins)
  }

  /** Called at each look at the connections: an address that keeps it waiting is not the only one for long. */
  look(): void {
    this.looks += 1
    if (this.looks > 1 && this.under.length > 0) this.next()
  }

  stop(why: UpstreamError): void {
    const { found } = this
    if (this.over) return
    this.drop()
    found?.refused(why)
  }

  pause(): void {}

  resume(): void {}

  done(): void {}

  drop(): void {
    if (this.over) return
    this.end()
    for (const connection of this.under) connection.drop()
  }

  private take(origins: ReadonlyArray<Origin>): void {
    if (this.over) return
    this.left = origins.filter((origin) => !this.tried.includes(origin))
    this.next()
  }

  private lookUp(): void {
    const { place } = this
    place.lookUp().then(
      () => this.take(place.take()),
      (error: Unreachable) => this.giveUp(error)
    )
  }

  // The next address, or the end of the search.
  private next(): void {
    const origin = this.left.shift()
    this.looks = 0
    if (origin !== undefined) return this.dial(origin)
    if (this.under.length > 0) return
    if (this.first === undefined || this.renewed) return this.giveUp(this.first)
    this.renewed = true
    this.lookUp()
  }

  private dial(origin: Origin): void {
    this.tried.push(origin)
    const refusal = this.settings.gate(origin.address) ?? this.reach?.(origin.address)
    if (refusal !== undefined) {
      this.first ??= barred(refusal)
      return this.next()
    }
    const connection = new Connection(this.settings, origin)
    this.under.push(connection)
    connection.connect(
      () => this.won(connection),
      (error) => this.lost(connection, error)
    )
  }

  private won(connection: Connection): void {
    if (this.over) return connection.drop()
    const found = this.end()
    for (const other of this.under) {
      if (other === connection) continue
      this.place.avoid(other.origin)
      other.drop()
    }
    found?.connected(connection)
  }

  private lost(connection: Connection, error: Unreachable): void {
    this.under.splice(this.under.indexOf(connection), 1)
    if (error.own !== true) this.place.avoid(connection.origin)
    this.first ??= error
    if (!this.over) this.next()
  }

  private giveUp(error: Unreachable | undefined): void {
    if (this.over) return
    this.end()?.refused(this.first ?? error ?? nowhere)
  }

  private end(): DialingOutcome | undefined {
    const { found } = this
    this.over = true
    this.found = undefined
    this.settings.dialings.delete(this)
    return found
  }
}
