/**
 * One connection of the client: connects, writes a request, hands on what comes, and waits in its pool.
 */
import type { Socket, SocketHandler } from "bun"
import { Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { socketInode, type UnackedBytes } from "./tcp-acks.ts"
import { toUpstreamError } from "./to-upstream-error.ts"
import type { Gate } from "./call.ts"
import type { Contacts } from "./contacts.ts"
import type { Exchange, ConnectionControl } from "./exchange.ts"
import type { Head } from "./head.ts"
import { type PortCheck, type Suspicion, livenessEveryMs } from "./liveness.ts"
import { type BodySource, chunkOf, lastChunk } from "./request-bytes.ts"
import { handshakeFault, isCertificateFault, lateHandshakeFault, type Trust } from "./tls.ts"

/** One address of a host, and its idle connections, the last used one last. */
export class Origin {
  readonly hostname: string
  readonly address: string
  readonly port: number
  /** Whether it is called over TLS. */
  readonly secure: boolean
  /** What the backend itself has for TLS. */
  readonly trust: Trust | undefined
  readonly idle: Array<Connection> = []
  /** Whether the name still leads here. */
  named = true
  /** Until when other addresses are preferred, because a connection to this one failed; monotonic milliseconds. */
  avoidUntil = 0
  /** What is known of its port since calls to it are silent. */
  check: PortCheck | undefined

  constructor({ hostname, port, secure, trust }: OriginAddress, address: string) {
    this.hostname = hostname
    this.address = address
    this.port = port
    this.secure = secure
    this.trust = trust
  }

  /** Closes what waits here. */
  retireAll(): void {
    for (const connection of this.idle.toReversed()) connection.retire()
  }
}

/** Host, port and scheme, and what the backend has for TLS. */
export type OriginAddress = Pick<Origin, "hostname" | "port" | "secure" | "trust">

/** A search for a connection. */
export interface ConnectionSearch {
  /** Called at each look at the connections. */
  readonly look: () => void
  /** Ends it. */
  readonly stop: (why: UpstreamError) => void
}

/** What the connections of one client share. */
export interface PoolSettings {
  readonly maxIdle: number
  readonly idleMs: number
  readonly now: () => number
  readonly all: Set<Connection>
  /** Searches for a connection. */
  readonly dialings: Set<ConnectionSearch>
  /** Whether this process can open no file now. */
  readonly spent: () => boolean
  /** Whether it is at its limit of open files. */
  readonly full: () => boolean
  /** What bounds where any of them may go. */
  readonly gate: Gate
  /** Where those are noted that connections were opened to. */
  readonly contacts: Contacts | undefined
  /** Opens a socket with the connection as its data; rejection says nothing that the handlers do not. */
  readonly dial: (connection: Connection) => Promise<unknown>
}

// Sockets are looked at for idleness every 4 s, so that without this many seconds more a connection might go long before
// its time; past its time it is not used, whether it is closed yet or not.
const idleStepSeconds = 3

// After this long without a byte, in milliseconds, the system asks whether the other side is still there.
const probeAfterMs = 30_000

/** What kept a socket from being opened. */
export const openFailure = (error: unknown): Unreachable => {
  const known = toUpstreamError(error, false)
  return known._tag === "Unreachable" ? known : new Unreachable({ reason: "connection could not be opened" })
}

/** What keeps this process from opening anything. */
export const outOfFiles = new Unreachable({ reason: "Nexus is at its limit of open files", own: true })

const nothing: ReadonlyArray<Uint8Array> = []
const nobody = (): void => undefined

/** A connection to a backend and its place in the pool. */
export class Connection implements ConnectionControl {
  exchange: Exchange | undefined
  private readonly settings: PoolSettings
  readonly origin: Origin
  private socket: Socket<Connection> | undefined
  private state: "connecting" | "shaking" | "busy" | "idle" | "closed" = "connecting"
  private expiresAt = Infinity
  // When the socket tells that it may have waited too long; moved only when that would be too late.
  private toldAt = Infinity
  private held = false
  private wasUsed = false
  private dialled = false
  // Whether the backend has shown to have got the request: by a byte of an answer, or by acknowledging all of it.
  private heard = false
  // Bytes of the request that the system has taken.
  private written = 0
  /** For how long nothing has come since the request was written, in milliseconds of looks. */
  silentFor = 0
  // What is still to be written, and where more of it comes from.
  private unsent: ReadonlyArray<Uint8Array> = nothing
  private source: BodySource | undefined
  // Called when it is connected, or cannot be; whoever has been told is not held any longer.
  private connected: () => void = nobody
  private refused: (error: Unreachable) => void = nobody

  constructor(settings: PoolSettings, origin: Origin) {
    this.settings = settings
    this.origin = origin
    settings.all.add(this)
  }

  /** Whether it may take a call, in monotonic milliseconds. */
  isUsable(now: number): boolean {
    return this.state === "idle" && now < this.expiresAt
  }

  /** Whether it waits for a call. */
  get isIdle(): boolean {
    return this.state === "idle"
  }

  /** Whether a call is under way on it. */
  get isBusy(): boolean {
    return this.state === "busy" && this.exchange !== undefined
  }

  /** Whether it is not known that the backend got the request. */
  get isUnheard(): boolean {
    return this.isBusy && !this.heard
  }

  get isUntouched(): boolean {
    return this.written === 0
  }

  /** Adds to the time it has waited for the backend, and gives it; while it is held back, or has not all of the request, it waits for the client. */
  waits(ms: number): number {
    this.silentFor = this.held || this.source !== undefined ? 0 : this.silentFor + ms
    return this.silentFor
  }

  /** Hears what speaks against its silent backend; undefined when nothing does. */
  suspicion(suspicion: Suspicion | undefined): void {
    this.exchange?.silent(suspicion)
  }

  /**
   * Hears what the system knows of its bytes, and whether a new connection to the same port was made or is still
   * waited for since they were written.
   */
  hear(unacked: ((inode: string) => UnackedBytes | undefined) | undefined, made: boolean, waitedFor: boolean): void {
    const { exchange } = this
    if (!this.isUnheard || exchange === undefined) return
    const late = this.silentFor + livenessEveryMs >= exchange.connectMs
    const inode = this.inode()
    const bytes = inode === undefined ? undefined : unacked?.(inode)
    if (bytes === undefined) {
      this.heard = made
      if (waitedFor && this.wasUsed && late) exchange.unheard(false)
      return
    }
    const { tries, unacknowledged } = bytes
    this.heard = unacknowledged === 0 && this.unsent.length === 0 && this.source === undefined
    // Where one connection is dead, those that are kept are no better.
    if (tries >= 2) this.origin.retireAll()
    if ((tries >= 2 && made) || (tries >= 1 && late)) exchange.unheard(made)
  }

  /** Opens its socket; one of the two is called unless it is dropped before. */
  connect(connected: () => void, refused: (error: Unreachable) => void): void {
    this.connected = connected
    this.refused = refused
    this.dial()
  }

  private dial(): void {
    try {
      this.settings.dial(this).catch(() => undefined)
    } catch (error) {
      this.failed(error)
    }
  }

  /** Takes an idle connection for a call. */
  use(): void {
    this.state = "busy"
    this.wasUsed = true
  }

  /** Writes the request, as fast as the backend takes it; `source` has what follows the pieces. */
  write(pieces: ReadonlyArray<Uint8Array>, source?: BodySource): void {
    this.holds(pieces)
    this.source = source
    source?.onMore(() => this.flush())
    this.flush()
  }

  /** Holds the request until {@link flush}. */
  holds(pieces: ReadonlyArray<Uint8Array>): void {
    this.unsent = pieces
    this.heard = false
    this.written = 0
    this.silentFor = 0
  }

  pause(): void {
    this.held = true
    if (this.state !== "closed") this.socket?.pause()
  }

  resume(): void {
    this.held = false
    this.silentFor = 0
    if (this.state !== "closed") this.socket?.resume()
  }

  drop(): void {
    if (this.state === "closed") return
    this.leave()
    this.socket?.terminate()
  }

  /** Closes it in order, when nothing is under way on it. */
  retire(): void {
    if (this.state === "closed") return
    this.leave()
    this.socket?.end()
  }

  done(head: Pick<Head, "keepSeconds" | "keeps">, clean: boolean): void {
    if (this.state !== "busy") return
    const { idleMs, maxIdle, now } = this.settings
    const { idle } = this.origin
    const keptMs = head.keepSeconds === undefined ? idleMs : Math.min(idleMs, (head.keepSeconds - 1) * 1000)
    if (this.unsent.length > 0 || this.source !== undefined) return this.drop()
    if (!clean || !head.keeps || keptMs <= 0 || idle.length >= maxIdle || !this.origin.named) return this.retire()
    this.exchange = undefined
    this.state = "idle"
    const at = now()
    this.expiresAt = at + keptMs
    if (this.toldAt > this.expiresAt + idleStepSeconds * 1000) this.tellAt(at)
    idle.push(this)
  }

  /** The socket has been told to look whether it has waited too long. */
  timedOut(): void {
    const at = this.settings.now()
    this.toldAt = Infinity
    if (this.state !== "idle") return
    if (at >= this.expiresAt) this.retire()
    else this.tellAt(at)
  }

  private tellAt(at: number): void {
    const seconds = Math.ceil((this.expiresAt - at) / 1000) + idleStepSeconds
    this.toldAt = at + seconds * 1000
    this.socket?.timeout(seconds)
  }

  /** The socket is open. */
  opened(socket: Socket<Connection>): void {
    // The call may have been given up meanwhile.
    if (this.state === "closed") return void socket.terminate()
    this.socket = socket
    const { address, hostname, port } = this.origin
    this.settings.contacts?.opened(hostname, port, address, this.settings.now())
    socket.setNoDelay(true)
    if (this.origin.secure) this.state = "shaking"
    else this.ready()
    socket.setKeepAlive(true, probeAfterMs)
  }

  /** TLS is agreed, the certificate good and for this host; or not. */
  shaken(agreed: boolean, error: unknown): void {
    if (this.state !== "shaking") return
    // Where no certificate is looked at, Bun still says of some that nothing was agreed, and goes on.
    if (agreed || (this.origin.trust?.insecure === true && isCertificateFault(error))) this.ready()
    else this.refuse(handshakeFault(error))
  }

  /** The socket could not be opened. */
  failed(error: unknown): void {
    const { full, spent } = this.settings
    if (this.state === "closed") return
    const isSpent = spent()
    // The runtime calls it a refusal. What was kept back is there for this.
    if (this.dialled || !full()) return this.refuse(isSpent ? outOfFiles : openFailure(error))
    this.dialled = true
    this.dial()
  }

  /** Bytes have come. */
  data(bytes: Buffer): void {
    // Nobody asked an idle backend: it is not known what its bytes mean.
    if (this.state === "idle") return this.drop()
    this.silentFor = 0
    this.heard = true
    this.exchange?.take(bytes)
  }

  /** Writes what is still to be written, as far as the socket takes it. */
  flush(): void {
    while (this.state === "busy") {
      const [next] = this.unsent
      if (next === undefined) {
        if (!this.draw()) return
        continue
      }
      const written = this.socket?.write(next) ?? 0
      if (written > 0) this.written += written
      if (written < next.byteLength) {
        // What a broken connection does not take is left to its close event.
        if (written > 0) this.unsent = [next.subarray(written), ...this.unsent.slice(1)]
        return
      }
      this.unsent = this.unsent.length === 1 ? nothing : this.unsent.slice(1)
    }
  }

  // Takes the next piece of a body that is sent while it comes; whether there is anything to write.
  private draw(): boolean {
    const { source } = this
    const piece = source?.next()
    if (source === undefined || piece === "later") return false
    const inChunks = source.length === undefined
    if (piece === undefined) {
      this.source = undefined
      if (inChunks) this.unsent = lastChunk
      return inChunks
    }
    this.unsent = inChunks ? chunkOf(piece) : [piece]
    return true
  }

  /** The socket has closed, by an error or in order. */
  closed(error: unknown): void {
    const { exchange } = this
    if (this.state === "closed") return
    if (this.state === "shaking") return this.refuse(handshakeFault(error))
    this.leave()
    exchange?.closed(error === undefined)
  }

  /** Whoever took a piece threw an exception: the answer cannot go on. */
  broken(error: unknown): void {
    const { exchange } = this
    if (this.state === "shaking") return this.refuse(handshakeFault(error))
    this.drop()
    exchange?.fail(lateHandshakeFault(error) ?? toUpstreamError(error, true))
  }

  private inode(): string | undefined {
    const { socket } = this
    const fd = socket !== undefined && "fd" in socket ? socket.fd : undefined
    return typeof fd === "number" ? socketInode(fd) : undefined
  }

  private ready(): void {
    const { connected } = this
    this.state = "busy"
    this.forgets()
    connected()
  }

  private refuse(why: Unreachable): void {
    const { refused, socket } = this
    this.leave()
    socket?.terminate()
    this.forgets()
    refused(why)
  }

  private forgets(): void {
    this.connected = nobody
    this.refused = nobody
  }

  private leave(): void {
    const { idle } = this.origin
    if (this.state === "idle") idle.splice(idle.indexOf(this), 1)
    this.state = "closed"
    this.exchange = undefined
    this.unsent = nothing
    this.source = undefined
    this.settings.all.delete(this)
  }
}

/** The events of a socket, for the connection it belongs to. */
export const socketHandlers: SocketHandler<Connection> = {
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, agreed, error) => socket.data.shaken(agreed, error),
  data: (socket, bytes) => socket.data.data(bytes),
  drain: (socket) => socket.data.flush(),
  close: (socket, error) => socket.data.closed(error),
  error: (socket, error) => socket.data.broken(error),
  connectError: (socket, error) => socket.data.failed(error),
  timeout: (socket) => socket.data.timedOut()
}
