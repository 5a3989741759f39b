/**
 * What a second worker brings, on a machine whose cores the generator and the mock need as well.
 */
import { isNexus, smallRequest, startNexus } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { type Context, type Outcome, Readings, type Row } from "../measure.ts"
import { everyCore, ready, startMockProcess } from "../processes.ts"
import { cpuOf, cpuOfFamily } from "../procfs.ts"

/** Throughput with one and with two workers, and how many cores each side used. */
export const workers: Row = {
  name: "workers",
  title: "Workers on every core, c=64",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const request = smallRequest()
    for (const leg of context.legs.filter(isNexus)) {
      const from = leg === "binary" ? "binary" : "nexus"
      for (const count of [1, 2]) {
        const setup = { mockPort: mock.port, server: [`workers = ${String(count)}`] }
        const gateway = startNexus(from, setup, { core: everyCore })
        await ready(gateway, request)
        await closedLoop(gateway.port, request, 64, context.seconds)
        for (let trial = 0; trial < context.trials; trial += 1) {
          const before = { gateway: cpuOfFamily(gateway.pid), others: cpuOf(process.pid) + cpuOf(mock.pid) }
          const { perSecond, done } = await closedLoop(gateway.port, request, 64, context.seconds)
          const seconds = done / perSecond
          const cores = (cpuOfFamily(gateway.pid) - before.gateway) / seconds / 1e6
          const name = `${String(count)} worker${count === 1 ? "" : "s"}`
          readings.add(`throughput, ${name}`, leg, perSecond)
          readings.add(`cores of the gateway, ${name}`, leg, cores)
          const others = cpuOf(process.pid) + cpuOf(mock.pid) - before.others
          readings.add(`cores of generator and mock, ${name}`, leg, others / seconds / 1e6)
        }
        await gateway.stop("SIGTERM")
      }
      const [one = [], two = []] = [1, 2].map((count) => {
        const name = count === 1 ? "1 worker" : "2 workers"
        return readings.of(`throughput, ${name}`)[leg] ?? []
      })
      for (const [at, value] of two.entries()) readings.add("2 workers against 1", leg, value / (one[at] ?? Number.NaN))
    }
    await mock.stop()
    const names = ["1 worker", "2 workers"]
    return {
      measures: [
        ...names.flatMap((name) => [
          readings.measure(`throughput, ${name}`, "1/s", 0),
          readings.measure(`cores of the gateway, ${name}`, "", 2),
          readings.measure(`cores of generator and mock, ${name}`, "", 2)
        ]),
        readings.measure("2 workers against 1", "×", 2)
      ],
      notes: ["generator and mock share one of the cores, so two workers have one core and what is left of the other"]
    }
  }
}
