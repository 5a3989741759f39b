/**
 * What many models, aliases and backends cost each request.
 */
import { disturbanceNote, withField } from "../compare.ts"
import { isNexus, lastModel, type Setup, smallRequest, startLeg } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { type Context, type Mark, type Outcome, Readings, type Row } from "../measure.ts"
import type { Running } from "../processes.ts"
import { cpuOf } from "../procfs.ts"

interface Size {
  readonly label: string
  readonly setup: Omit<Setup, "mockPort">
  readonly model: string
}

const costOf = async ({ pid, port }: Running, model: string, seconds: number): Promise<number> => {
  const before = cpuOf(pid)
  const load = await closedLoop(port, smallRequest(model), 32, seconds)
  return (cpuOf(pid) - before) / load.done
}

const growth = async (context: Context, sizes: ReadonlyArray<Size>, limit: number): Promise<Outcome> => {
  const names = context.legs.filter(isNexus)
  const readings = new Readings()
  const note = await withField(["floor"], {}, async (field) => {
    for (const name of names) {
      const running: Array<{ readonly size: Size; readonly leg: Running }> = []
      for (const size of sizes) {
        const leg = await startLeg(name, { ...size.setup, mockPort: field.mock.port })
        running.push({ size, leg })
        await costOf(leg, size.model, context.seconds / 2)
      }
      for (let trial = 0; trial < context.trials; trial += 1) {
        const order = trial % 2 === 0 ? running : running.toReversed()
        for (const { size, leg } of order)
          readings.add(size.label, name, await costOf(leg, size.model, context.seconds))
      }
      for (const { leg } of running) await leg.stop()
    }
    return disturbanceNote(field)
  })
  const [one] = sizes
  for (const { label } of sizes) {
    for (const name of names) {
      const base = readings.of(one?.label ?? "")[name] ?? []
      for (const [at, value] of (readings.of(label)[name] ?? []).entries()) {
        readings.add(`${label} against ${one?.label ?? ""}`, name, value / (base[at] ?? Number.NaN))
      }
    }
  }
  const mark: Mark = { text: `≤ ${String(limit)}`, ok: (value) => value <= limit }
  return {
    measures: [
      ...sizes.map(({ label }) => readings.measure(label, "µs/request", 1)),
      ...sizes.slice(1).map(({ label }) => readings.measure(`${label} against ${one?.label ?? ""}`, "×", 3, mark))
    ],
    notes: [note]
  }
}

const counts = [1, 100, 10_000]

/** CPU per request at 1, 100 and 10,000 models with as many aliases; asked for by the last alias. */
export const models: Row = {
  name: "models",
  title: "Models and aliases, c=32",
  run: (context) =>
    growth(
      context,
      counts.map((count) => ({
        label: count === 1 ? "1 model and alias" : `${count.toLocaleString("en")} models and aliases`,
        setup: { models: count, aliases: count },
        model: count === 1 ? "alias-0" : `alias-${String(count - 1)}`
      })),
      1.05
    )
}

/** CPU per request at 1, 10 and 1,000 backends that all serve the model. */
export const backends: Row = {
  name: "backends",
  title: "Backends that serve one model, c=32",
  run: (context) =>
    growth(
      context,
      [1, 10, 1000].map((count) => ({
        label: count === 1 ? "1 backend" : `${count.toLocaleString("en")} backends`,
        setup: { backends: count },
        model: lastModel(1)
      })),
      1.5
    )
}
