/**
 * The search of one call for a connection: address after address of its place, the next one when one fails or keeps it
 * waiting. What was known of the name is looked up anew before it is given up.
 */
import { Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { Connection, type ConnectionSearch, type PoolSettings } from "./connection.ts"
import type { ConnectionControl } from "./exchange.ts"
import type { Host } from "./host.ts"
import type { Origin } from "./connection.ts"

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

  constructor(settings: PoolSettings, place: Host, origins: ReadonlyArray<Origin> | undefined, found: DialingOutcome) {
    this.settings = settings
    this.place = place
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

  readonly pause = (): void => undefined

  readonly resume = (): void => undefined

  readonly done = (): void => undefined

  readonly drop = (): void => {
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
    const connection = new Connection(this.settings, origin)
    this.tried.push(origin)
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
