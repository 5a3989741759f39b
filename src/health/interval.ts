/**
 * How long to wait between two probes of a backend.
 */
import type { Health, Thresholds } from "../domain/backend-health.ts"

/**
 * Milliseconds until the next probe. The rule behind all of it: whatever happens to a backend is known within one
 * interval. So a healthy one is probed a little more often than that, one whose probes speak against its status is
 * asked again in quick succession until the threshold is reached, and one that is down is tried soon at first, then
 * twice as late each time, up to the interval. `downs` counts the failed probes since it is down, `random` lies in [0, 1).
 */
export const pause = (
  health: Health,
  downs: number,
  intervalMs: number,
  thresholds: Thresholds,
  random: number
): number => {
  const jittered = intervalMs * (0.8 + 0.1 * random)
  if (health.status === "healthy" || health.status === "unhealthy") {
    if (health.streak > 0) {
      const needed = health.status === "healthy" ? thresholds.failures : thresholds.recoveries
      return Math.max(Math.min(100, intervalMs / 10), intervalMs / 10 / Math.max(1, needed - 1))
    }
    if (health.status === "unhealthy") return Math.min(jittered, 1000 * 2 ** Math.min(downs - 1, 20))
  }
  return jittered
}
