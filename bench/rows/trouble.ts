/**
 * Bad days: three times more requests than are admitted, and a backend that dies under load.
 */
import { latenessNote, withField } from "../compare.ts"
import { isNexus, type LegName, startLeg } from "../legs.ts"
import { closedLoop, openLoop } from "../load.ts"
import { above, below, type Context, type Outcome, Readings, type Row } from "../measure.ts"
import { startMockProcess } from "../processes.ts"
import { post } from "../wire.ts"

const slow = (delay: number): Uint8Array =>
  post("/v1/chat/completions", JSON.stringify({ bench: { delay }, model: "bench", messages: [] }))

const request = post(
  "/v1/chat/completions",
  JSON.stringify({ model: "bench", messages: [{ role: "user", content: "a" }] })
)

/** Goodput at three times the capacity of `max_concurrent_requests`. */
export const overload: Row = {
  name: "overload",
  title: "Three times the admitted load (64 at a time, 50 ms each)",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    const notes: Array<string> = []
    let late = 0
    const legs = context.legs.filter(isNexus)
    await withField(legs, { server: ["max_concurrent_requests = 64"] }, async (field) => {
      for (let trial = 0; trial < context.trials; trial += 1) {
        for (const [leg, { port }] of field.legs) {
          const normal = await closedLoop(port, slow(50), 64, context.seconds)
          const over = await openLoop(port, slow(50), normal.perSecond * 3, context.seconds, 256)
          const after = await closedLoop(port, slow(50), 64, context.seconds)
          late = Math.max(late, over.late.p99)
          readings.add("capacity", leg, normal.perSecond)
          readings.add("goodput", leg, (over.done / context.seconds / normal.perSecond) * 100)
          readings.add("latency of the admitted p99, against normal", leg, over.latency.p99 / normal.latency.p99)
          readings.add("refusal p99", leg, over.refusals.p99 / 1000)
          readings.add("capacity afterwards", leg, (after.perSecond / normal.perSecond) * 100)
          if (over.failed > 0) notes.push(`${leg}: ${String(over.failed)} requests failed otherwise`)
        }
      }
    })
    return {
      measures: [
        readings.measure("capacity", "1/s", 0),
        readings.measure("goodput", "% of capacity", 1, above(90, "%")),
        readings.measure("latency of the admitted p99, against normal", "×", 2),
        readings.measure("refusal p99", "ms", 2, below(5, "ms")),
        readings.measure("capacity afterwards", "%", 1)
      ],
      notes: [...notes, latenessNote(late)]
    }
  }
}

const twoBackends = (first: number, second: number): ReadonlyArray<string> =>
  [first, second].flatMap((port, at) => [
    "[[backends]]",
    `name = "mock-${String(at)}"`,
    `url = "http://127.0.0.1:${String(port)}"`,
    `priority = ${String(at + 1)}`
  ])

/** The preferred of two backends dies at 500 requests per second. */
export const failover: Row = {
  name: "failover",
  title: "The preferred backend dies at 500 requests/s",
  run: async (context: Context): Promise<Outcome> => {
    const readings = new Readings()
    let late = 0
    for (let trial = 0; trial < context.trials; trial += 1) {
      for (const name of context.legs.filter(isNexus)) {
        late = Math.max(late, await oneDeath(readings, name, context.seconds))
      }
    }
    return {
      measures: [
        readings.measure("requests lost", "", 0, below(0, "")),
        readings.measure("p99 before", "ms", 2),
        readings.measure("p99 while and after", "ms", 2),
        readings.measure("longest", "ms", 1)
      ],
      notes: [latenessNote(late)]
    }
  }
}

/** Takes the readings of one death; gives how far behind the plan requests were sent. */
const oneDeath = async (readings: Readings, name: LegName, seconds: number): Promise<number> => {
  const [first, second] = [await startMockProcess(), await startMockProcess()]
  const leg = await startLeg(name, { mockPort: first.port, backendLines: twoBackends(first.port, second.port) })
  await closedLoop(leg.port, request, 8, seconds / 2)
  const before = await openLoop(leg.port, request, 500, seconds)
  const dying = Bun.sleep(seconds * 250).then(() => first.stop())
  const after = await openLoop(leg.port, request, 500, seconds)
  await dying
  const lost = before.failed + after.failed + (after.statuses[503] ?? 0) + (after.statuses[429] ?? 0)
  readings.add("requests lost", name, lost)
  readings.add("p99 before", name, before.latency.p99 / 1000)
  readings.add("p99 while and after", name, after.latency.p99 / 1000)
  readings.add("longest", name, after.latency.max / 1000)
  await leg.stop()
  await second.stop()
  return Math.max(before.late.p99, after.late.p99)
}
