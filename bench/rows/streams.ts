/**
 * Event streams: what a token waits, what it costs, and what an open stream holds.
 */
import { disturbanceNote, inTurn, withField } from "../compare.ts"
import { isNexus, startLeg } from "../legs.ts"
import { atMost, below, both, type Context, type Outcome, Readings, type Row } from "../measure.ts"
import { type Running, startMockProcess } from "../processes.ts"
import { cpuOf, rssOf } from "../procfs.ts"
import { readStreams, type StreamLoad } from "../streams.ts"

const faults = (load: StreamLoad): number => load.lost + load.broken

/** Added time to the first token and added gap between tokens. */
export const tokens: Row = {
  name: "tokens",
  title: "Time to first token (1 stream at a time), gap between tokens (100 streams × 50/s)",
  run: (context) =>
    withField(context.legs, {}, async (field) => {
      const readings = new Readings()
      let lost = 0
      for (const { port } of field.legs.values()) await readStreams({ port, streams: 100, frames: 25, every: 20 })
      await inTurn(context, field, async (leg, { port }) => {
        const firsts: Array<number> = []
        const until = performance.now() + context.seconds * 500
        while (performance.now() < until) {
          const one = await readStreams({ port, streams: 1, frames: 1, every: 2 })
          lost += faults(one)
          firsts.push(one.first.p50)
        }
        firsts.sort((a, b) => a - b)
        readings.add("first token p50", leg, firsts[firsts.length >> 1] ?? Number.NaN)
        readings.add("first token p99", leg, firsts[Math.floor(firsts.length * 0.99)] ?? Number.NaN)
        const load = await readStreams({ port, streams: 100, frames: Math.ceil(context.seconds * 50), every: 20 })
        lost += faults(load)
        readings.add("delay of a token p50", leg, load.delay.p50)
        readings.add("gap p99", leg, load.gap.p99)
      })
      return {
        measures: [
          readings.measure("first token p50", "µs", 0),
          readings.added("first token p50", "µs", 0),
          readings.added("first token p99", "µs", 0),
          readings.added("delay of a token p50", "µs", 0),
          readings.measure("gap p99", "µs", 0),
          readings.added("gap p99", "µs", 0, atMost(1.5))
        ],
        notes: [
          `${String(lost)} frames lost or streams broken`,
          "gap: how much further apart two tokens arrived than they were sent",
          disturbanceNote(field)
        ]
      }
    })
}

/** CPU per event at 200 and 1,000 streams of 50 events per second. */
export const frames: Row = {
  name: "frames",
  title: "Cost of a token, paced streams × 50/s",
  run: (context) =>
    withField(context.legs, {}, async (field) => {
      const readings = new Readings()
      let lost = 0
      const counts = [200, 1000]
      const length = Math.ceil(Math.max(context.seconds, 2) * 50)
      for (const { port } of field.legs.values()) await readStreams({ port, streams: 100, frames: 50, every: 20 })
      for (const streams of counts) {
        await inTurn(context, field, async (leg, { pid, port }) => {
          let from = { cpu: 0, frames: 0 }
          let cost = Number.NaN
          const load = await readStreams({
            port,
            streams,
            frames: length,
            every: 20,
            allOpen: (frames) => {
              from = { cpu: cpuOf(pid), frames }
            },
            firstEnded: (frames) => {
              cost = (cpuOf(pid) - from.cpu) / (frames - from.frames)
            }
          })
          lost += faults(load)
          if (leg !== "direct") readings.add(`CPU ${String(streams)} streams`, leg, cost)
          readings.add(`gap p99 ${String(streams)} streams`, leg, load.gap.p99 / 1000)
          readings.add(`reads per token ${String(streams)} streams`, leg, load.reads / load.frames)
        })
      }
      return {
        measures: counts.flatMap((streams) => [
          readings.measure(`CPU ${String(streams)} streams`, "µs/token", 2, atMost(1.25)),
          readings.measure(`gap p99 ${String(streams)} streams`, "ms", 2),
          readings.measure(`reads per token ${String(streams)} streams`, "", 3)
        ]),
        notes: [`${String(lost)} frames lost or streams broken`, disturbanceNote(field)]
      }
    })
}

const held = async (leg: Running, streams: number): Promise<{ readonly perStream: number; readonly lost: number }> => {
  const idle = rssOf(leg.pid)
  let top = 0
  const load = await readStreams({
    port: leg.port,
    streams,
    frames: 6,
    every: 1000,
    firstEnded: () => {
      top = rssOf(leg.pid)
    }
  })
  return { perStream: (top - idle) / streams / 1024, lost: faults(load) }
}

/** Memory of open streams, each leg freshly started for each reading. */
export const memoryOfStreams: Row = {
  name: "streams",
  title: "Memory per open stream, one token a second, fresh process",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const counts = [1000, 5000]
    const mock = await startMockProcess()
    let lost = 0
    for (let trial = 0; trial < Math.min(context.trials, 3); trial += 1) {
      for (const streams of counts) {
        for (const name of context.legs.filter((leg) => leg !== "direct")) {
          const leg = await startLeg(name, { mockPort: mock.port, server: ["max_concurrent_requests = 20000"] })
          await Bun.sleep(500)
          const result = await held(leg, streams)
          lost += result.lost
          readings.add(`${String(streams)} streams`, name, result.perStream)
          if (isNexus(name) || name === "floor")
            readings.add(`all of it, ${String(streams)} streams`, name, rssOf(leg.pid) / 1e6)
          await leg.stop()
        }
      }
    }
    await mock.stop()
    return {
      measures: counts.flatMap((streams) => [
        readings.measure(`${String(streams)} streams`, "KB/stream", 1, both(atMost(2), below(30, "KB"))),
        readings.measure(`all of it, ${String(streams)} streams`, "MB", 0)
      ]),
      notes: [`${String(lost)} frames lost or streams broken`]
    }
  }
}
