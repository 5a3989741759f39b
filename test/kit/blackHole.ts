/**
 * A port that swallows connections: it listens, nobody accepts, and its queue is full, so that every further connection
 * waits for an answer that does not come. Linux only.
 */
import { dlopen } from "bun:ffi"
import { connect, type Socket } from "node:net"

/** Whether this machine can have one. */
export const canSwallow = process.platform === "linux"

const stream = 1
const inet = 2
const solSocket = 1
const reuseAddress = 2

const symbols = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" }
} as const

const libc = () => {
  try {
    return dlopen("libc.so.6", symbols).symbols
  } catch {
    return dlopen(`libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`, symbols).symbols
  }
}

/** Swallows every connection to a free port of loopback from now on. */
export const swallow = async (port: number): Promise<Disposable> => {
  const c = libc()
  const fd = c.socket(inet, stream, 0)
  c.setsockopt(fd, solSocket, reuseAddress, new Int32Array([1]), 4)
  const address = new Uint8Array(16)
  const view = new DataView(address.buffer)
  view.setUint16(0, inet, true)
  view.setUint16(2, port, false)
  address.set([127, 0, 0, 1], 4)
  if (c.bind(fd, address, 16) !== 0 || c.listen(fd, 0) !== 0) throw new Error(`cannot listen on port ${port}`)
  // The queue holds one connection; the others stay behind it as every later one does.
  const fillers: Array<Socket> = []
  const first = Promise.withResolvers<void>()
  for (let i = 0; i < 3; i += 1) {
    fillers.push(connect(port, "127.0.0.1", () => first.resolve()).on("error", () => undefined))
  }
  await first.promise
  return {
    [Symbol.dispose]: () => {
      for (const filler of fillers) filler.destroy()
      c.close(fd)
    }
  }
}
