import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Speeds } from "../../src/fleet/speeds.ts"

const rate = fc.double({ min: 0.01, max: 20, noNaN: true })
const prompts = fc.array(fc.integer({ min: 64, max: 30_000 }), { minLength: 1, maxLength: 60 })

describe("the speeds of a server", () => {
  test("are found from exact samples of reading", () => {
    fc.assert(
      fc.property(rate, prompts, (readMs, tokens) => {
        const speeds = new Speeds()
        for (const each of tokens) speeds.reads(each, each * readMs)
        expect(speeds.readMs).toBeCloseTo(readMs, 6)
      })
    )
  })

  test("are found where each request also takes a time of its own", () => {
    fc.assert(
      fc.property(rate, prompts, fc.double({ min: 0.1, max: 0.5, noNaN: true }), (readMs, tokens, share) => {
        const speeds = new Speeds()
        const base = 64 * readMs * share
        speeds.reads(1, base)
        expect(speeds.baseMs).toBe(base)
        for (const each of tokens) speeds.reads(each, base + each * readMs)
        expect(speeds.readMs).toBeCloseTo(readMs, 6)
      })
    )
  })

  test("do not double because two of three samples have waited", () => {
    fc.assert(
      fc.property(
        rate,
        fc.array(fc.tuple(fc.integer({ min: 64, max: 30_000 }), fc.double({ min: 1, max: 100, noNaN: true })), {
          minLength: 24,
          maxLength: 80
        }),
        (readMs, samples) => {
          const speeds = new Speeds()
          for (const [at, [tokens, times]] of samples.entries()) {
            speeds.reads(tokens, tokens * readMs * (at % 3 === 0 ? 1 : times))
          }
          expect(speeds.readMs ?? 0).toBeGreaterThanOrEqual(readMs * 0.999)
          expect(speeds.readMs ?? 0).toBeLessThan(readMs * 2)
        }
      )
    )
  })

  test("are the same whether what was read is known at once or told later", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 64, max: 9000 }), fc.integer({ min: 64, max: 9000 }), rate), {
          minLength: 1,
          maxLength: 60
        }),
        (all) => {
          const told = new Speeds()
          const known = new Speeds()
          for (const [supposed, read, readMs] of all) {
            told.corrects(told.reads(supposed, read * readMs), read, read * readMs)
            known.reads(read, read * readMs)
          }
          expect(told.readMs).toBe(known.readMs)
        }
      )
    )
  })

  test("are not changed by what is told of a reading that counts no more", () => {
    const speeds = new Speeds()
    const first = speeds.reads(1000, 100)
    for (let at = 0; at < 24; at += 1) speeds.reads(1000, 400)
    speeds.corrects(first, 64, 100)
    expect(speeds.readMs).toBeCloseTo(0.4)
  })

  test("are not those of a prompt that turned out to have been cached", () => {
    const speeds = new Speeds()
    speeds.corrects(speeds.reads(8000, 40), 10, 40)
    expect(speeds.readMs).toBeUndefined()
    speeds.reads(1000, 400)
    speeds.reads(1000, 400)
    expect(speeds.readMs).toBeCloseTo(0.4)
  })

  test("stay known where most prompts turn out to have been cached", () => {
    const speeds = new Speeds()
    for (let at = 0; at < 8; at += 1) speeds.reads(1000, 400)
    for (let at = 0; at < 100; at += 1) speeds.corrects(speeds.reads(300, 20), 40, 20)
    expect(speeds.readMs).toBeCloseTo(0.4)
  })

  test("follow a server that has become slower, within as many samples as are kept", () => {
    const speeds = new Speeds()
    for (let at = 0; at < 24; at += 1) speeds.reads(1000, 100)
    for (let at = 0; at < 24; at += 1) speeds.reads(1000, 400)
    expect(speeds.readMs).toBeCloseTo(0.4)
  })

  test("of writing are a line over how many are written at once", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 50, noNaN: true }),
        fc.double({ min: 0, max: 5, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 8, maxLength: 60 }),
        (least, each, counts) => {
          fc.pre(new Set(counts.slice(-8)).size > 3 && least + each * 16 < 4 * (least + each))
          const speeds = new Speeds()
          for (const count of counts) speeds.writes(least + each * count, count)
          for (const count of [1, 8, 16]) expect(speeds.writeMs(count)).toBeCloseTo(least + each * count, 4)
        }
      )
    )
  })

  test("of writing never are nothing, however few or many are written", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0.5, max: 100, noNaN: true }), fc.integer({ min: 1, max: 64 })), {
          minLength: 1,
          maxLength: 40
        }),
        fc.integer({ min: 0, max: 200 }),
        (samples, count) => {
          const speeds = new Speeds()
          for (const [ms, atOnce] of samples) speeds.writes(ms, atOnce)
          expect(speeds.writeMs(count)).toBeGreaterThan(0)
        }
      )
    )
  })

  test("are found from answers that come in one piece, where reading and writing vary", () => {
    fc.assert(
      fc.property(rate, rate, (readMs, writeMs) => {
        const speeds = new Speeds()
        for (let at = 0; at < 30; at += 1) {
          const read = 100 + 900 * (at % 2)
          const written = 50 + 300 * (Math.floor(at / 2) % 2)
          speeds.answersWhole(read, written, read * readMs + written * writeMs)
        }
        expect((speeds.readMs ?? 0) / readMs).toBeCloseTo(1, 3)
        expect((speeds.writeMs(1) ?? 0) / writeMs).toBeCloseTo(1, 3)
      })
    )
  })

  test("are unknown while nothing was measured", () => {
    const speeds = new Speeds()
    expect([speeds.readMs, speeds.baseMs, speeds.writeMs(1)]).toEqual([undefined, undefined, undefined])
  })
})

test("a server that was seen to write one and two at a time is not thought to write three slower than one after the other", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 2 }), fc.double({ min: 1, max: 200, noNaN: true })), {
        minLength: 1
      }),
      (samples) => {
        const speeds = new Speeds()
        for (const [atOnce, ms] of samples) speeds.writes(ms, atOnce)
        const one = speeds.writeMs(1) ?? 0
        const mostOfTwo = Math.max(...samples.map(([, ms]) => ms))
        expect(speeds.writeMs(3) ?? 0).toBeLessThanOrEqual(3 * mostOfTwo)
        expect(speeds.writeMs(3) ?? 0).toBeGreaterThanOrEqual(one)
      }
    )
  )
})
