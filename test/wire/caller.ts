/**
 * A caller of the client for plain http, for its tests.
 */
import { afterEach } from "bun:test"
import type { UpstreamError } from "../../src/domain/upstream-errors.ts"
import { Abort } from "../../src/wire/abort.ts"
import type { ReceivedAnswer } from "../../src/wire/received-answer.ts"
import { type ConnectionPool, type ConnectionPoolOptions, makeConnectionPool } from "../../src/wire/ConnectionPool.ts"
import type { Call } from "../../src/wire/call.ts"
import { startRaw, type Step } from "../kit/rawServer.ts"

/** A small whole answer. */
export const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
/** The head of an answer in chunks. */
export const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

const clients: Array<ConnectionPool> = []

/** A client that is closed after the test. */
export const client = (options?: ConnectionPoolOptions): ConnectionPool => {
  const made = makeConnectionPool(options)
  clients.push(made)
  return made
}

afterEach(() => {
  for (const each of clients.splice(0)) each.close()
})

/** A server that answers each request with the next of these, and all further ones with the last. */
export const serverOf = (...scripts: ReadonlyArray<ReadonlyArray<Step>>) => {
  let nth = 0
  return startRaw({
    script: () => {
      const steps = scripts[Math.min(nth, scripts.length - 1)] ?? []
      nth += 1
      return steps
    }
  })
}

/** A call that counts how often it was told of a connection. */
export const callTo = (url: string, more: Partial<Call> = {}) => {
  const told = { connected: 0 }
  const call: Call = {
    url,
    headers: {},
    body: new TextEncoder().encode("{}"),
    abort: new Abort(),
    fresh: false,
    ...more
  }
  const connected = (): void => {
    told.connected += 1
  }
  return { call, told, connected }
}

/** A body as far as it came, and how it ended. */
export interface Drained {
  readonly text: string
  readonly bytes: number
  readonly error: UpstreamError | undefined
}

/** Reads a body to its end; fails the test when anything comes after the end. */
export const drain = (arrival: ReceivedAnswer, onPiece?: (bytes: Uint8Array) => void): Promise<Drained> =>
  new Promise((resolve, reject) => {
    const decoder = new TextDecoder()
    let text = ""
    let bytes = 0
    let ended = false
    let started = false
    const end = (error: UpstreamError | undefined) => {
      if (ended) reject(new Error("it ended twice"))
      ended = true
      resolve({ text: text + decoder.decode(), bytes, error })
    }
    arrival.body.start({
      piece: (piece) => {
        if (ended || !started) reject(new Error("a piece at the wrong time"))
        bytes += piece.byteLength
        if (bytes < 1_000_000) text += decoder.decode(piece, { stream: true })
        onPiece?.(piece)
      },
      end: () => end(undefined),
      fail: (error) => end(error)
    })
    started = true
  })

/** Sends a call and reads its answer to the end. */
export const ask = async (client: ConnectionPool, url: string, more?: Partial<Call>) => {
  const { call, connected, told } = callTo(url, more)
  const arrival = await client.send(call, connected)
  return {
    status: arrival.status,
    header: (name: string) => arrival.header(name),
    ...(await drain(arrival)),
    connected: told.connected
  }
}

/** What a call is rejected with. */
export const rejection = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => {
      throw new Error("it was answered")
    },
    (reason: unknown) => reason
  )

/** Waits for something that other events bring about. */
export const until = async (reached: () => boolean, withinMs = 60_000): Promise<void> => {
  const end = performance.now() + withinMs
  while (!reached()) {
    if (performance.now() > end) throw new Error("it did not come to that")
    await Bun.sleep(1)
  }
}
