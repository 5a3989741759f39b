/**
 * Resident memory: idle, under load, and after it.
 */
import { smallRequest, startLeg } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { below, type Context, type Outcome, Readings, type Row } from "../measure.ts"
import { startMockProcess } from "../processes.ts"
import { rssOf } from "../procfs.ts"
import { readStreams } from "../streams.ts"

const megabytes = (pid: number): number => rssOf(pid) / 1e6

/** RSS of a fresh process, after a load of requests and streams, and a while later. */
export const memory: Row = {
  name: "memory",
  title: "Resident memory of the process",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const rest = context.seconds >= 3 ? 60 : 10
    for (let trial = 0; trial < Math.min(context.trials, 3); trial += 1) {
      const legs = []
      for (const name of context.legs.filter((leg) => leg !== "direct")) {
        legs.push({ name, leg: await startLeg(name, { mockPort: mock.port }) })
      }
      await Bun.sleep(3000)
      for (const { name, leg } of legs) readings.add("idle", name, megabytes(leg.pid))
      for (const { name, leg } of legs) {
        await closedLoop(leg.port, smallRequest(), 64, context.seconds * 2)
        await readStreams({ port: leg.port, streams: 500, frames: 100, every: 20 })
        readings.add("after load", name, megabytes(leg.pid))
      }
      await Bun.sleep(rest * 1000)
      for (const { name, leg } of legs) readings.add("recovered", name, megabytes(leg.pid))
      for (const { leg } of legs) await leg.stop()
    }
    await mock.stop()
    return {
      measures: [
        readings.measure("idle", "MB", 1, below(70, "MB")),
        readings.measure("after load", "MB", 1),
        readings.measure("recovered", "MB", 1)
      ],
      notes: [
        `idle: 3 s after the first answer; load: small requests, then 500 streams; recovered: ${String(rest)} s of rest`
      ]
    }
  }
}
