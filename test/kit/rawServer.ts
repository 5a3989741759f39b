/**
 * A server that writes exactly the bytes it is told to, when it is told to: the ground under every fake backend.
 */
import { createServer, type AddressInfo, type Socket } from "node:net"
import { bytesOf, type Headers, headerOf, join, takeRequest } from "./http.ts"

/**
 * One thing a connection does: write bytes (one write each), wait for a promise of the test, wait some milliseconds, end
 * the connection in order (`fin`) or abruptly (`reset`), say nothing more (`hang`), or stop reading (`deaf`).
 */
export type Step =
  | string
  | Uint8Array
  | { readonly until: Promise<unknown> }
  | { readonly pause: number }
  | "fin"
  | "reset"
  | "hang"
  | "deaf"

/** One request as it came. */
export interface Seen {
  readonly method: string
  readonly target: string
  /** The head, byte for byte. */
  readonly head: string
  /** Names and values as they were written, in order. */
  readonly headers: Headers
  readonly body: Uint8Array
  readonly text: string
  /** Number of the connection, from 0. */
  readonly connection: number
  /** Number of the request on its connection, from 0: above 0, the socket was reused. */
  readonly nth: number
  /** Monotonic milliseconds. */
  readonly at: number
  readonly header: (name: string) => string | undefined
  /** Resolves when the connection is gone, with the monotonic milliseconds of that moment. */
  readonly gone: Promise<number>
}

/** What to do with a request. */
export type Script = (request: Seen) => Iterable<Step> | AsyncIterable<Step>

/** What a raw server does. */
export interface RawOptions {
  readonly script: Script
  /** Done with a connection at once, before any byte of it is read; nothing by default. */
  readonly greet?: (connection: number) => Iterable<Step>
  readonly port?: number
}

/** A raw server that is listening. */
export interface RawServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly requests: ReadonlyArray<Seen>
  /** Connections accepted so far. */
  readonly accepted: () => number
  /** Connections open now. */
  readonly open: () => number
  readonly isOpen: (connection: number) => boolean
  /** Requests that are being answered now. */
  readonly busy: () => number
  /** Most requests that were being answered at one time. */
  readonly busiest: () => number
  /** Resets every connection and refuses new ones; the port stays known. */
  readonly kill: () => Promise<void>
  /** Refuses new connections from now on; those there are stay as they are. */
  readonly refuse: () => void
  /** Resets every connection, and goes on listening. */
  readonly dropAll: () => void
  /** Listens again on the same port. */
  readonly revive: () => Promise<void>
}

interface Connection {
  readonly id: number
  readonly socket: Socket
  readonly gone: Promise<number>
  pieces: Array<Uint8Array>
  size: number
  /** Bytes that must have come before it is worth looking for a request. */
  wanted: number
  nth: number
  working: boolean
  /** Ends the wait for the write under way. */
  taken: () => void
}

/** Writes, and waits until the bytes have been taken or the connection is gone. */
const written = (connection: Connection, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    connection.taken = resolve
    connection.socket.write(bytes, () => resolve())
  })

/** Starts a raw server on loopback. */
export const startRaw = async (options: RawOptions): Promise<RawServer> => {
  const requests: Array<Seen> = []
  const connections = new Set<Connection>()
  let accepted = 0
  let busy = 0
  let busiest = 0
  let port = options.port ?? 0

  /** Plays steps; false when the connection takes no further request. */
  const play = async (connection: Connection, steps: Iterable<Step> | AsyncIterable<Step>): Promise<boolean> => {
    const { socket, gone } = connection
    for await (const step of steps) {
      if (socket.destroyed) return false
      if (step === "fin") {
        socket.end()
        await gone
        return false
      } else if (step === "reset") {
        socket.resetAndDestroy()
        return false
      } else if (step === "hang") {
        await gone
        return false
      } else if (step === "deaf") socket.pause()
      else if (typeof step === "object" && "until" in step) await Promise.race([step.until, gone])
      else if (typeof step === "object" && "pause" in step) await Promise.race([Bun.sleep(step.pause), gone])
      else await written(connection, typeof step === "string" ? bytesOf(step) : step)
    }
    return !socket.destroyed
  }

  const serve = async (connection: Connection): Promise<void> => {
    if (connection.working) return
    connection.working = true
    for (;;) {
      if (connection.size < connection.wanted) break
      const whole = join(connection.pieces)
      connection.pieces = [whole]
      const taken = takeRequest(whole)
      connection.wanted = typeof taken === "number" ? taken : 1
      if (typeof taken === "number") break
      connection.pieces = [taken.rest]
      connection.size = taken.rest.byteLength
      const { headers } = taken
      const seen: Seen = {
        ...taken,
        text: new TextDecoder().decode(taken.body),
        connection: connection.id,
        nth: connection.nth,
        at: performance.now(),
        header: (name) => headerOf(headers, name),
        gone: connection.gone
      }
      connection.nth += 1
      requests.push(seen)
      busy += 1
      busiest = Math.max(busiest, busy)
      const open = await play(connection, options.script(seen)).catch(() => false)
      busy -= 1
      if (!open) return
    }
    connection.working = false
  }

  const server = createServer((socket) => {
    socket.setNoDelay(true)
    const gone = Promise.withResolvers<number>()
    const connection: Connection = {
      id: accepted,
      socket,
      gone: gone.promise,
      pieces: [],
      size: 0,
      wanted: 1,
      nth: 0,
      working: false,
      taken: () => undefined
    }
    accepted += 1
    connections.add(connection)
    socket.on("error", () => undefined)
    socket.on("close", () => {
      connections.delete(connection)
      connection.taken()
      gone.resolve(performance.now())
    })
    socket.on("data", (piece: Buffer) => {
      connection.pieces.push(new Uint8Array(piece))
      connection.size += piece.byteLength
      void serve(connection)
    })
    if (options.greet !== undefined) {
      const greeting = options.greet(connection.id)
      connection.working = true
      void play(connection, greeting).then((open) => {
        connection.working = !open
        return open ? serve(connection) : undefined
      })
    }
  })

  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject)
        resolve()
      })
    })
  const dropAll = () => {
    for (const { socket } of connections) socket.resetAndDestroy()
  }
  const kill = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      dropAll()
    })

  await listen()
  port = (server.address() as AddressInfo).port // reason: a TCP server that listens has an address
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    accepted: () => accepted,
    open: () => connections.size,
    isOpen: (id) => [...connections].some((each) => each.id === id),
    busy: () => busy,
    busiest: () => busiest,
    kill,
    refuse: () => {
      server.close()
    },
    dropAll,
    revive: listen,
    [Symbol.asyncDispose]: () => {
      if (server.listening) return kill()
      dropAll()
      return Promise.resolve()
    }
  }
}
