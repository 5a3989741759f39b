/**
 * What is kept of an open stream, by class of object.
 */
import type { HeapClasses } from "../heap.ts"
import { startNexus, smallRequest } from "../legs.ts"
import { type Outcome, Readings, type Row } from "../measure.ts"
import { freePort, ready, startMockProcess } from "../processes.ts"
import { readStreams } from "../streams.ts"

const streams = 1000

// Fewer than this of a stream are not its own.
const leastShare = 0.5

const heapOf = async (port: number): Promise<HeapClasses> =>
  (await (await fetch(`http://127.0.0.1:${String(port)}/`)).json()) as HeapClasses // reason: the answer of bench/heap.ts

/** The objects that a thousand open streams hold in the gateway beyond those of an idle one. */
export const kept: Row = {
  name: "kept",
  title: "Objects kept of an open stream, by class",
  run: async (): Promise<Outcome> => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const heapPort = freePort()
    const leg = startNexus("nexus", { mockPort: mock.port, server: ["max_concurrent_requests = 20000"] }, { heapPort })
    await ready(leg, smallRequest())
    // What the first streams make for good is not theirs.
    await readStreams({ port: leg.port, streams, frames: 2, every: 20 })
    const idle = await heapOf(heapPort)
    let open: HeapClasses | undefined
    const opened = Promise.withResolvers<void>()
    const load = await readStreams({
      port: leg.port,
      streams,
      frames: 12,
      every: 1000,
      allOpen: () =>
        void heapOf(heapPort).then((found) => {
          open = found
          opened.resolve()
        })
    })
    await opened.promise
    await leg.stop()
    await mock.stop()
    const rows = Object.entries(open ?? {})
      .map(([name, { bytes, count }]) => {
        const before = idle[name] ?? { bytes: 0, count: 0 }
        return { name, bytes: (bytes - before.bytes) / streams, count: (count - before.count) / streams }
      })
      .filter(({ count }) => count >= leastShare)
      .sort((a, b) => b.bytes - a.bytes)
    for (const { bytes, count, name } of rows) readings.add(`${count.toFixed(1)} × ${name}`, "nexus", bytes)
    const sum = rows.reduce((all, { bytes }) => all + bytes, 0)
    return {
      measures: rows.map(({ count, name }) => readings.measure(`${count.toFixed(1)} × ${name}`, "B/stream", 0)),
      notes: [
        `${(sum / 1024).toFixed(1)} KB of objects a stream; sockets, native buffers and the engine's own are not among them`,
        `${String(load.lost + load.broken)} frames lost or streams broken`
      ]
    }
  }
}
