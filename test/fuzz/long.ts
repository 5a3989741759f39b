/**
 * `bun run fuzz --minutes N`: the laws in turn until the time is over; seeds and counts are printed, failures end it.
 * With `--requests N` so many requests are read by our own listener and by a second reader, in place of the laws.
 *
 *     bun run fuzz [--minutes N] [--seed N] [--law WORDS] [--requests N]
 */
import { parseArgs } from "node:util"
import * as fc from "fast-check"
import { laws, startWorld } from "./laws.ts"
import { readInTwoWays } from "./requests.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string" },
    law: { type: "string" },
    requests: { type: "string" }
  }
})
const until = performance.now() + Number(values.minutes) * 60_000
const chosen = laws.filter(({ name }) => values.law === undefined || name.includes(values.law))
const counts = new Map<string, number>()
let seed = Number(values.seed ?? Date.now() % 2 ** 31)
if (values.requests !== undefined) {
  const began = performance.now()
  const cases = readInTwoWays(Number(values.requests), seed)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`${String(cases)} requests of seed ${String(seed)} were read alike by both readers, in ${seconds} s`)
  process.exit(0)
}
console.log(`${String(chosen.length)} laws for ${values.minutes} min, first seed ${String(seed)}`)

const world = await startWorld()
let failures = 0
while (performance.now() < until && failures === 0) {
  for (const { name, quick, property } of chosen) {
    const numRuns = quick * 10
    const began = performance.now()
    const details = await fc.check(property(world), { numRuns, seed })
    counts.set(name, (counts.get(name) ?? 0) + details.numRuns)
    if (details.failed) {
      failures += 1
      console.log(`\nFAIL  ${name}\n${fc.defaultReportMessage(details) ?? ""}`)
    }
    if (performance.now() - began > 30_000)
      console.log(`slow  ${name}: ${String(numRuns)} runs with seed ${String(seed)}`)
  }
  console.log(`seed ${String(seed)}: ${failures === 0 ? "held" : "broken"}`)
  seed += 1
}
await world[Symbol.asyncDispose]()

for (const [name, count] of counts) console.log(`${String(count).padStart(9)}  ${name}`)
console.log(failures === 0 ? "all laws held" : `${String(failures)} laws broken`)
process.exit(failures === 0 ? 0 : 1)
