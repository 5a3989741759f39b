/**
 * A link to a server on loopback that can be slow, swallow everything, or be cut off.
 */
import type { Socket } from "bun"

/** What becomes of the bytes: passed on (late, if it says so), kept from the other side without a word, or refused with a reset. */
type LinkState = "open" | "swallows" | "cut"

/** A link under way. */
export interface TcpLink extends Disposable {
  readonly port: number
  readonly set: (state: LinkState) => void
  /** How many milliseconds later all comes than it was sent. */
  readonly delay: (ms: number) => void
}

interface End {
  other: Socket<End> | undefined
  /** What is for this end and could not be written yet. */
  unsent: Buffer
}

/** Puts a link in front of a port of loopback. */
export const startLink = (target: number): TcpLink => {
  let state: LinkState = "open"
  let delayMs = 0
  // In order, whatever the delay was.
  const due: Array<{ readonly at: number; readonly to: Socket<End>; readonly bytes: Buffer }> = []
  let timer: ReturnType<typeof setTimeout> | undefined
  const all = new Set<Socket<End>>()

  const write = (to: Socket<End>, bytes: Buffer): void => {
    const unsent = to.data.unsent.length === 0 ? bytes : Buffer.concat([to.data.unsent, bytes])
    to.data.unsent = unsent.subarray(Math.max(to.write(unsent), 0))
  }
  const pass = (): void => {
    timer = undefined
    for (let first = due[0]; first !== undefined; first = due[0]) {
      const rest = first.at - performance.now()
      if (rest > 0) {
        timer = setTimeout(pass, Math.ceil(rest))
        return
      }
      due.shift()
      if (state === "open" && all.has(first.to)) write(first.to, first.bytes)
    }
  }
  const handlers = {
    data: ({ data: { other } }: Socket<End>, bytes: Buffer) => {
      if (state !== "open" || other === undefined) return
      if (delayMs === 0 && due.length === 0) return write(other, Buffer.from(bytes))
      due.push({ at: performance.now() + delayMs, to: other, bytes: Buffer.from(bytes) })
      timer ??= setTimeout(pass, delayMs)
    },
    drain: (socket: Socket<End>) => write(socket, Buffer.alloc(0)),
    close: (socket: Socket<End>) => {
      all.delete(socket)
      // A link that swallows tells nobody of it.
      if (state !== "swallows") socket.data.other?.terminate()
    },
    error: () => undefined
  }
  const listen = (port: number) =>
    Bun.listen<End>({
      hostname: "127.0.0.1",
      port,
      socket: {
        ...handlers,
        open: async (socket) => {
          socket.data = { other: undefined, unsent: Buffer.alloc(0) }
          all.add(socket)
          if (state === "cut") return void socket.terminate()
          if (state === "swallows") return
          socket.pause()
          try {
            const far = await Bun.connect<End>({
              hostname: "127.0.0.1",
              port: target,
              data: { other: socket, unsent: Buffer.alloc(0) },
              socket: handlers
            })
            socket.data.other = far
            all.add(far)
            socket.resume()
          } catch {
            socket.terminate()
          }
        }
      }
    })
  const listener = listen(0)
  return {
    port: listener.port,
    set: (next) => {
      state = next
      if (next === "cut") for (const socket of all) socket.terminate()
    },
    delay: (ms) => {
      delayMs = ms
    },
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      listener.stop(true)
      for (const socket of all) socket.terminate()
    }
  }
}
