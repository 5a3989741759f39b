import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { contextNow, sizedContext, tuningFor } from "../../src/backend/tuning.ts"
import type { Model } from "../../src/domain/server.ts"
import { backend } from "../registry/backends.ts"

const size = fc.integer({ min: 512, max: 1_000_000 })
const tokens = fc.record({ promptTokens: fc.nat(1_000_000), outputTokens: fc.nat(100_000) })

describe("the context of a model", () => {
  test("is never below the least nor above the most, and is kept where a prompt fits into it", () => {
    fc.assert(
      fc.property(size, size, tokens, fc.nat(2_000_000), (a, b, prompt, now) => {
        const bounds = { least: Math.min(a, b), most: Math.max(a, b) }
        const sized = sizedContext(bounds, prompt, now)
        expect(sized).toBeGreaterThanOrEqual(bounds.least)
        expect(sized).toBeLessThanOrEqual(bounds.most)
        // The same prompt again changes nothing, and so causes no load.
        expect(sizedContext(bounds, prompt, sized)).toBe(sized)
        expect(sizedContext(bounds, { promptTokens: 0, outputTokens: 1 }, sized)).toBe(sized)
      })
    )
  })

  test("is doubled as often as a prompt needs it", () => {
    const bounds = { least: 4096, most: 30_000 }
    const sized = (promptTokens: number, outputTokens = 0, now = 0) =>
      sizedContext(bounds, { promptTokens, outputTokens }, now)
    expect([sized(100), sized(2000), sized(2100), sized(9000), sized(20_000), sized(90_000)]).toEqual([
      4096, 4096, 8192, 16_384, 30_000, 30_000
    ])
    expect(sized(100, 6000)).toBe(8192)
    expect(sized(100, 0, 16_384)).toBe(16_384)
    expect(sized(100, 0, 60_000)).toBe(30_000)
  })

  test("is what it was asked to be, until a later look shows what has become of it", () => {
    const model = (more: Partial<Model>): Model => ({ id: "m", capabilities: {}, ...more })
    const asked = { tokens: 16_384, at: 100 }
    expect(contextNow(model({ loaded: true, context_in_force: 8192 }), undefined, 50)).toBe(8192)
    expect(contextNow(model({ loaded: false, context_in_force: 8192 }), undefined, 50)).toBe(0)
    expect(contextNow(model({ loaded: false }), asked, 50)).toBe(16_384)
    expect(contextNow(model({ loaded: false }), asked, 150)).toBe(0)
    expect(contextNow(model({ loaded: true, context_in_force: 8192 }), asked, 150)).toBe(8192)
    expect(contextNow(model({ loaded: true }), asked, 150)).toBe(16_384)
    expect(contextNow(model({}), asked, 150)).toBe(16_384)
  })
})

test("the tuning of a model goes before that of its backend, however its name is spelled", () => {
  const one = {
    ...backend("b", { type: "ollama" }),
    tuning: { options: { top_k: 20, seed: 1 }, keepAlive: "5m", leastContext: 4096 },
    modelTunings: [{ id: "Tide", tuning: { options: { seed: 2 }, mostContext: 8192 } }]
  }
  expect(tuningFor(one, "other")).toEqual(one.tuning)
  expect(tuningFor(one, "tide:latest")).toEqual({
    options: { top_k: 20, seed: 2 },
    keepAlive: "5m",
    leastContext: 4096,
    mostContext: 8192
  })
  expect(tuningFor(backend("b", { type: "ollama" }), "tide")).toBeUndefined()
})
