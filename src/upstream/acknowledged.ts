/**
 * What the kernel says of bytes that were sent and not answered: whether the other side has acknowledged them. Linux
 * tells it in /proc/net/tcp; elsewhere nothing is known.
 */
import { readlinkSync } from "node:fs"
import { readFile } from "node:fs/promises"

/** How what was sent on a socket stands; `tries` counts the times in a row that it was sent again for nothing. */
export interface Standing {
  readonly unacknowledged: number
  readonly tries: number
}

const tables = ["/proc/net/tcp", "/proc/net/tcp6"]

/** The key of a socket in {@link standings}, by its file descriptor; undefined where the system does not tell. */
export const inodeOf = (fd: number): string | undefined => {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  } catch {
    return undefined
  }
}

// Columns: number, local, remote, state, tx_queue:rx_queue, timer:when, retransmissions, uid, timeout, inode.
const row = (inode: string): RegExp =>
  new RegExp(`^ *\\d+: \\S+ \\S+ \\S+ ([0-9A-F]+):\\S+ ([0-9A-F]+):\\S+ ([0-9A-F]+) +\\d+ +\\d+ ${inode} `, "m")

// The timer that waits for an acknowledgment; others ask a full window or an idle peer, which answers.
const retransmission = "01"

/** The standing of one socket in the text of a table; undefined when it is not in there. */
export const standingIn = (table: string, inode: string): Standing | undefined => {
  // A table of thousands is searched for the place first.
  const place = table.indexOf(` ${inode} `)
  if (place < 0) return undefined
  const from = table.lastIndexOf("\n", place) + 1
  const end = table.indexOf("\n", place)
  const found = row(inode).exec(table.slice(from, end < 0 ? undefined : end + 1))
  if (found === null) return standingIn(table.slice(place + 1), inode)
  const [, unacknowledged = "", timer = "", tries = ""] = found
  return {
    unacknowledged: Number.parseInt(unacknowledged, 16),
    tries: timer === retransmission ? Number.parseInt(tries, 16) : 0
  }
}

/** Reads the tables once, for any number of sockets; undefined where there are none. */
export const standings = async (): Promise<((inode: string) => Standing | undefined) | undefined> => {
  const [v4 = "", v6 = ""] = await Promise.all(tables.map((file) => readFile(file, "latin1").catch(() => "")))
  if (v4 === "" && v6 === "") return undefined
  return (inode) => standingIn(v4, inode) ?? standingIn(v6, inode)
}
