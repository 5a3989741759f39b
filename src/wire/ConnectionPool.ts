/**
 * The client: a pool of connections on bare sockets or TLS, one call at a time on each. Against fetch it knows when it is
 * connected and whether a socket was used before, holds a backend back at once when it is to wait, looks names up itself,
 * has no ceiling of its own, and costs a quarter less CPU.
 */
import { EndOfTurn } from "../domain/EventLoopTurns.ts"
import { ConnectionLost, Unreachable } from "../domain/upstream-errors.ts"
import { readUnacked } from "./tcp-acks.ts"
import type { ReceivedAnswer } from "./received-answer.ts"
import { toUpstreamError } from "./to-upstream-error.ts"
import { type Connection, socketHandlers, outOfFiles, type PoolSettings, openFailure } from "./connection.ts"
import type { Contact, Contacts } from "./contacts.ts"
import { Dialing, dialSocket } from "./dialing.ts"
import { type Assignment, Exchange, type ConnectionControl } from "./exchange.ts"
import { type NameLookup, type NameSettings, Host, systemNameLookup } from "./host.ts"
import type { Origin } from "./connection.ts"
import { requestBytes, type RequestTarget, parseTarget, isSource } from "./request-bytes.ts"
import { LivenessWatch, type LivenessSources } from "./liveness-watch.ts"
import type { PortState } from "./liveness.ts"
import { socketTls, type Trust } from "./tls.ts"
import { type Call, type CallListener, type Gate, openGate } from "./call.ts"

/** How connections are kept. */
export interface ConnectionPoolOptions {
  /** Most idle connections to one address and port; 256 when absent. */
  readonly maxIdlePerOrigin?: number
  /** Longest time a connection may idle, in milliseconds; 30,000 when absent. */
  readonly idleMs?: number
  /** Longest time the addresses of a name are relied on, in milliseconds; 30,000 when absent. */
  readonly namesKeptMs?: () => number
  /** What names are looked up by; the system's resolver when absent. */
  readonly lookUp?: NameLookup
  /** What the system knows of sent bytes, and how a port is tried; the real ones when absent. */
  readonly watching?: Partial<Pick<LivenessSources, "unacked" | "probePort">>
  /** What bounds where connections may go; nothing when absent. */
  readonly gate?: Gate
  /** Where those are noted that are contacted; nowhere when absent. */
  readonly contacts?: Contacts
  /** Whether this process can open no file now, and whether it is at its limit; never when absent. */
  readonly files?: Pick<PoolSettings, "spent" | "full">
  /** Monotonic milliseconds; the process's own when absent. */
  readonly now?: () => number
  /** Called when there is something to {@link ConnectionPool.look} at again. */
  readonly awake?: () => void
}

/** The client and its connections. */
export interface ConnectionPool {
  /**
   * Sends a call to an http or https address. Rejects with an upstream error, or with what the call was aborted for. A call
   * whose used connection closes at once, before any byte of an answer, is sent once more on a new one if its caller allows.
   */
  readonly send: (call: Call, connected?: () => void) => Promise<ReceivedAnswer>
  /** The same without a promise: whoever listens is told. */
  readonly begin: (call: Call, listener: CallListener) => void
  /** Closes the connections that wait for a call. */
  readonly dropIdle: () => void
  /**
   * Looks after what keeps waiting; to be called every `lookMs` for as long as it gives true. It gives false when nothing
   * is under way.
   */
  readonly look: () => boolean
  /** Closes all connections and takes no more calls; calls under way fail. */
  readonly close: () => void
  /** Connections that wait for a call. */
  readonly idle: () => number
  /** Connections in being, those that are only being made included. */
  readonly open: () => number
}

// Addresses come from a table of backends; the bound is against whoever adds and removes them without end.
const maxTargets = 4096

// A connection that the backend has closed meanwhile answers a request by its end within a round trip. What ends later may
// have been at work, in milliseconds.
const staleWithinMs = 500

const stopped = new ConnectionLost({ reason: "shutting down", answered: false })

const nothing = (): void => undefined

