/**
 * Small requests: what each costs, how many go through one core, and what they wait longer for than without a proxy.
 */
import { disturbanceNote, inTurn, latenessNote, withField } from "../compare.ts"
import { smallRequest } from "../legs.ts"
import { closedLoop, openLoop } from "../load.ts"
import { atLeast, atMost, Readings, type Row } from "../measure.ts"
import { cpuOf } from "../procfs.ts"

const levels = [8, 32, 256]

/** CPU per request and requests per second at 8, 32 and 256 at a time. */
export const requests: Row = {
  name: "requests",
  title: "Small requests, closed loop",
  run: (context) =>
    withField(context.legs, {}, async (field) => {
      const readings = new Readings()
      const request = smallRequest()
      let failed = 0
      for (const { port } of field.legs.values()) await closedLoop(port, request, 32, context.seconds / 2)
      for (const level of levels) {
        await inTurn(context, field, async (leg, { pid, port }) => {
          const before = cpuOf(pid)
          const load = await closedLoop(port, request, level, context.seconds)
          failed += load.failed
          if (leg !== "direct") readings.add(`CPU c=${String(level)}`, leg, (cpuOf(pid) - before) / load.done)
          readings.add(`throughput c=${String(level)}`, leg, load.perSecond)
        })
      }
      return {
        measures: [
          ...levels.map((level) => readings.measure(`CPU c=${String(level)}`, "µs/request", 1, atMost(1.35))),
          ...levels.map((level) => readings.measure(`throughput c=${String(level)}`, "1/s", 0, atLeast(0.75)))
        ],
        notes: [
          `${String(failed)} requests failed`,
          "the direct throughput is the ceiling of mock and generator",
          disturbanceNote(field)
        ]
      }
    })
}

/** Latency at 1,000 requests per second, whether answers come or not. */
export const latency: Row = {
  name: "latency",
  title: "Added latency at 1,000 requests/s, open loop",
  run: (context) =>
    withField(context.legs, {}, async (field) => {
      const readings = new Readings()
      const request = smallRequest()
      let failed = 0
      let late = 0
      for (const { port } of field.legs.values()) await closedLoop(port, request, 32, context.seconds / 2)
      await inTurn(context, field, async (leg, { port }) => {
        const load = await openLoop(port, request, 1000, context.seconds)
        failed += load.failed
        late = Math.max(late, load.late.p99)
        readings.add("p50", leg, load.latency.p50)
        readings.add("p99", leg, load.latency.p99)
      })
      return {
        measures: [
          readings.measure("p50", "µs", 0),
          readings.measure("p99", "µs", 0),
          readings.added("p50", "µs", 0, atMost(1.5)),
          readings.added("p99", "µs", 0, atMost(2))
        ],
        notes: [`${String(failed)} requests failed`, latenessNote(late), disturbanceNote(field)]
      }
    })
}
