/**
 * Requests that become WebSockets: who takes the messages of each, and the answers that stand for them.
 */
/** The client's end of one. */
export interface ClientSocket {
  /** Sends a message; gives how many bytes the client has not taken. */
  readonly send: (message: string | ArrayBuffer) => number
  /** Takes nothing more from the client until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  readonly close: (code: number, reason: string) => void
}

/** Who takes what comes of one; `closed` comes last and once. */
export interface SocketOwner {
  readonly opened: (socket: ClientSocket) => void
  readonly message: (message: string | Uint8Array<ArrayBuffer>) => void
  /** The client has taken what waited for it. */
  readonly drained: () => void
  readonly closed: (code: number, reason: string) => void
}

/** What is used of a socket of Bun's. */
interface ServerSocket {
  readonly data: SocketOwner
  send(message: string | ArrayBuffer): number
  getBufferedAmount(): number
  pause(): void
  resume(): void
  close(code: number, reason: string): void
}

const answers = new WeakSet<Response>()

/** An answer that stands for a socket: nothing of it is sent. */
export const upgradedAnswer = (): Response => {
  const answer = new Response(null)
  answers.add(answer)
  return answer
}

/** Whether an answer stands for a socket. */
export const isUpgraded = (answer: Response): boolean => answers.has(answer)

/** Largest message, in bytes: a piece of sound may be of some megabytes. */
export const maxMessageBytes = 32 * 1024 * 1024

/** A client that is silent for so many seconds, pings included, is gone. */
export const socketIdleSeconds = 120

/** What is done with the sockets of a server. */
export const upgradeHandlers = {
  maxPayloadLength: maxMessageBytes,
  // Owners hold their other side back; nothing is dropped.
  backpressureLimit: 2 * maxMessageBytes,
  closeOnBackpressureLimit: false,
  perMessageDeflate: false,
  idleTimeout: socketIdleSeconds,
  sendPings: true,
  open: (socket: ServerSocket) => {
    socket.data.opened({
      send: (message) => {
        socket.send(message)
        return socket.getBufferedAmount()
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: (code, reason) => socket.close(code, reason)
    })
  },
  message: (socket: ServerSocket, message: string | Buffer<ArrayBuffer>) =>
    socket.data.message(typeof message === "string" ? message : new Uint8Array(message)),
  drain: (socket: ServerSocket) => socket.data.drained(),
  close: (socket: ServerSocket, code: number, reason: string) => socket.data.closed(code, reason)
}
