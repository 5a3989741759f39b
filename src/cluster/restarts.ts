/**
 * Keeps a worker in its place, and says how long that stays empty after one has ended.
 */
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import { monotonicMs } from "../domain/monotonic.ts"

/** First and longest wait, in milliseconds. */
export const restartMs = { first: 100, longest: 60_000 } as const

/** A worker that lived so long did not end because it was started, in milliseconds. */
const steadyMs = 10_000

/** Nor did one that lived so many times longer than its place had waited for it. */
const steadyTimes = 10

/** The wait after a worker that lived for `livedMs`, where its place had waited `beforeMs` for it; 0 for the first one. */
export const restartWait = (livedMs: number, beforeMs: number): number =>
  livedMs > Math.max(steadyMs, steadyTimes * beforeMs)
    ? restartMs.first
    : Math.min(restartMs.longest, Math.max(restartMs.first, 2 * beforeMs))

/**
 * Runs one worker after the other, each to its end, until `stopping` is open; `ended` is told how often one has ended, and
 * why the last one did.
 */
export const keepRunning = Effect.fnUntraced(function* (
  run: Effect.Effect<string>,
  worker: number,
  stopping: Latch.Latch,
  ended: (ends: number, reason: string) => void
) {
  let waitMs = 0
  for (let ends = 1; !stopping.isOpen(); ends++) {
    const began = yield* monotonicMs
    const reason = yield* run
    if (stopping.isOpen()) return
    waitMs = restartWait((yield* monotonicMs) - began, waitMs)
    const about = { worker, reason, after_ms: waitMs }
    yield* Effect.annotateLogs(Effect.logError("worker ended, another one is started"), about)
    ended(ends, reason)
    yield* Effect.raceFirst(Effect.sleep(waitMs), stopping.await)
  }
})
