/**
 * Connections that say nothing, or next to nothing, beside service: what each costs, whether who asks meanwhile is served, and
 * when each kind of them is let go.
 */
import type { Socket } from "bun"
import { closedLoop, type Load } from "../load.ts"
import type { Running } from "../processes.ts"
import { rssOf, socketsOf } from "../procfs.ts"
import { get, post } from "../wire.ts"

/** A way to be silent: what is sent at first, what each second, and how many do it for each thousand. */
interface Kind {
  readonly name: string
  readonly share: number
  readonly first?: Uint8Array
  readonly drip?: Uint8Array
}

const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

/** All of them. */
const kinds: ReadonlyArray<Kind> = [
  { name: "asked once", share: 800, first: get("/livez") },
  { name: "never asked", share: 100 },
  { name: "half a head", share: 50, first: Buffer.from(head) },
  { name: "a head, drop by drop", share: 25, first: Buffer.from(`${head}X-Slow: `), drip: Buffer.from("a") },
  {
    name: "a body, drop by drop",
    share: 25,
    first: Buffer.from(`${head}Content-Length: 10000\r\n\r\n{`),
    drip: Buffer.from(" ")
  }
]

/** What became of one kind; times in seconds since each was opened, undefined while none was closed. */
interface Silence {
  readonly name: string
  readonly opened: number
  readonly answered: number
  readonly closed: number
  readonly leastAfter: number | undefined
  readonly mostAfter: number | undefined
}

/** What it came to. */
export interface Idling {
  readonly silences: ReadonlyArray<Silence>
  /** Sockets of the gateway with all of them open, those alone that were opened here. */
  readonly held: number
  /** Resident bytes for each. */
  readonly bytes: number
  readonly before: Load
  readonly beside: Load
  /** Sockets that are left in the end. */
  readonly left: number
}

/** One of them: when it was opened, and whether it was told something. */
interface Held {
  readonly at: number
  told: boolean
}

class Silent {
  opened = 0
  answered = 0
  closed = 0
  leastAfter: number | undefined
  mostAfter: number | undefined
  readonly sockets = new Set<Socket<Held>>()
  readonly kind: Kind

  constructor(kind: Kind) {
    this.kind = kind
  }

  async open(port: number): Promise<void> {
    const { first } = this.kind
    const socket = await Bun.connect<Held>({
      hostname: "127.0.0.1",
      port,
      data: { at: performance.now(), told: false },
      socket: {
        data: ({ data }) => {
          if (!data.told) this.answered += 1
          data.told = true
        },
        close: (gone) => {
          const after = (performance.now() - gone.data.at) / 1000
          this.sockets.delete(gone)
          this.closed += 1
          this.leastAfter = Math.min(after, this.leastAfter ?? Infinity)
          this.mostAfter = Math.max(after, this.mostAfter ?? 0)
        },
        error: () => undefined
      }
    })
    this.opened += 1
    this.sockets.add(socket)
    if (first !== undefined) socket.write(first)
  }

  drips(): void {
    const { drip } = this.kind
    if (drip !== undefined) for (const socket of this.sockets) socket.write(drip)
  }
}

// So many are opened at a time.
const together = 200

const request = post(
  "/v1/chat/completions",
  `{"soak":{"id":"idle","frames":0},"model":"soak","messages":[{"role":"user","content":"hello"}],"stream":false}`
)

const served = ({ port }: Running): Promise<Load> => closedLoop(port, request, 8, 3)

/** Opens so many connections, asks beside them, and waits until they are closed, for `mostSeconds` at most from then on. */
export const idle = async (gateway: Running, count: number, mostSeconds: number): Promise<Idling> => {
  await served(gateway)
  const before = await served(gateway)
  // Those who asked leave.
  await Bun.sleep(1000)
  const rss = rssOf(gateway.pid)
  const sockets = socketsOf(gateway.pid)
  const all = kinds.map((kind) => new Silent(kind))
  for (const each of all) {
    const wanted = Math.round((count * each.kind.share) / 1000)
    while (each.opened < wanted) {
      const next = Math.min(together, wanted - each.opened)
      await Promise.all(Array.from({ length: next }, () => each.open(gateway.port)))
    }
  }
  const dripping = setInterval(() => {
    for (const each of all) each.drips()
  }, 1000)
  await Bun.sleep(1000)
  const held = socketsOf(gateway.pid) - sockets
  const bytes = (rssOf(gateway.pid) - rss) / Math.max(1, held)
  const beside = await served(gateway)
  const until = performance.now() + mostSeconds * 1000
  while (performance.now() < until && all.some((each) => each.sockets.size > 0)) await Bun.sleep(200)
  clearInterval(dripping)
  const silences = all.map(({ answered, closed, kind: { name }, leastAfter, mostAfter, opened }): Silence => ({
    name,
    opened,
    answered,
    closed,
    leastAfter,
    mostAfter
  }))
  for (const each of all) for (const socket of each.sockets) socket.terminate()
  await Bun.sleep(1000)
  return { silences, held, bytes, before, beside, left: socketsOf(gateway.pid) - sockets }
}
