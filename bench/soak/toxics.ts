/**
 * A bad network in front of a backend: a TCP proxy that delays, cuts into slices, throttles, holds back, resets, goes dead
 * or stops taking connections for a while, as toxiproxy's toxics do.
 */
import type { Socket } from "bun"
import { between, type Chance, pick } from "./chance.ts"

/** What is done to one answer; drawn anew whenever a client has sent something. */
const toxics = {
  none: 800,
  latency: 60,
  slicer: 40,
  bandwidth: 30,
  resetPeer: 20,
  timeout: 10,
  limitData: 20,
  slowClose: 20
}

type Toxic = keyof typeof toxics

/** One side of a connection: what waits to be written to it, in order. */
interface Side {
  socket: Socket<Side> | undefined
  other: Side | undefined
  unsent: Buffer
  ended: boolean
  readonly isClient: boolean
  toxic: Toxic
  /** Bytes that may still pass under `limitData`. */
  left: number
  /** What is to pass and when, in monotonic milliseconds; in order. */
  readonly queue: Array<{ readonly at: number; readonly act: () => void }>
}

const side = (isClient: boolean): Side => ({
  socket: undefined,
  other: undefined,
  unsent: Buffer.alloc(0),
  ended: false,
  isClient,
  toxic: "none",
  left: Infinity,
  queue: []
})

const flush = (to: Side): void => {
  const { socket } = to
  if (socket === undefined) return
  if (to.unsent.length > 0) to.unsent = to.unsent.subarray(Math.max(socket.write(to.unsent), 0))
  if (to.ended && to.unsent.length === 0) socket.end()
}

const reset = (from: Side): void => {
  from.socket?.terminate()
  from.other?.socket?.terminate()
}

const push = (to: Side, bytes: Buffer): void => {
  to.unsent = to.unsent.length === 0 ? bytes : Buffer.concat([to.unsent, bytes])
  flush(to)
}

const run = (to: Side): void => {
  for (let next = to.queue[0]; next !== undefined; next = to.queue[0]) {
    const left = next.at - performance.now()
    if (left > 0) return void setTimeout(run, Math.ceil(left), to)
    next.act()
    to.queue.shift()
  }
}

// What was delayed keeps its order: nothing passes before what came first.
const after = (to: Side, ms: number, act: () => void): void => {
  const last = to.queue.at(-1)?.at ?? 0
  to.queue.push({ at: Math.max(last, performance.now()) + ms, act })
  if (to.queue.length === 1) run(to)
}

const slices = (bytes: Buffer, size: number): ReadonlyArray<Buffer> =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))

/** A proxy under way. */
export interface ToxicProxy {
  readonly port: number
  /** Connections that were reset, were held back, and so on, by the name of the toxic. */
  readonly counts: Record<string, number>
  /** Resets all connections and refuses new ones, until called with false. */
  readonly down: (isDown: boolean) => void
  /** Leaves everything alone from now on. */
  readonly calm: () => void
}

/** Starts a proxy in front of a port of loopback. */
export const startToxic = (target: number, chance: Chance): ToxicProxy => {
  const counts: Record<string, number> = {}
  const clients = new Set<Socket<Side>>()
  let calmed = false

  // An answer passes here under the toxic of its request.
  const answer = (to: Side, bytes: Buffer): void => {
    switch (to.toxic) {
      case "latency":
        return after(to, between(chance, 5, 120), () => push(to, bytes))
      case "slicer":
        for (const slice of slices(bytes, between(chance, 1, 40))) {
          after(to, between(chance, 0, 3), () => push(to, slice))
        }
        return
      case "bandwidth":
        return after(to, bytes.length / 20, () => push(to, bytes))
      case "timeout":
        return
      case "limitData": {
        const passed = bytes.subarray(0, to.left)
        to.left -= passed.length
        push(to, passed)
        if (to.left === 0) reset(to)
        return
      }
      default:
        return after(to, 0, () => push(to, bytes))
    }
  }

  const draw = (client: Side): void => {
    client.toxic = calmed ? "none" : pick(chance, toxics)
    if (client.toxic === "none") return
    counts[client.toxic] = (counts[client.toxic] ?? 0) + 1
    if (client.toxic === "limitData") client.left = between(chance, 1, 2000)
    if (client.toxic === "resetPeer") setTimeout(() => reset(client), between(chance, 0, 150))
    if (client.toxic === "timeout") setTimeout(() => reset(client), between(chance, 500, 4000))
  }

  const handlers = {
    open: (socket: Socket<Side>) => {
      socket.setNoDelay(true)
      socket.data.socket = socket
      flush(socket.data)
    },
    data: (socket: Socket<Side>, bytes: Buffer) => {
      const { other, isClient } = socket.data
      if (other === undefined) return
      const own = Buffer.from(bytes)
      if (!isClient) return answer(other, own)
      draw(socket.data)
      push(other, own)
    },
    drain: (socket: Socket<Side>) => {
      flush(socket.data)
    },
    end: (socket: Socket<Side>) => {
      const { other } = socket.data
      if (other === undefined) return
      after(other, other.toxic === "slowClose" ? between(chance, 100, 1000) : 0, () => {
        other.ended = true
        flush(other)
      })
    },
    close: (socket: Socket<Side>) => {
      const { other, isClient } = socket.data
      clients.delete(socket)
      if (other === undefined) return
      // What was on its way when the far side closed still arrives; a reset does not.
      if (isClient) other.socket?.terminate()
      else if (other.unsent.length === 0 && other.queue.length === 0) other.socket?.end()
    },
    error: () => undefined,
    connectError: (socket: Socket<Side>) => {
      reset(socket.data)
    }
  }

  const listen = (port: number) =>
    Bun.listen<Side>({
      hostname: "127.0.0.1",
      port,
      socket: {
        ...handlers,
        open: (socket) => {
          const client = side(true)
          const server = side(false)
          client.other = server
          server.other = client
          socket.data = client
          clients.add(socket)
          handlers.open(socket)
          const dialled = Bun.connect<Side>({ hostname: "127.0.0.1", port: target, data: server, socket: handlers })
          dialled.catch(() => reset(client))
        }
      }
    })

  let listener = listen(0)
  const { port } = listener
  return {
    port,
    counts,
    down: (isDown) => {
      if (!isDown) {
        listener = listen(port)
        return
      }
      listener.stop()
      for (const socket of clients) reset(socket.data)
    },
    calm: () => {
      calmed = true
    }
  }
}
