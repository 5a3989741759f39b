/**
 * A listener of our own that says what it has read, and a client that shows every byte of what came back.
 */
import { connect, type Socket } from "node:net"
import {
  HttpListener,
  type ListenerLimits,
  type ListenerOptions,
  usualLimits
} from "../../src/listener/HttpListener.ts"
import { answerFields } from "../../src/listener/response-head.ts"
import type { ServerExchange } from "../../src/listener/server-exchange.ts"

/** A listener under test. */
export interface Host extends AsyncDisposable {
  readonly port: number
  readonly listener: HttpListener
  /** Statuses of refusals that nobody was asked about. */
  readonly refused: ReadonlyArray<number>
  /** Lets so much time pass for all connections, in milliseconds. */
  readonly pass: (ms: number) => void
}

/** What answers a request. */
export type Answerer = (exchange: ServerExchange) => void | Promise<void>

const none = answerFields({})

/** Answers in one piece. */
export const say = (exchange: ServerExchange, text: string, status = 200): void =>
  exchange.respond(status, none, Buffer.from(text))

/** Says what was read of a request. */
export const echo: Answerer = async (exchange) => {
  const { host, isOld, method, path } = exchange.head
  const body = Buffer.from(await exchange.bytes()).toString("latin1")
  say(exchange, JSON.stringify({ method, path, host, isOld, body }))
}

/** Starts one on a port of loopback; time stands still unless it is let pass. */
export const startHost = (
  answer: Answerer = echo,
  limits: Partial<ListenerLimits> = {},
  more: Partial<ListenerOptions> = {}
): Host => {
  const refused: Array<number> = []
  const listener = new HttpListener({
    hostname: "127.0.0.1",
    port: 0,
    limits: { ...usualLimits, ...limits },
    wallMs: () => 784_111_777_000,
    onRefused: (status) => refused.push(status),
    handle: (exchange) => void Promise.resolve(answer(exchange)).catch(() => exchange.error()),
    ...more
  })
  return {
    port: listener.port,
    listener,
    refused,
    pass: (ms) => listener.look(ms),
    [Symbol.asyncDispose]: () => listener.stop(true)
  }
}

/** A connection to a listener. */
export interface Caller extends Disposable {
  readonly socket: Socket
  readonly send: (text: string | Uint8Array) => void
  /** Sends nothing more, and reads on. */
  readonly halfClose: () => void
  /** All that came so far, as Latin-1 text. */
  readonly text: () => string
  /** Waits until what came holds, or the connection has ended. */
  readonly until: (holds: (text: string) => boolean) => Promise<string>
  /** Waits for the end; `reset` tells how it came. */
  readonly end: () => Promise<string>
  readonly state: () => "open" | "ended" | "reset"
}

/** Connects. */
export const call = (port: number): Promise<Caller> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    let text = ""
    let state: "open" | "ended" | "reset" = "open"
    const waiting = new Set<() => void>()
    const wake = () => {
      for (const each of waiting) each()
    }
    socket.on("data", (piece: Buffer) => {
      text += piece.toString("latin1")
      wake()
    })
    socket.on("end", () => {
      if (state === "open") state = "ended"
      socket.end()
      wake()
    })
    socket.on("error", (error) => {
      if (state === "open") state = "reset"
      reject(error)
      wake()
    })
    const until = (holds: (text: string) => boolean): Promise<string> =>
      new Promise((done, failed) => {
        const look = () => {
          if (!holds(text) && state === "open") return
          clearTimeout(timer)
          waiting.delete(look)
          done(text)
        }
        const timer = setTimeout(() => {
          waiting.delete(look)
          failed(new Error(`still waiting, with ${JSON.stringify(text.slice(-300))}`))
        }, 60_000)
        waiting.add(look)
        look()
      })
    socket.once("connect", () =>
      resolve({
        socket,
        send: (bytes) => void socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes),
        halfClose: () => void socket.end(),
        text: () => text,
        until,
        end: () => until(() => false),
        state: () => state,
        [Symbol.dispose]: () => void socket.destroy()
      })
    )
  })

/** All that comes back for some bytes, until the listener ends the connection. */
export const ask = async (port: number, text: string | Uint8Array): Promise<string> => {
  using caller = await call(port)
  caller.send(text)
  return await caller.end()
}

/** The statuses of all answers in what came back, in order. */
export const statuses = (text: string): ReadonlyArray<number> =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

/** The bodies of echoes in what came back, in order. */
export const echoes = (text: string): ReadonlyArray<{ method: string; path: string; host: string; body: string }> =>
  [...text.matchAll(/\r\n\r\n(\{.*?\})(?=HTTP|$)/g)].map(([, json = ""]) => JSON.parse(json))

/** A last request, behind which the connection ends. */
export const last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
