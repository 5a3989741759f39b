/**
 * What becomes of calls whose backend says nothing. Most of them wait for a long prompt; some wait for a machine that is
 * gone. One look at all connections every quarter of a second tells them apart, by what costs least: whether the bytes
 * were acknowledged, then whether the port still takes a connection.
 */
import type { UnackedBytes } from "./tcp-acks.ts"
import type { Connection } from "./connection.ts"
import { type PortCheck, type Suspicion, type PortState, livenessEveryMs } from "./liveness.ts"
import type { Origin } from "./connection.ts"

/** A silence shorter than this, in milliseconds, is none. */
const silentMs = 500

/** After which silence a port is first tried, and how far apart the later tries come to be, in milliseconds. */
const firstCheckMs = 1000
const checkEveryMs = 5000

/** An attempt to connect that has not come to anything after this is taken to be unanswered, in milliseconds. */
const unansweredMs = 5000

/** What the watch over silence draws on. */
export interface LivenessSources {
  readonly all: Iterable<Connection>
  /** Tries whether a port takes connections. */
  readonly probePort: (origin: Origin) => Promise<PortState>
  /** What the system knows of sent bytes; undefined where it does not tell. */
  readonly unacked: () => Promise<((inode: string) => UnackedBytes | undefined) | undefined>
}

/** The watch over silent calls. */
export class LivenessWatch {
  private readonly on: LivenessSources
  // Time as it was looked at: a pause of the process is no silence of anybody.
  private time = 0
  private asking = false

  constructor(on: LivenessSources) {
    this.on = on
  }

  /** Looks at all connections; called every {@link livenessEveryMs}. Whether any of them is at work. */
  look(): boolean {
    this.time += livenessEveryMs
    let busy = false
    const silent = new Map<Origin, Array<Connection>>()
    for (const connection of this.on.all) {
      if (!connection.isBusy) continue
      busy = true
      if (connection.waits(livenessEveryMs) < silentMs) continue
      const there = silent.get(connection.origin)
      if (there === undefined) silent.set(connection.origin, [connection])
      else there.push(connection)
    }
    const unheard: Array<Connection> = []
    for (const [origin, connections] of silent) {
      this.judge(origin, connections)
      for (const connection of connections) if (connection.isUnheard) unheard.push(connection)
    }
    if (unheard.length > 0 && !this.asking) void this.ask(unheard)
    return busy
  }

  private judge(origin: Origin, connections: ReadonlyArray<Connection>): void {
    const longest = connections.reduce((most, { silentFor }) => Math.max(most, silentFor), 0)
    const { check } = origin
    const suspicion = check === undefined ? undefined : this.suspicionOf(check)
    for (const connection of connections) {
      connection.suspicion(check !== undefined && this.isOf(check, connection) ? suspicion : undefined)
    }
    if (check === undefined ? longest >= firstCheckMs : this.isOver(check, longest)) this.begin(origin)
  }

  // A check from before the silence says nothing of it.
  private isOf({ begun }: PortCheck, { silentFor }: Connection): boolean {
    return this.time - begun < silentFor
  }

  private isOver({ begun, result }: PortCheck, longest: number): boolean {
    const age = this.time - begun
    if (longest < firstCheckMs || age < firstCheckMs) return false
    return age >= (result === undefined ? unansweredMs : Math.min(checkEveryMs, longest / 2))
  }

  private begin(origin: Origin): void {
    const check: PortCheck = { begun: this.time, result: undefined }
    origin.check = check
    void this.on.probePort(origin).then((result) => {
      check.result = result
    })
  }

  private suspicionOf({ begun, result }: PortCheck): Suspicion | undefined {
    if (result === "open" || result === "unknown") return undefined
    if (result !== undefined) return { gone: result.reason }
    return this.time - begun < unansweredMs ? undefined : { gone: undefined }
  }

  private async ask(unheard: ReadonlyArray<Connection>): Promise<void> {
    this.asking = true
    const unacked = await this.on.unacked().catch(() => undefined)
    this.asking = false
    for (const connection of unheard) {
      const { check } = connection.origin
      const result = check !== undefined && this.isOf(check, connection) ? (check.result ?? "pending") : undefined
      connection.hear(unacked, result === "open", result === "pending")
    }
  }
}
