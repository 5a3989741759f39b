/**
 * A strict HTTP/1.1 server on bare sockets: who may connect, and one look at all connections in place of a timer for each.
 */
import { AnswerDate } from "./response-head.ts"
import {
  type ConnectionLimits,
  type ConnectionShared,
  type RefusalText,
  ServerConnection
} from "./server-connection.ts"
import type { ServerExchange } from "./server-exchange.ts"

/** What bounds a listener. */
export interface ListenerLimits extends ConnectionLimits {
  /** Connections at a time. */
  readonly connections: number
  /** Connections at a time of one address; loopback has no bound. */
  readonly perAddress: number
}

/** Bounds that fit a gateway of language models. */
export const usualLimits: ListenerLimits = {
  headBytes: 16 * 1024,
  targetBytes: 12 * 1024,
  fields: 128,
  chunkLineBytes: 1024,
  trailerBytes: 8 * 1024,
  headMs: 10_000,
  idleMs: 120_000,
  uploadMs: 120_000,
  stallMs: 120_000,
  aheadBytes: 64 * 1024,
  pastBytes: 64 * 1024 * 1024,
  pastMs: 5000,
  pastAllMs: 30_000,
  requests: Infinity,
  connections: Infinity,
  perAddress: Infinity
}

/** What is listened on, and what answers. */
export interface ListenerOptions {
  readonly hostname: string
  readonly port: number
  /** The path of a Unix socket in place of host and port. */
  readonly socket?: string | undefined
  readonly reusePort?: boolean
  /** Certificate and key, where it is to be spoken to over TLS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly limits: ListenerLimits
  /** Answers a request, now or later. */
  readonly handle: (exchange: ServerExchange, connection: ServerConnection) => void
  /** Called with the status of each request that is refused before anybody sees it. */
  readonly onRefused?: (status: number) => void
  /** What the client of such a request is told; the reason as plain text when absent. */
  readonly told?: (reason: string) => RefusalText
  /** The time of the day, in milliseconds since the epoch. */
  readonly wallMs: () => number
}

/** Time between two looks at the connections, in milliseconds. */
export const lookEveryMs = 500

const plainly = (reason: string): RefusalText => ({ type: "text/plain; charset=utf-8", text: `${reason}\n` })

const isLoopback = (address: string): boolean => address === "::1" || /^(?:::ffff:)?127\./.test(address)

const full = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"

// Undefined for one that was turned away.
type Guest = ServerConnection | undefined

/** Who is connected. */
class Guests {
  readonly all = new Set<ServerConnection>()
  private readonly counts = new Map<string, number>()
  private readonly limits: Pick<ListenerLimits, "connections" | "perAddress">

  constructor(limits: Pick<ListenerLimits, "connections" | "perAddress">) {
    this.limits = limits
  }

  /** Whether one more of this address may connect: where all places are taken, who has waited longest idle makes room. */
  takes(address: string): boolean {
    const { connections, perAddress } = this.limits
    if (!isLoopback(address) && (this.counts.get(address) ?? 0) >= perAddress) return false
    if (this.all.size < connections) return true
    for (const connection of this.all) {
      if (!connection.isIdle) continue
      connection.drop()
      return true
    }
    return false
  }

  enters({ peer }: ServerConnection): void {
    this.counts.set(peer, (this.counts.get(peer) ?? 0) + 1)
  }

  leaves({ peer }: ServerConnection): void {
    const count = (this.counts.get(peer) ?? 1) - 1
    if (count > 0) this.counts.set(peer, count)
    else this.counts.delete(peer)
  }
}

/** A server that listens. */
export class HttpListener {
  readonly port: number
  private readonly guests: Guests
  private readonly shared: ConnectionShared
  private readonly close: () => void
  private onEmpty: () => void = () => undefined

  constructor({ handle, hostname, limits, onRefused, port, reusePort, socket, tls, told, wallMs }: ListenerOptions) {
    const date = new AnswerDate(wallMs, () => performance.now())
    const guests = new Guests(limits)
    this.guests = guests
    const shared: ConnectionShared = {
      limits,
      handle,
      onRefused: onRefused ?? (() => undefined),
      told: told ?? plainly,
      date: () => date.current,
      time: 0,
      stopping: false,
      pending: 0,
      all: guests.all,
      onLeft: (connection) => {
        guests.leaves(connection)
        if (shared.stopping && guests.all.size === 0) this.onEmpty()
      }
    }
    this.shared = shared
    const handlers: Bun.SocketHandler<Guest> = {
      open: (opened) => {
        const address = socket === undefined ? opened.remoteAddress : "127.0.0.1"
        if (shared.stopping || !guests.takes(address)) {
          opened.data = undefined
          opened.write(full)
          return void opened.end()
        }
        opened.setNoDelay(true)
        const connection = new ServerConnection(opened, address, shared)
        opened.data = connection
        guests.enters(connection)
      },
      data: ({ data }, bytes) => data?.data(bytes),
      drain: ({ data }) => data?.drain(),
      end: ({ data }) => data?.farEnd(),
      close: ({ data }) => data?.closed(),
      error: ({ data }) => data?.drop()
    }
    const usual = { socket: handlers, allowHalfOpen: true, ...(tls === undefined ? {} : { tls }) }
    const listen = () => {
      if (socket !== undefined) return { port: 0, server: Bun.listen<Guest>({ ...usual, unix: socket }) }
      const place = { hostname, port, reusePort: reusePort === true }
      const server = Bun.listen<Guest>({ ...usual, ...place })
      return { port: server.port, server }
    }
    const listening = listen()
    this.port = listening.port
    this.close = () => listening.server.stop()
  }

  /** Requests whose answers have not ended. */
  get pending(): number {
    return this.shared.pending
  }

  /** Open connections. */
  get connections(): number {
    return this.guests.all.size
  }

  /** Looks at all connections, {@link lookEveryMs} after the last time: who has been silent for too long is let go. */
  look(byMs = lookEveryMs): void {
    this.shared.time += byMs
    for (const connection of this.guests.all) connection.look()
  }

  /** Closes the connections on which no request is under way. */
  closeIdle(): void {
    for (const connection of this.guests.all) connection.retire()
  }

  /** Stops accepting; resolves when the last connection has ended, which `now` does at once. */
  stop(now: boolean): Promise<void> {
    if (!this.shared.stopping) this.close()
    this.shared.stopping = true
    if (now) for (const connection of this.guests.all) connection.drop()
    else this.closeIdle()
    if (this.guests.all.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const { onEmpty } = this
      this.onEmpty = () => {
        onEmpty()
        resolve()
      }
    })
  }
}