const boundless = { full: () => false, spent: () => false }

const noLine: ConnectionControl = { isUntouched: true, pause: nothing, resume: nothing, drop: nothing, done: nothing }

// What says that nobody listens, or that the machine is not there.
const gone = new Set(["connection refused", "host unreachable"])

const portProbe =
  (spent: () => boolean, gate: Gate) =>
  async ({ address, port }: Origin): Promise<PortState> => {
    try {
      const socket = await dialSocket(gate, { hostname: address, port, socket: { data: () => undefined } })
      socket.end()
      return "open"
    } catch (error) {
      if (spent()) return "unknown"
      const why = openFailure(error)
      return gone.has(why.reason) ? why : "unknown"
    }
  }

/** A call on a connection of its own, which is never sent again. */
class NewCall implements Assignment {
  readonly call: Call
  readonly listener: CallListener

  constructor(call: Call, listener: CallListener) {
    this.call = call
    this.listener = listener
  }

  replayed(): boolean {
    return false
  }
}

/** A call on a connection that was kept, since `at`. */
class KeptCall implements Assignment {
  readonly call: Call
  readonly listener: CallListener
  readonly place: Host
  readonly pieces: ReadonlyArray<Uint8Array>
  readonly at: number
  private readonly replays: (call: KeptCall, unseen: boolean) => boolean

  constructor(
    call: Call,
    listener: CallListener,
    place: Host,
    pieces: ReadonlyArray<Uint8Array>,
    at: number,
    replays: (call: KeptCall, unseen: boolean) => boolean
  ) {
    this.call = call
    this.listener = listener
    this.place = place
    this.pieces = pieces
    this.at = at
    this.replays = replays
  }

  replayed(unseen: boolean): boolean {
    return this.replays(this, unseen)
  }
}

