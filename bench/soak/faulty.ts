/**
 * A backend that has bad days: it answers well, or resets, fails, stalls, cuts off; and keeps a ledger of what it did.
 */
import type { Socket, TLSOptions } from "bun"
import { type Inbound, nothingYet, takeIn } from "../inbound.ts"
import { between, type Chance, pick } from "./chance.ts"

/** What the soak writes at the start of each request body, and gets back in the answer. */
export interface Marker {
  readonly id: string
  readonly frames: number
}

/** What the backends did for each request; shared by all of them. */
export class Ledger {
  /** Answers that were begun and could be seen, by request. */
  readonly begun = new Map<string, number>()
  /** How often a backend was given a request whole, by request. */
  readonly executed = new Map<string, number>()
  readonly faults: Record<string, number> = {}
  /** Requests that a backend is busy with. */
  active = 0
  calls = 0

  begin(id: string): void {
    this.begun.set(id, (this.begun.get(id) ?? 0) + 1)
  }

  execute(id: string): void {
    this.executed.set(id, (this.executed.get(id) ?? 0) + 1)
    this.active += 1
    this.calls += 1
  }
}

interface Peer {
  readonly inbound: Inbound
  busy: boolean
  timers: Array<ReturnType<typeof setTimeout>>
  unsent: Buffer
}

const early = { none: 880, reset: 25, fail: 25, busy: 10, stall: 8, html: 10, short: 12, slow: 20, closeAfter: 10 }
const late = { none: 940, cut: 20, reset: 20, stall: 10, unfinished: 10 }

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

const frame = (content: string, finish: string): string =>
  `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":${finish}}]}\n\n`

