/**
 * A machine that sleeps until a magic packet wakes it: nobody listens at its server's port before.
 */
import { createSocket } from "node:dgram"
import { type FakeOptions, startUpstream } from "./FakeUpstream.ts"

/** Starts one; `deaf` when no packet wakes it, and `slowMs` is how long it takes to wake up. */
export const startSleeper = async (options: FakeOptions & { readonly deaf?: boolean; readonly slowMs?: number }) => {
  const { deaf = false, slowMs = 0 } = options
  const upstream = await startUpstream(options)
  const packets: Array<Buffer> = []
  let sleeping = true
  await upstream.server.kill()
  const socket = createSocket("udp4")
  socket.on("message", (packet) => {
    packets.push(packet)
    if (deaf || !sleeping) return
    sleeping = false
    void Bun.sleep(slowMs).then(() => upstream.server.revive())
  })
  const listening = Promise.withResolvers<void>()
  socket.bind(0, "127.0.0.1", () => listening.resolve())
  await listening.promise
  return {
    upstream,
    packets,
    /** The settings of a backend that is this one. */
    backend: (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
      name,
      url: upstream.url,
      wake: "AA:bb:cc:dd:ee:0f",
      wake_address: `127.0.0.1:${socket.address().port}`,
      wake_timeout_seconds: 20,
      models: [{ id: "m" }],
      ...more
    }),
    sleeps: async () => {
      await upstream.server.kill()
      sleeping = true
    },
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await upstream[Symbol.asyncDispose]()
    }
  }
}