/** Makes a client without connections; they are made as calls need them. */
export const makeConnectionPool = (options: ConnectionPoolOptions = {}): ConnectionPool => {
  const now = options.now ?? (() => performance.now())
  const { full, spent } = options.files ?? boundless
  const lookUp = options.lookUp ?? systemNameLookup
  const gate = options.gate ?? openGate
  const naming: NameSettings = {
    lookUp: (hostname) =>
      lookUp(hostname).catch((error: unknown) => {
        throw spent() ? outOfFiles : error
      }),
    keptMs: options.namesKeptMs ?? (() => 30_000),
    now
  }
  const settings: PoolSettings = {
    maxIdle: options.maxIdlePerOrigin ?? 256,
    idleMs: options.idleMs ?? 30_000,
    now,
    all: new Set(),
    dialings: new Set(),
    full,
    spent,
    dial: (connection) => {
      const { address, hostname, port, secure, trust } = connection.origin
      const tls = secure ? { tls: socketTls(hostname, trust) } : {}
      return dialSocket<Connection>(gate, {
        hostname: address,
        port,
        data: connection,
        socket: socketHandlers,
        ...tls
      })
    },
    gate,
    contacts: options.contacts
  }
  const silence = new LivenessWatch({
    all: settings.all,
    probePort: portProbe(spent, gate),
    unacked: readUnacked,
    ...options.watching
  })
  const targets = new Map<
    string,
    { readonly target: RequestTarget; readonly place: Host; readonly contact: Contact | undefined }
  >()
  const places = new Map<string, Host>()
  // Requests of one round on connections that were kept.
  const writing = new EndOfTurn<Connection>((connection) => connection.flush())
  let closing = false
  let awake = false

  const placeOf = ({ hostname, port, secure }: RequestTarget, trust: Trust | undefined): Host => {
    const key = `${hostname} ${port} ${secure} ${trust?.id ?? ""}`
    const place = places.get(key) ?? new Host({ hostname, port, secure, trust }, naming)
    places.set(key, place)
    return place
  }
  const find = ({ trust, url }: Call) => {
    const key = trust === undefined ? url : `${url} ${trust.id}`
    const known = targets.get(key)
    if (known !== undefined) return known
    const target = parseTarget(url)
    if (target === undefined) return undefined
    if (targets.size >= maxTargets) {
      targets.clear()
      for (const [key, place] of places) if (place.idle === 0) places.delete(key)
    }
    const contact = options.contacts?.of(target.hostname, target.port)
    const found = { target, place: placeOf(target, trust), contact }
    targets.set(key, found)
    return found
  }
  // What bounds it may have changed since it was opened, and another request may go where this one may not.
  const isBarred = ({ address }: Origin, { reach }: Call): boolean => (gate(address) ?? reach?.(address)) !== undefined
  const idleOne = ({ idle }: Origin, at: number): Connection | undefined => {
    for (let last = idle.at(-1); last !== undefined; last = idle.at(-1)) {
      if (last.isUsable(at)) {
        idle.pop()
        return last
      }
      last.retire()
    }
    return undefined
  }
  const onNew = (
    place: Host,
    origins: ReadonlyArray<Origin> | undefined,
    pieces: ReadonlyArray<Uint8Array>,
    assignment: Assignment,
    sentBefore: boolean
  ): void => {
    const exchange = new Exchange(noLine, assignment)
    const dialing = new Dialing(settings, place, origins, assignment.call.reach, {
      connected: (connection) => {
        exchange.line = connection
        connection.exchange = exchange
        const { body } = assignment.call
        assignment.listener.connected()
        connection.write(pieces, isSource(body) ? body : undefined)
      },
      // A call that was sent once is no longer one that nobody has seen.
      refused: (error) => exchange.fail(sentBefore ? toUpstreamError(undefined, false) : error)
    })
    exchange.line = dialing
  }
  const replays = (call: KeptCall, unseen: boolean): boolean => {
    if (closing) return false
    if (!unseen && (now() - call.at > staleWithinMs || call.call.caller?.again() === false)) return false
    const { place } = call
    onNew(
      place,
      place.isKnown() ? place.take() : undefined,
      call.pieces,
      new NewCall(call.call, call.listener),
      !unseen
    )
    return true
  }
  const begin = (call: Call, listener: CallListener): void => {
    if (call.abort.aborted) return listener.failed(call.abort.reason)
    const found = find(call)
    const pieces = found === undefined ? undefined : requestBytes(found.target, call)
    if (found === undefined || pieces === undefined || closing) {
      const reason = closing ? "shutting down" : found === undefined ? "bad URL" : "a header that cannot be sent"
      return listener.failed(new Unreachable({ reason }))
    }
    if (!awake) {
      awake = true
      options.awake?.()
    }
    const { contact, place } = found
    const at = now()
    if (contact !== undefined) {
      contact.calls += 1
      contact.lastAt = at
    }
    const origins = place.isKnown() ? place.take() : undefined
    const first = origins?.[0]
    // What is sent while it comes cannot be sent again, as what a kept connection loses must be.
    const idle = first === undefined || isSource(call.body) || isBarred(first, call) ? undefined : idleOne(first, at)
    // The new one takes its place.
    if (call.fresh) idle?.retire()
    if (idle === undefined || call.fresh) return onNew(place, origins, pieces, new NewCall(call, listener), false)
    idle.use()
    idle.exchange = new Exchange(idle, new KeptCall(call, listener, place, pieces, at, replays))
    listener.connected()
    idle.holds(pieces)
    writing.add(idle)
  }
  return {
    begin,
    send: (call, connected = nothing) => new Promise((arrived, failed) => begin(call, { connected, arrived, failed })),
    dropIdle: () => {
      for (const connection of settings.all) if (connection.isIdle) connection.retire()
    },
    look: () => {
      for (const dialing of settings.dialings) dialing.look()
      const busy = silence.look()
      awake = busy || settings.dialings.size > 0
      return awake
    },
    close: () => {
      closing = true
      for (const dialing of settings.dialings) dialing.stop(stopped)
      for (const connection of settings.all) {
        const { exchange } = connection
        if (exchange === undefined) connection.retire()
        else exchange.fail(stopped)
      }
    },
    idle: () => [...places.values()].reduce((sum, { idle }) => sum + idle, 0),
    open: () => settings.all.size
  }
}