const plain = (status: string, type: string, body: string, more = ""): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${String(Buffer.byteLength(body))}\r\n${more}\r\n${body}`

const errorBody = '{"error":{"message":"a bad day","type":"server_error","param":null,"code":null}}'

const write = (socket: Socket<Peer>, text: string): void => {
  const peer = socket.data
  const bytes = peer.unsent.length === 0 ? Buffer.from(text) : Buffer.concat([peer.unsent, Buffer.from(text)])
  peer.unsent = bytes.subarray(Math.max(socket.write(bytes), 0))
}

/** A backend under way. */
export interface Faulty {
  readonly port: number
  /** The most requests that it was given at a time. */
  readonly busiest: () => number
  /** Ends its faults. */
  readonly calm: () => void
  /** Breaks off all it does, and refuses connections. */
  readonly kill: () => void
  /** As a server that was told to stop and waits for its clients: refuses connections, and says nothing on those it has. */
  readonly mute: () => void
  /** Ends the connections it was mute on, and listens again, as after its death. */
  readonly revive: () => void
}

/** Starts one, over TLS when it is given a certificate. */
export const startFaulty = (ledger: Ledger, chance: Chance, tls?: TLSOptions): Faulty => {
  let busy = 0
  let busiest = 0
  let faults = true
  let muted = false
  const open = new Set<Socket<Peer>>()
  const send = (socket: Socket<Peer>, text: string): void => {
    if (!muted) write(socket, text)
  }
  const idle = (socket: Socket<Peer>): void => {
    if (!socket.data.busy) return
    socket.data.busy = false
    ledger.active -= 1
    busy -= 1
    for (const timer of socket.data.timers) clearTimeout(timer)
    socket.data.timers = []
  }
  const later = (socket: Socket<Peer>, ms: number, act: () => void): void => {
    socket.data.timers.push(setTimeout(act, ms))
  }
  const note = (fault: string): void => {
    ledger.faults[fault] = (ledger.faults[fault] ?? 0) + 1
  }

  const stream = (socket: Socket<Peer>, { id, frames }: Marker): void => {
    // A fault comes some time after the first frame: what is reset at once may never have been seen.
    const fault = faults && frames > 8 ? pick(chance, late) : "none"
    const at = fault === "none" ? -1 : between(chance, 6, frames - 1)
    if (fault !== "none") note(`late ${fault}`)
    ledger.begin(id)
    send(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    const step = (number: number): void => {
      if (number === at && fault === "stall") return
      if (number === at && fault !== "unfinished") {
        idle(socket)
        if (fault === "cut") socket.end()
        else socket.terminate()
        return
      }
      if (number === at) {
        send(socket, "0\r\n\r\n")
        return idle(socket)
      }
      if (number === frames) {
        send(socket, chunk(frame("", '"stop"')) + chunk("data: [DONE]\n\n") + "0\r\n\r\n")
        return idle(socket)
      }
      send(socket, chunk(frame(`${id}#${String(number)};`, "null")))
      later(socket, between(chance, 1, 40), () => {
        step(number + 1)
      })
    }
    step(0)
  }

  const whole = (socket: Socket<Peer>, { id }: Marker, embeddings: boolean, more = ""): void => {
    ledger.begin(id)
    const body = embeddings
      ? `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"${id}"}`
      : `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"${id}"},"finish_reason":"stop"}]}`
    send(socket, plain("200 OK", "application/json", body, more))
    idle(socket)
  }

  const serve = (socket: Socket<Peer>, marker: Marker): void => {
    const fault = faults ? pick(chance, early) : "none"
    if (fault !== "none") note(`early ${fault}`)
    const embeddings = socket.data.inbound.path.endsWith("/embeddings")
    const good = (): void => {
      if (marker.frames > 0) stream(socket, marker)
      else whole(socket, marker, embeddings)
    }
    switch (fault) {
      case "reset":
        idle(socket)
        return void socket.terminate()
      case "fail":
        send(socket, plain(`${String([500, 502, 503, 529][between(chance, 0, 3)])} Bad`, "application/json", errorBody))
        return idle(socket)
      case "busy":
        send(socket, plain("429 Busy", "application/json", errorBody, "Retry-After: 1\r\n"))
        return idle(socket)
      case "stall":
        return
      case "html":
        send(socket, plain("200 OK", "text/html", "<html><body>Bad gateway</body></html>"))
        return idle(socket)
      case "short":
        send(socket, 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{"object":"chat')
        idle(socket)
        return void socket.end()
      case "slow":
        return later(socket, between(chance, 50, 800), good)
      case "closeAfter":
        if (marker.frames > 0) return good()
        whole(socket, marker, embeddings)
        return void socket.end()
      case "none":
        return later(socket, between(chance, 0, 30), good)
    }
  }

  const listen = (port: number) =>
    Bun.listen<Peer>({
      hostname: "127.0.0.1",
      port,
      ...(tls === undefined ? {} : { tls }),
      socket: {
        open: (socket) => {
          socket.data = { inbound: nothingYet(), busy: false, timers: [], unsent: Buffer.alloc(0) }
          open.add(socket)
        },
        data: (socket, bytes) => {
          const peer = socket.data
          if (muted || !takeIn(peer.inbound, bytes)) return
          if (peer.inbound.path.endsWith("/models")) {
            return send(
              socket,
              plain("200 OK", "application/json", '{"object":"list","data":[{"id":"soak"},{"id":"other"}]}')
            )
          }
          const marker = /^\{"soak":(\{[^{}]*\})/.exec(peer.inbound.opening)?.[1]
          if (marker === undefined) return send(socket, plain("404 Not Found", "application/json", errorBody))
          const asked = JSON.parse(marker) as Marker // reason: only the soak writes this
          peer.busy = true
          busy += 1
          busiest = Math.max(busiest, busy)
          ledger.execute(asked.id)
          serve(socket, asked)
        },
        drain: (socket) => {
          if (socket.data.unsent.length > 0) send(socket, "")
        },
        close: (socket) => {
          open.delete(socket)
          idle(socket)
        },
        error: () => undefined
      }
    })
  let listener = listen(0)
  const { port } = listener
  return {
    port,
    busiest: () => busiest,
    calm: () => {
      faults = false
    },
    kill: () => {
      listener.stop()
      for (const socket of open) socket.terminate()
    },
    mute: () => {
      muted = true
      listener.stop()
      for (const socket of open) {
        for (const timer of socket.data.timers) clearTimeout(timer)
        socket.data.timers = []
      }
    },
    revive: () => {
      muted = false
      for (const socket of open) socket.terminate()
      listener = listen(port)
    }
  }
}
