import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import fc from "fast-check"
import { isHanging, type WorkerSilence, silenceOf, silentMs, startMs } from "../../src/cluster/hang-watch.ts"
import { restartMs, restartWait } from "../../src/cluster/restarts.ts"

const lives = fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 30 })

test("a place waits twice as long after each worker that dies soon, up to the longest wait", () =>
  fc.assert(
    fc.property(lives, (all) => {
      let waitMs = 0
      all.forEach((livedMs, nth) => {
        waitMs = restartWait(livedMs, waitMs)
        expect(waitMs).toBe(Math.min(restartMs.longest, restartMs.first * 2 ** nth))
      })
    })
  ))

test("a worker that lived long is replaced at once, however long its place had waited", () =>
  fc.assert(
    fc.property(fc.integer({ min: 0, max: restartMs.longest }), (beforeMs) => {
      expect(restartWait(10_001 + 10 * restartMs.longest, beforeMs)).toBe(restartMs.first)
    })
  ))

test("a worker that dies whenever it has lived as long as its place had waited is no steady one", () => {
  let waitMs = 0
  for (let nth = 0; nth < 20; nth += 1) waitMs = restartWait(waitMs, waitMs)
  expect(waitMs).toBe(restartMs.longest)
})

const child = spawn(process.execPath, ["-e", "0"], { stdio: "ignore" })

test("a worker that says anything in time does not hang, and one that does not hangs from then on", () =>
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.record({ says: fc.boolean(), afterMs: fc.integer({ min: 1, max: 1000 }) }), { maxLength: 60 }),
      (listens, steps) => {
        const limitMs = listens ? silentMs : startMs
        let now = 0
        let said = 0
        let spokeAt = 0
        let silence: WorkerSilence | undefined
        const look = () => {
          const slot = { number: 1, child, listens, said }
          silence = silenceOf(silence, slot, now)
          return isHanging(silence, slot, now)
        }
        look()
        for (const { says, afterMs } of steps) {
          now += afterMs
          if (says) {
            said += 1
            spokeAt = now
          }
          expect(look()).toBe(now - spokeAt > limitMs)
        }
      }
    )
  ))

test("a place that is empty does not hang, and a new worker begins anew", () => {
  const before = silenceOf(undefined, { number: 1, child: undefined, listens: true, said: 3 }, 0)
  const empty = { number: 1, child: undefined, listens: true, said: 3 }
  expect(isHanging(before, empty, 1e9)).toBe(false)
  const anew = { ...empty, child }
  expect(isHanging(silenceOf(before, anew, 1e9), anew, 1e9)).toBe(false)
})
