/**
 * An HTTP/1.1 client on one bare socket: it knows where a message ends, keeps the connection, and costs little.
 */
import type { Socket } from "bun"

/** Called as an answer comes in. */
interface Reader {
  /** The head of the answer has come; `text` are its lines. */
  readonly head?: (status: number, text: string) => void
  /** Each piece of the body, its framing taken off. */
  readonly piece?: (bytes: Buffer) => void
  /** The message is whole; `bytes` is the length of its body. */
  readonly end: (status: number, bytes: number, head: string) => void
  /** The connection ended before that. */
  readonly broken: (reason: string) => void
}

/** A connection; one request at a time. */
export interface Wire {
  readonly send: (request: Uint8Array, reader: Reader) => void
  readonly close: () => void
  /** Stops and resumes reading from the socket. */
  readonly pause: () => void
  readonly resume: () => void
  readonly usable: () => boolean
}

interface State {
  socket: Socket<State> | undefined
  reader: Reader | undefined
  rest: Buffer | undefined
  unsent: Uint8Array | undefined
  phase: "head" | "length" | "size" | "data" | "crlf" | "trailer" | "eof"
  status: number
  head: string
  left: number
  total: number
  keep: boolean
  open: boolean
}

const finish = (state: State): void => {
  const reader = state.reader
  state.reader = undefined
  state.phase = "head"
  if (!state.keep) {
    state.open = false
    state.socket?.end()
  }
  reader?.end(state.status, state.total, state.head)
}

const startBody = (state: State, head: string): void => {
  state.head = head
  state.status = Number(head.slice(9, 12))
  if (state.status >= 200) state.reader?.head?.(state.status, head)
  const lower = head.toLowerCase()
  state.keep = !lower.includes("\r\nconnection: close")
  state.total = 0
  if (lower.includes("\r\ntransfer-encoding: chunked")) {
    state.phase = "size"
    return
  }
  const length = /\r\ncontent-length: *(\d+)/.exec(lower)?.[1]
  if (length === undefined && state.status !== 204 && state.status !== 304) {
    state.phase = "eof"
    state.keep = false
    return
  }
  state.left = Number(length ?? 0)
  state.phase = "length"
}

const take = (state: State, bytes: Buffer): void => {
  state.total += bytes.length
  if (bytes.length > 0) state.reader?.piece?.(bytes)
}

const digits = (bytes: Buffer, from: number, to: number): number =>
  Number.parseInt(bytes.toString("latin1", from, to), 16)

// Returns where reading goes on, or -1 when more bytes are needed from `at` on.
const step = (state: State, bytes: Buffer, at: number): number => {
  switch (state.phase) {
    case "head": {
      const to = bytes.indexOf("\r\n\r\n", at)
      if (to < 0) return -1
      startBody(state, bytes.toString("latin1", at, to))
      if (state.status < 200) state.phase = "head"
      return to + 4
    }
    case "length":
    case "data": {
      const to = Math.min(bytes.length, at + state.left)
      state.left -= to - at
      take(state, at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to))
      if (state.left === 0) state.phase = state.phase === "data" ? "crlf" : "head"
      if (state.left === 0 && state.phase === "head") finish(state)
      return to
    }
    case "size": {
      const to = bytes.indexOf("\r\n", at)
      if (to < 0) return -1
      state.left = digits(bytes, at, to)
      state.phase = state.left === 0 ? "trailer" : "data"
      return to + 2
    }
    case "crlf":
    case "trailer": {
      if (bytes.length - at < 2) return -1
      if (state.phase === "trailer") finish(state)
      else state.phase = "size"
      return at + 2
    }
    case "eof":
      take(state, bytes.subarray(at))
      return bytes.length
  }
}

const feed = (state: State, piece: Buffer): void => {
  let bytes = piece
  if (state.rest !== undefined) {
    bytes = Buffer.concat([state.rest, piece])
    state.rest = undefined
  }
  let at = 0
  // An answer of length 0 ends without a further byte.
  while (state.reader !== undefined && (at < bytes.length || (state.phase === "length" && state.left === 0))) {
    const next = step(state, bytes, at)
    if (next < 0) {
      state.rest = bytes.subarray(at)
      return
    }
    at = next
  }
}

const lose = (state: State, reason: string): void => {
  state.open = false
  const reader = state.reader
  state.reader = undefined
  if (reader === undefined) return
  if (state.phase === "eof") reader.end(state.status, state.total, state.head)
  else reader.broken(reason)
}

const push = (state: State, bytes: Uint8Array): void => {
  const taken = state.socket?.write(bytes) ?? 0
  state.unsent = taken < bytes.length ? bytes.subarray(Math.max(taken, 0)) : undefined
}

/** Opens a connection; rejects when it is refused. */
export const connect = async (port: number, hostname = "127.0.0.1"): Promise<Wire> => {
  const state: State = {
    socket: undefined,
    reader: undefined,
    rest: undefined,
    unsent: undefined,
    phase: "head",
    status: 0,
    head: "",
    left: 0,
    total: 0,
    keep: true,
    open: true
  }
  const socket = await Bun.connect<State>({
    hostname,
    port,
    data: state,
    socket: {
      open: (socket) => {
        socket.setNoDelay(true)
      },
      data: (_, bytes) => {
        feed(state, bytes)
      },
      drain: () => {
        if (state.unsent !== undefined) push(state, state.unsent)
      },
      end: () => {
        lose(state, "end")
      },
      close: () => {
        lose(state, "close")
      },
      error: (_, error) => {
        lose(state, error.message)
      }
    }
  })
  state.socket = socket
  return {
    send: (request, reader) => {
      state.reader = reader
      state.phase = "head"
      state.rest = undefined
      push(state, request)
    },
    close: () => {
      state.open = false
      state.reader = undefined
      socket.terminate()
    },
    pause: () => {
      socket.pause()
    },
    resume: () => {
      socket.resume()
    },
    usable: () => state.open && state.reader === undefined
  }
}

/** The bytes of a POST. */
export const post = (path: string, body: string | Uint8Array, headers = ""): Uint8Array =>
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${String(Buffer.byteLength(body))}\r\n${headers}\r\n`
    ),
    Buffer.from(body)
  ])

/** The bytes of a GET. */
export const get = (path: string): Uint8Array => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
