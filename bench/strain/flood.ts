/**
 * A backend without end: it answers with as many bytes as the request asks for, as fast as they are taken.
 */
import type { Socket, TLSOptions } from "bun"
import { type Inbound, nothingYet, takeIn } from "../inbound.ts"

/** How an answer is framed: an event stream, or one JSON document, in chunks or of a declared length. */
export const forms = ["events", "chunked", "declared"] as const

/** One of {@link forms}. */
export type Form = (typeof forms)[number]

/** What a request asks for, at the start of its body. */
interface Flooding {
  readonly form: Form
  readonly bytes: number
}

/** A backend that is listening. */
export interface Flood {
  readonly port: number
  /** Bytes that the kernel has taken, of all answers. */
  readonly taken: () => number
  /** Connections that are being flooded. */
  readonly active: () => number
}

interface Peer {
  readonly inbound: Inbound
  flooding: Flooding | undefined
  left: number
  unsent: Uint8Array
}

const pieceBytes = 64 * 1024

const filler = (form: Form): Uint8Array => {
  const text = form === "events" ? `: ${"x".repeat(pieceBytes - 4)}\n\n` : " ".repeat(pieceBytes)
  return Buffer.from(form === "declared" ? text : `${pieceBytes.toString(16)}\r\n${text}\r\n`)
}

const fillers: Readonly<Record<Form, Uint8Array>> = {
  events: filler("events"),
  chunked: filler("chunked"),
  declared: filler("declared")
}

const openings: Readonly<Record<Form, (bytes: number) => string>> = {
  events: () => {
    const event = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    return `Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${event.length.toString(16)}\r\n${event}\r\n`
  },
  chunked: () => "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
  declared: (bytes) => `Content-Type: application/json\r\nContent-Length: ${String(bytes)}\r\n\r\n`
}

const models = '{"object":"list","data":[{"id":"flood"}]}'

/** Starts one on loopback; over TLS when it is given a certificate. */
export const startFlood = (tls?: TLSOptions): Flood => {
  let taken = 0
  let active = 0
  const pour = (socket: Socket<Peer>): void => {
    const peer = socket.data
    while (peer.flooding !== undefined) {
      if (peer.unsent.length === 0) {
        if (peer.left <= 0) return stop(peer)
        peer.unsent = fillers[peer.flooding.form]
        peer.left -= pieceBytes
      }
      const written = Math.max(0, socket.write(peer.unsent))
      taken += written
      peer.unsent = peer.unsent.subarray(written)
      if (peer.unsent.length > 0) return
    }
  }
  const stop = (peer: Peer): void => {
    if (peer.flooding !== undefined) active -= 1
    peer.flooding = undefined
  }
  const { port } = Bun.listen<Peer>({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls === undefined ? {} : { tls }),
    socket: {
      open: (socket) => {
        socket.data = { inbound: nothingYet(), flooding: undefined, left: 0, unsent: new Uint8Array(0) }
      },
      data: (socket, bytes) => {
        const peer = socket.data
        if (!takeIn(peer.inbound, bytes)) return
        const asked = /^\{"flood":(\{[^{}]*\})/.exec(peer.inbound.opening)?.[1]
        if (asked === undefined) {
          socket.write(
            `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${String(models.length)}\r\n\r\n${models}`
          )
          return
        }
        peer.flooding = JSON.parse(asked) as Flooding // reason: only the strain writes this
        peer.left = peer.flooding.bytes
        peer.unsent = Buffer.from(`HTTP/1.1 200 OK\r\n${openings[peer.flooding.form](peer.left)}`)
        active += 1
        pour(socket)
      },
      drain: pour,
      close: (socket) => {
        stop(socket.data)
      },
      error: () => undefined
    }
  })
  return { port, taken: () => taken, active: () => active }
}
