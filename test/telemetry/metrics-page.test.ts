import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as definitions from "../../src/telemetry/metrics.ts"
import { metricsPage } from "../../src/telemetry/metrics-reference.ts"
import * as copies from "../../src/telemetry/shadow-metrics.ts"

const { metrics } = definitions

describe("the metrics", () => {
  test("are described in docs/metrics.md as they are defined (`bun run docs` writes it)", () => {
    expect(readFileSync(join(import.meta.dir, "../../docs/metrics.md"), "utf8")).toBe(metricsPage())
  })

  test("are all told, under names that are theirs alone and carry their unit", () => {
    const defined = Object.values({ ...definitions, ...copies }).filter((each) => "meaning" in each)
    expect(new Set(metrics)).toEqual(new Set(defined))
    expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length)
    for (const { name, kind, unit, meaning } of metrics) {
      expect(name).toMatch(/^nexus_[a-z]+(_[a-z]+)*$/)
      expect([name, name.endsWith("_total")]).toEqual([name, kind === "counter"])
      if (unit === "seconds" || unit === "bytes") expect(name).toContain(`_${unit}`)
      expect(meaning).toMatch(/^\S.*[^.\s]$/)
    }
  })

  test("have buckets that grow", () => {
    for (const metric of metrics) {
      if (!("bounds" in metric)) continue
      expect(metric.bounds.every((bound, at) => bound > (metric.bounds[at - 1] ?? 0))).toBe(true)
    }
  })
})
