/**
 * What the kernel can be told of the connections to this process, and Bun cannot: at the limit of open files Bun asks for
 * the next one without a pause, and does not count those that never sent anything among the idle. Linux only.
 */
import { dlopen } from "bun:ffi"
import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"

/** The connections to this process, where the system lets them be told apart. */
export interface Sockets {
  /** Takes those that wait, as far as files allow; further ones are from now on taken as they come, or at the next call. */
  readonly takeAsTheyCome: () => void
  /** Ends what `takeAsTheyCome` began. */
  readonly takeAlways: () => void
  /** Closes those on which nothing was ever sent, in so many ms; goes through a part of all at each call. */
  readonly closeMute: (silentMs: number) => void
}

const nothing: Sockets = { takeAsTheyCome: () => undefined, takeAlways: () => undefined, closeMute: () => undefined }

// As Linux numbers them on the machines that Nexus is built for.
const internet = new Set([2, 10])
const solSocket = 1
const soAcceptConn = 30
const tcp = 6
const tcpInfo = 11
const shutBoth = 2
const noFile = 7
const modify = 3
const edgeTriggered = 0x8000_0000

// Where struct tcp_info, which only ever grew at its end, tells of the state, of the ms since data came, and of its bytes.
const established = 1
const sinceDataAt = 52
const receivedAt = 128
const knownBytes = 136

/** Files that are gone through at a time, so that a very high limit holds nobody up. */
const atOnce = 8192

const openLibrary = () =>
  dlopen("libc.so.6", {
    epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
    getrlimit: { args: ["i32", "ptr"], returns: "i32" },
    getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    shutdown: { args: ["i32", "i32"], returns: "i32" }
  }).symbols

/** A socket that is listened on, and how the event loop has asked for its events. */
interface Listener {
  readonly loop: number
  readonly file: number
  readonly inode: number
  /** Undefined for a socket in the file system. */
  readonly port: number | undefined
  readonly events: number
  readonly data: bigint
}

/** What an event loop waits for, by the lines that the kernel has of it. */
const waitedFor = (loop: number, info: string): ReadonlyArray<Omit<Listener, "inode" | "port">> =>
  [...info.matchAll(/^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)/gm)].map(
    ([, file = "", events = "", data = ""]) => ({
      loop,
      file: Number(file),
      events: Number.parseInt(events, 16),
      data: BigInt(`0x${data}`)
    })
  )

const inodeOf = (file: number): number | undefined => {
  try {
    return fstatSync(file).ino
  } catch {
    return undefined
  }
}

const isLoop = (file: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${file}`) === "anon_inode:[eventpoll]"
  } catch {
    return false
  }
}

class OfLinux implements Sockets {
  private readonly libc = openLibrary()
  private readonly bytes = new Uint8Array(512)
  private readonly room = new DataView(this.bytes.buffer)
  private readonly size = new Uint32Array(1)
  private listeners: ReadonlyArray<Listener> = []
  private next = 0

  takeAsTheyCome(): void {
    if (this.listeners.length === 0) this.listeners = this.findListeners()
    // Asked anew, the kernel tells once more of those that wait.
    for (const each of this.listeners) this.ask(each, each.events | edgeTriggered)
  }

  takeAlways(): void {
    for (const each of this.listeners) this.ask(each, each.events)
    this.listeners = []
  }

  closeMute(silentMs: number): void {
    const ports = new Set(this.listeners.map(({ port }) => port))
    const end = Math.min(this.next + atOnce, this.limit())
    let sockets = 0
    for (let file = this.next; file < end; file += 1) {
      const port = this.portOf(file)
      if (port === undefined) continue
      sockets += 1
      // Bun sees that it has ended, and closes it by itself.
      if (ports.has(port) && this.isMute(file, silentMs)) this.libc.shutdown(file, shutBoth)
    }
    // The system gives out the lowest numbers first.
    this.next = sockets === 0 || end < this.next + atOnce ? 0 : end
  }

  private findListeners(): ReadonlyArray<Listener> {
    try {
      return readdirSync("/proc/self/fd")
        .filter(isLoop)
        .flatMap((loop) => waitedFor(Number(loop), readFileSync(`/proc/self/fdinfo/${loop}`, "latin1")))
        .filter(({ file }) => this.option(file, solSocket, soAcceptConn) && this.room.getInt32(0, true) === 1)
        .flatMap((each) => {
          const inode = inodeOf(each.file)
          return inode === undefined ? [] : [{ ...each, inode, port: this.portOf(each.file) }]
        })
    } catch {
      return []
    }
  }

  private ask({ loop, file, inode, data }: Listener, events: number): void {
    // The number may be another file's by now, and the data another object's.
    if (inodeOf(file) !== inode) return
    this.room.setUint32(0, events, true)
    this.room.setBigUint64(process.arch === "x64" ? 4 : 8, data, true)
    this.libc.epoll_ctl(loop, modify, file, this.bytes)
  }

  private limit(): number {
    return this.libc.getrlimit(noFile, this.bytes) === 0 ? Number(this.room.getBigUint64(0, true)) : 0
  }

  private isMute(file: number, silentMs: number): boolean {
    if (!this.option(file, tcp, tcpInfo) || (this.size[0] ?? 0) < knownBytes) return false
    const { room } = this
    if (room.getUint8(0) !== established || room.getBigUint64(receivedAt, true) !== 0n) return false
    return room.getUint32(sinceDataAt, true) >= silentMs
  }

  /** The local port; undefined for what is no socket of the network. */
  private portOf(file: number): number | undefined {
    this.size[0] = this.room.byteLength
    if (this.libc.getsockname(file, this.bytes, this.size) !== 0) return undefined
    return internet.has(this.room.getUint16(0, true)) ? this.room.getUint16(2) : undefined
  }

  private option(file: number, level: number, name: number): boolean {
    this.size[0] = this.room.byteLength
    return this.libc.getsockopt(file, level, name, this.bytes, this.size) === 0
  }
}

/** Those of this process; where the system does not let them be told apart nothing is done. */
export const ofThisProcess = (): Sockets => {
  if (process.platform !== "linux") return nothing
  try {
    return new OfLinux()
  } catch {
    return nothing
  }
}
