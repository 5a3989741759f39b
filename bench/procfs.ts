/**
 * What the kernel says about a process.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs"

const ticksPerSecond = 100

const fieldsOf = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(file, "latin1")
  return text.slice(text.lastIndexOf(")") + 2).split(" ")
}

/** Processor time a process has used, user and system, in microseconds; all its threads. */
export const cpuOf = (pid: number): number => {
  const fields = fieldsOf(`/proc/${String(pid)}/stat`)
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticksPerSecond
}

/** The same to the nanosecond, by the threads that it has now. */
export const cpuByThread = (pid: number): ReadonlyMap<string, number> =>
  new Map(
    readdirSync(`/proc/${String(pid)}/task`).flatMap((thread): ReadonlyArray<readonly [string, number]> => {
      try {
        const [ran] = readFileSync(`/proc/${String(pid)}/task/${thread}/schedstat`, "latin1").split(" ", 1)
        return [[thread, Number(ran) / 1000]]
      } catch {
        // It has ended in between.
        return []
      }
    })
  )

/** What has been used since then; a sum over all threads would go back by all that one has ever used that ends. */
export const cpuSince = (pid: number, before: ReadonlyMap<string, number>): number =>
  cpuByThread(pid)
    .entries()
    .reduce((sum, [thread, used]) => sum + used - (before.get(thread) ?? 0), 0)

/** What a process has started and what still runs. */
export const childrenOf = (pid: number): ReadonlyArray<number> =>
  readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "latin1")
    .split(" ")
    .filter(Boolean)
    .map(Number)

/** Processor time of a process and all that it has started and that still run. */
export const cpuOfFamily = (pid: number): number =>
  childrenOf(pid).reduce((sum, child) => sum + cpuOfFamily(child), cpuOf(pid))

/** Processor time the whole machine has used, in microseconds: to tell that others were at work. */
export const cpuOfMachine = (): number => {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? ""
  const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = line.split(/\s+/).slice(1).map(Number)
  return ((user + nice + system + irq + soft) * 1e6) / ticksPerSecond
}

/** Resident memory in bytes. */
export const rssOf = (pid: number): number => {
  const status = readFileSync(`/proc/${String(pid)}/status`, "latin1")
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
}

/** The inodes of the sockets that a process has open. */
const inodesOf = (pid: number): ReadonlyArray<string> => {
  const folder = `/proc/${String(pid)}/fd`
  return readdirSync(folder).flatMap((name) => {
    try {
      return /^socket:\[(\d+)\]/.exec(readlinkSync(`${folder}/${name}`))?.[1] ?? []
    } catch {
      return []
    }
  })
}

/** Sockets that a process has open. */
export const socketsOf = (pid: number): number => inodesOf(pid).length

/** Connections that a process has taken on a port, of IPv4. */
export const connectionsOf = (pid: number, port: number): number => {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  const lines = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)
  const fields = lines.map((line) => line.trim().split(/\s+/))
  const open = fields.filter(([, local, , state]) => local?.endsWith(end) === true && state === "01")
  const own = new Set(inodesOf(pid))
  return open.filter((each) => own.has(each[9] ?? "")).length
}

/** Name of the processor. */
export const cpuModel = (): string =>
  /model name\s*:\s*(.+)/.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1] ?? "unknown processor"
