/**
 * What the kernel says of bytes that were sent and not answered: whether the other side has acknowledged them. Linux
 * tells it in /proc/net/tcp; elsewhere nothing is known.
 */
import { readlinkSync } from "node:fs"
import { readFile } from "node:fs/promises"

/** How what was sent on a socket stands; `tries` counts the times in a row that it was sent again for nothing. */
export interface UnackedBytes {
  readonly unacknowledged: number
  readonly tries: number
}

const tables = ["/proc/net/tcp", "/proc/net/tcp6"]

/** The key of a socket in {@link readUnacked}, by its file descriptor; undefined where the system does not tell. */
export const socketInode = (fd: number): string | undefined => {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  } catch {
    return undefined
  }
}

// Columns: number, local, remote, state, tx_queue:rx_queue, timer:when, retransmissions, uid, timeout, inode. Rows of which
// nothing is unacknowledged, nearly all, are passed over.
const waiting = /^ *\d+: \S+ \S+ \S+ (?!00000000)([0-9A-F]{8}):\S+ ([0-9A-F]{2}):\S+ ([0-9A-F]{8}) +\d+ +\d+ (\d+) /gm

// The timer that waits for an acknowledgment; others ask a full window or an idle peer, which answers.
const retransmission = "01"

/** The sockets of a table that have sent what is not acknowledged, by their inodes. */
export const unackedIn = (table: string): ReadonlyMap<string, UnackedBytes> => {
  const found = new Map<string, UnackedBytes>()
  for (const [, unacknowledged = "", timer = "", tries = "", inode = ""] of table.matchAll(waiting)) {
    found.set(inode, {
      unacknowledged: Number.parseInt(unacknowledged, 16),
      tries: timer === retransmission ? Number.parseInt(tries, 16) : 0
    })
  }
  return found
}

const acknowledged: UnackedBytes = { unacknowledged: 0, tries: 0 }

/** Reads the tables once, for any number of sockets of this process; undefined where there are none. */
export const readUnacked = async (): Promise<((inode: string) => UnackedBytes) | undefined> => {
  const [v4 = "", v6 = ""] = await Promise.all(tables.map((file) => readFile(file, "latin1").catch(() => "")))
  if (v4 === "" && v6 === "") return undefined
  const [four, six] = [unackedIn(v4), unackedIn(v6)]
  return (inode) => four.get(inode) ?? six.get(inode) ?? acknowledged
}
