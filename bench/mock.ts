/**
 * A backend without delay, on bare sockets so that it costs as little as can be: JSON answers of any size, event streams
 * paced on one clock whose every frame carries its number and its time of sending, and a model list of any length.
 *
 *     bun bench/mock.ts <port>
 *
 * A request says what it wants in a `bench` object at the very start of its body, see {@link Order}, or in the text of its
 * first message, see `voices.ts`. The number in a path
 * like `/models-100/v1/models` is the length of the list, and in one like `/models-10-from-20/v1/models` the second is where it
 * begins; any other prefix is ignored, so one mock can be many backends.
 */
import type { Socket } from "bun"
import { microseconds } from "./clock.ts"
import { chunkFrame } from "./frames.ts"
import { type Inbound, nothingYet, takeIn } from "./inbound.ts"
import { join, leave, type Paced } from "./pacer.ts"
import { wishIn } from "./voices.ts"

/** What a request asks of the mock; all of it may be absent. */
export interface Order {
  /** Frames of the stream, before the last one and `[DONE]`. */
  readonly frames?: number
  /** Milliseconds between two frames; 0 sends them as fast as they are taken. */
  readonly every?: number
  /** Padding in each frame, or in the JSON answer, in bytes. */
  readonly pad?: number
  /** Milliseconds before the answer. */
  readonly delay?: number
}

interface Peer extends Paced {
  readonly inbound: Inbound
  unsent: Uint8Array | undefined
  left: number
  sent: number
  every: number
  padding: string
  streaming: boolean
}

const stats = { requests: 0, streams: 0, frames: 0, aborted: 0 }

const answerHead = (type: string, length: number): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${String(length)}\r\n\r\n`

const completion = (pad: string): string =>
  `{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,` +
  `"message":{"role":"assistant","content":"A short answer.${pad}"},"finish_reason":"stop"}],` +
  `"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}`

const small = Buffer.from(answerHead("application/json", completion("").length) + completion(""))

/** The model of this number. */
export const modelName = (number: number): string => (number === 0 ? "bench" : `bench-${String(number)}`)

const models = (path: string): string => {
  const [, count = 1, from = 0] = /models-(\d+)(?:-from-(\d+))?/.exec(path) ?? []
  const ids = Array.from({ length: Number(count) }, (_, at) => modelName(Number(from) + at))
  return JSON.stringify({
    object: "list",
    data: ids.map((id) => ({ id, object: "model", created: 1, owned_by: "mock" }))
  })
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

const write = (socket: Socket<Peer>, bytes: Uint8Array | string): void => {
  const peer = socket.data
  if (peer.unsent !== undefined) {
    peer.unsent = Buffer.concat([peer.unsent, Buffer.from(bytes)])
    return
  }
  const taken = socket.write(bytes)
  if (taken < bytes.length) peer.unsent = Buffer.from(bytes).subarray(Math.max(taken, 0))
}

const end = (socket: Socket<Peer>): void => {
  const peer = socket.data
  if (!peer.streaming) return
  leave(peer)
  peer.streaming = false
  write(socket, chunk(chunkFrame("", `"stop"`)) + chunk("data: [DONE]\n\n") + "0\r\n\r\n")
}

const sendFrame = (socket: Socket<Peer>): void => {
  const peer = socket.data
  if (peer.left === 0) return end(socket)
  peer.left -= 1
  stats.frames += 1
  write(socket, chunk(chunkFrame(`#${String(peer.sent)} @${microseconds().toFixed(0)};${peer.padding}`, "null")))
  peer.sent += 1
}

const flood = (socket: Socket<Peer>): void => {
  while (socket.data.streaming && socket.data.unsent === undefined) sendFrame(socket)
}

const orderOf = (opening: string): Order => {
  const found = /^\{"bench":(\{[^{}]*\})/.exec(opening)?.[1]
  if (found !== undefined) return JSON.parse(found) as Order // reason: only the benches write this
  return wishIn(opening) ?? {}
}

const answer = (socket: Socket<Peer>): void => {
  const { path, opening } = socket.data.inbound
  stats.requests += 1
  if (path.endsWith("/bench/stats")) return json(socket, JSON.stringify({ ...stats, pid: process.pid }))
  if (path.endsWith("/models")) return json(socket, models(path))
  const order = orderOf(opening)
  if (order.delay === undefined) return deliver(socket, order)
  setTimeout(() => {
    deliver(socket, order)
  }, order.delay)
}

const json = (socket: Socket<Peer>, text: string): void => {
  write(socket, answerHead("application/json", Buffer.byteLength(text)) + text)
}

const deliver = (socket: Socket<Peer>, order: Order): void => {
  if (order.frames === undefined) {
    if (order.pad === undefined) return write(socket, small)
    return json(socket, completion("x".repeat(order.pad)))
  }
  const peer = socket.data
  stats.streams += 1
  peer.left = order.frames
  peer.sent = 0
  peer.every = order.every ?? 20
  peer.padding = "x".repeat(order.pad ?? 0)
  peer.streaming = true
  write(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
  sendFrame(socket)
  if (peer.every === 0) return flood(socket)
  join(peer.every, peer)
}

const receive = (socket: Socket<Peer>, bytes: Buffer): void => {
  if (takeIn(socket.data.inbound, bytes)) answer(socket)
}

/** Starts a mock; resolves with its port. */
export const startMock = (port: number): number =>
  Bun.listen<Peer>({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) => {
        socket.setNoDelay(true)
        socket.data = {
          inbound: nothingYet(),
          unsent: undefined,
          left: 0,
          sent: 0,
          every: 20,
          padding: "",
          streaming: false,
          slot: undefined,
          tick: () => {
            // A stream that is not being read is not paced: its next frame waits for room.
            if (socket.data.unsent === undefined) sendFrame(socket)
          }
        }
      },
      data: receive,
      drain: (socket) => {
        const peer = socket.data
        const rest = peer.unsent
        if (rest === undefined) return
        peer.unsent = undefined
        write(socket, rest)
        if (peer.every === 0) flood(socket)
      },
      close: (socket) => {
        if (socket.data.streaming) stats.aborted += 1
        socket.data.streaming = false
        leave(socket.data)
      },
      error: () => undefined
    }
  }).port

if (import.meta.main) console.log(`listening ${String(startMock(Number(process.argv[2] ?? 0)))}`)
