/**
 * From the start of the program to its first 200, and the size of the binary.
 */
import { statSync } from "node:fs"
import { isNexus, type LegName, startLeg, startNexus } from "../legs.ts"
import { below, type Context, type Outcome, Readings, type Row } from "../measure.ts"
import {
  binaryPath,
  freePort,
  hasBinary,
  once,
  proxyCore,
  type Running,
  start,
  startMockProcess
} from "../processes.ts"
import { get } from "../wire.ts"

// A bare Bun server compiled in memory of this run would need a build; the same program from source stands for it.
const bare = (port: number): Running =>
  start(
    [
      process.execPath,
      "-e",
      `Bun.serve({ port: ${String(port)}, hostname: "127.0.0.1", fetch: () => new Response("ok") })`
    ],
    port,
    proxyCore
  )

const untilAnswer = async (launch: () => Running, path: string): Promise<number> => {
  const began = performance.now()
  const program = launch()
  for (;;) {
    const { status } = await once(program.port, get(path))
    if (status === 200) break
    if (performance.now() - began > 10_000) throw new Error(`no answer\n${program.output()}`)
    await Bun.sleep(1)
  }
  const took = performance.now() - began
  await program.stop()
  return took
}

/** Start to first 200 on /livez and on /v1/models with three backends; size of the binary. */
export const startup: Row = {
  name: "start",
  title: "Start with three backends",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const setup = { mockPort: mock.port, backends: 3 }
    const legs = context.legs.filter(isNexus)
    // The files are in the cache after the first start.
    for (const leg of legs) await (await startLeg(leg, setup)).stop()
    for (let trial = 0; trial < context.trials * 3; trial += 1) {
      const empty = await untilAnswer(() => bare(freePort()), "/")
      readings.add("to first 200, /livez", "floor", empty)
      for (const leg of legs) {
        const alive = await untilAnswer(() => startNexus(kindOf(leg), setup), "/livez")
        readings.add("to first 200, /livez", leg, alive)
        readings.add("of that ours", leg, alive - empty)
        readings.add(
          "to first 200, /v1/models",
          leg,
          await untilAnswer(() => startNexus(kindOf(leg), setup), "/v1/models")
        )
      }
    }
    await mock.stop()
    if (hasBinary()) readings.add("size of the binary", "binary", statSync(binaryPath).size / 1e6)
    const onlyBinary = (what: string, limit: number) => {
      const measure = readings.measure(what, "ms", 0)
      return legs.includes("binary") ? { ...measure, mark: { ...below(limit, "ms (binary)") } } : measure
    }
    return {
      measures: [
        onlyBinary("to first 200, /livez", 100),
        onlyBinary("of that ours", 60),
        readings.measure("to first 200, /v1/models", "ms", 0),
        readings.measure("size of the binary", "MB", 1)
      ],
      notes: ["floor: a bare `Bun.serve` one-liner from source, which is what Bun itself takes"]
    }
  }
}

const kindOf = (leg: LegName): "nexus" | "binary" => (leg === "binary" ? "binary" : "nexus")
