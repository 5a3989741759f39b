import { expect, test } from "bun:test"
import fc from "fast-check"
import { type BackendHealth, type ProbeOutcome, nextHealth, unknownHealth } from "../../src/domain/backend-health.ts"
import { down, outcomes, refused, up } from "./backends.ts"

const thresholds = fc.record({ failures: fc.integer({ min: 1, max: 9 }), recoveries: fc.integer({ min: 1, max: 9 }) })
const good = up("m")

const after = (
  start: BackendHealth,
  steps: ReadonlyArray<ProbeOutcome>,
  limits: { failures: number; recoveries: number }
) => steps.reduce((health, outcome) => nextHealth(health, outcome, limits), start)

const times = (outcome: ProbeOutcome, count: number): ReadonlyArray<ProbeOutcome> =>
  Array.from({ length: count }, () => outcome)

test("the first probe decides at once", () =>
  fc.assert(
    fc.property(thresholds, outcomes, (limits, outcome) => {
      const expected = { Up: "healthy", Down: "unhealthy", Refused: "config_error" } as const
      expect(nextHealth(unknownHealth, outcome, limits).status).toBe(expected[outcome._tag])
    })
  ))

test("it takes exactly the threshold of failures in a row to become unhealthy", () =>
  fc.assert(
    fc.property(thresholds, (limits) => {
      const healthy = nextHealth(unknownHealth, good, limits)
      expect(after(healthy, times(down, limits.failures - 1), limits).status).toBe("healthy")
      expect(after(healthy, times(down, limits.failures), limits).status).toBe("unhealthy")
    })
  ))

test("it takes exactly the threshold of good probes in a row to become healthy again", () =>
  fc.assert(
    fc.property(thresholds, (limits) => {
      const unhealthy = nextHealth(unknownHealth, down, limits)
      expect(after(unhealthy, times(good, limits.recoveries - 1), limits).status).toBe("unhealthy")
      expect(after(unhealthy, times(good, limits.recoveries), limits).status).toBe("healthy")
    })
  ))

test("one probe to the contrary starts the count again", () =>
  fc.assert(
    fc.property(thresholds, (limits) => {
      const healthy = nextHealth(unknownHealth, good, limits)
      const broken = [...times(down, limits.failures - 1), good, ...times(down, limits.failures - 1)]
      expect(after(healthy, broken, limits).status).toBe("healthy")
    })
  ))

test("failed probes never outvote real requests that are answered, and decide at once when those end", () =>
  fc.assert(
    fc.property(thresholds, fc.nat(20), (limits, more) => {
      const healthy = nextHealth(unknownHealth, good, limits)
      const probes = times(down, limits.failures + more)
      const kept = probes.reduce((health, outcome) => nextHealth(health, outcome, limits, true), healthy)
      expect(kept.status).toBe("healthy")
      expect(nextHealth(kept, down, limits).status).toBe("unhealthy")
    })
  ))

test("a refused key is believed at once, and so is the end of it", () =>
  fc.assert(
    fc.property(thresholds, fc.array(outcomes), (limits, history) => {
      const wrong = nextHealth(after(unknownHealth, history, limits), refused, limits)
      expect(wrong.status).toBe("config_error")
      expect(nextHealth(wrong, good, limits).status).toBe("healthy")
    })
  ))
