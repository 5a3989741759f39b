/**
 * The client: a pool of connections on bare sockets or TLS, one call at a time on each. Against fetch it knows when it is
 * connected and whether a socket was used before, holds a backend back at once when it is to wait, has no ceiling of its
 * own, and costs half of the CPU.
 */
import { ConnectionLost, Unreachable, type UpstreamError } from "../domain/upstream.ts"
import type { Arrival } from "./arrival.ts"
import { classify } from "./classify.ts"
import { Connection, handlers, type Origin, type Settings } from "./connection.ts"
import { type Assignment, Exchange } from "./exchange.ts"
import { requestBytes, type Target, targetOf } from "./request-bytes.ts"
import { tlsFor, type Trust } from "./tls.ts"
import type { Call } from "./Transport.ts"

/** How connections are kept. */
export interface ConnectionsOptions {
  /** Most idle connections to one host and port; 256 when absent. */
  readonly maxIdlePerOrigin?: number
  /** Longest time a connection may idle, in milliseconds; 30,000 when absent. */
  readonly idleMs?: number
  /** Monotonic milliseconds; the process's own when absent. */
  readonly now?: () => number
}

/** The client and its connections. */
export interface Connections {
  /**
   * Sends a call to an http or https address. Rejects with an upstream error, or with what the call was aborted for. A call
   * whose used connection closes before any byte of an answer is sent once more on a new one, unseen by the caller.
   */
  readonly send: (call: Call) => Promise<Arrival>
  /** Closes the connections that wait for a call. */
  readonly dropIdle: () => void
  /** Closes all connections and takes no more calls; calls under way fail. */
  readonly close: () => void
  /** Connections that wait for a call. */
  readonly idle: () => number
  /** Connections in being, those that are only being made included. */
  readonly open: () => number
}

// Addresses come from a table of backends; the bound is against whoever adds and removes them without end.
const maxTargets = 4096

/** Makes a client without connections; they are made as calls need them. */
export const makeConnections = (options: ConnectionsOptions = {}): Connections => {
  const settings: Settings = {
    maxIdle: options.maxIdlePerOrigin ?? 256,
    idleMs: options.idleMs ?? 30_000,
    now: options.now ?? (() => performance.now()),
    all: new Set(),
    dial: (connection) => {
      const { hostname, port, secure, trust } = connection.origin
      const tls = secure ? { tls: tlsFor(hostname, trust) } : {}
      return Bun.connect<Connection>({ hostname, port, data: connection, socket: handlers, ...tls })
    }
  }
  const targets = new Map<string, { readonly target: Target; readonly origin: Origin }>()
  const origins = new Map<string, Origin>()
  let closing = false

  const originOf = ({ hostname, port, secure }: Target, trust: Trust | undefined): Origin => {
    const key = `${hostname} ${port} ${secure} ${trust?.id ?? ""}`
    const origin = origins.get(key) ?? { hostname, port, secure, trust, idle: [] }
    origins.set(key, origin)
    return origin
  }
  const lookUp = ({ trust, url }: Call) => {
    const place = trust === undefined ? url : `${url} ${trust.id}`
    const known = targets.get(place)
    if (known !== undefined) return known
    const target = targetOf(url)
    if (target === undefined) return undefined
    if (targets.size >= maxTargets) {
      targets.clear()
      for (const [key, { idle }] of origins) if (idle.length === 0) origins.delete(key)
    }
    const found = { target, origin: originOf(target, trust) }
    targets.set(place, found)
    return found
  }
  const idleOne = ({ idle }: Origin): Connection | undefined => {
    for (let last = idle.at(-1); last !== undefined; last = idle.at(-1)) {
      if (last.isUsable) {
        idle.pop()
        return last
      }
      last.retire()
    }
    return undefined
  }
  const onNew = (origin: Origin, pieces: ReadonlyArray<Uint8Array>, assignment: Assignment, sentBefore: boolean) => {
    const connection = new Connection(settings, origin)
    const exchange = new Exchange(connection, assignment)
    connection.exchange = exchange
    const refused = (error: UpstreamError): void =>
      // A call that was sent once is no longer one that nobody has seen.
      exchange.fail(sentBefore ? classify(undefined, false) : error)
    connection.connect(() => {
      assignment.call.connected()
      connection.write(pieces)
    }, refused)
  }
  const onIdle = (
    connection: Connection,
    origin: Origin,
    pieces: ReadonlyArray<Uint8Array>,
    assignment: Assignment
  ): void => {
    const { call, resolve, reject } = assignment
    connection.use()
    connection.exchange = new Exchange(connection, {
      call,
      resolve,
      reject,
      replayed: () => {
        if (closing) return false
        onNew(origin, pieces, assignment, true)
        return true
      }
    })
    assignment.call.connected()
    connection.write(pieces)
  }
  const send = (call: Call): Promise<Arrival> =>
    new Promise((resolve, reject) => {
      if (call.abort.aborted) return reject(call.abort.reason)
      const found = lookUp(call)
      const pieces = found === undefined ? undefined : requestBytes(found.target, call)
      if (found === undefined || pieces === undefined || closing) {
        const reason = closing ? "shutting down" : found === undefined ? "bad URL" : "a header that cannot be sent"
        return reject(new Unreachable({ reason }))
      }
      const assignment: Assignment = { call, resolve, reject, replayed: () => false }
      const idle = call.fresh ? undefined : idleOne(found.origin)
      if (idle === undefined) onNew(found.origin, pieces, assignment, false)
      else onIdle(idle, found.origin, pieces, assignment)
    })
  return {
    send,
    dropIdle: () => {
      for (const connection of settings.all) if (connection.exchange === undefined) connection.retire()
    },
    close: () => {
      closing = true
      for (const connection of settings.all) {
        const { exchange } = connection
        if (exchange === undefined) connection.retire()
        else exchange.fail(new ConnectionLost({ reason: "shutting down", answered: false }))
      }
    },
    idle: () => [...origins.values()].reduce((sum, { idle }) => sum + idle.length, 0),
    open: () => settings.all.size
  }
}
