import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Residency } from "../../src/fleet/residency.ts"

describe("which models a server has in memory", () => {
  test("a second model is cold where one is held, and the first one makes room", () => {
    const memory = new Residency()
    expect(memory.asks("llama", 0)).toBe(true)
    memory.hasLoaded("llama", 8000, 8000)
    expect(memory.isCold("llama", undefined)).toBe(false)
    expect(memory.isCold("qwen", undefined)).toBe(true)
    expect(memory.victimFor("qwen")).toBe("llama")
    expect(memory.victimFor("llama")).toBeUndefined()
    expect(memory.costOf("llama", 10_000)).toBe(8000)
    expect(memory.costOf("llama", 100_000)).toBe(0)
    expect(memory.asks("qwen", 10_000)).toBe(true)
    expect(memory.isCold("llama", undefined)).toBe(true)
  })

  test("two that were seen loaded together are not cold, and neither pushes the other out", () => {
    const memory = new Residency()
    memory.tells(["llama", "qwen"], () => false)
    for (const model of ["llama", "qwen"]) expect(memory.isCold(model, undefined)).toBe(false)
    expect(memory.asks("llama", 0)).toBe(false)
    expect(memory.asks("qwen", 1)).toBe(false)
    expect(memory.asks("llama", 2)).toBe(false)
    expect(memory.victimFor("phi")).toBe("qwen")
  })

  test("one that answers at once had been there all the time: there is room for both", () => {
    const memory = new Residency()
    memory.asks("llama", 0)
    memory.hasLoaded("llama", 8000, 8000)
    memory.asks("qwen", 9000)
    memory.hasLoaded("qwen", 8000, 17_000)
    memory.asks("llama", 18_000)
    memory.hasLoaded("llama", 20, 18_020)
    memory.asks("qwen", 19_000)
    memory.asks("llama", 19_100)
    expect(memory.isCold("qwen", undefined)).toBe(false)
  })

  test("one that has never loaded anything takes as long as others do, and any other what it took itself", () => {
    const memory = new Residency()
    expect(memory.leastLoadMs).toBeUndefined()
    expect(memory.loadMs("llama", 600)).toBe(600)
    for (const [model, ms] of [
      ["llama", 8000],
      ["qwen", 5000]
    ] as const) {
      memory.asks(model, 0)
      memory.hasLoaded(model, ms, ms)
    }
    expect(memory.loadMs("llama", 600)).toBe(8000)
    expect(memory.loadMs("phi", 600)).toBe(8000)
    expect(memory.leastLoadMs).toBe(5000)
    // The very model elsewhere says more than others here.
    expect([memory.loadMs("llama", 600, 700), memory.loadMs("phi", 600, 700)]).toEqual([8000, 700])
  })

  test("a load that somebody asked for tells how long the next one takes, and nothing of how much there is room for", () => {
    const memory = new Residency()
    memory.tookToLoad("llama", 8000)
    expect([memory.loadMs("llama"), memory.loadMs("qwen"), memory.leastLoadMs]).toEqual([8000, 8000, 8000])
    memory.tookToLoad("llama", 1000)
    expect(memory.loadMs("llama")).toBe(5900)
    expect([memory.isCold("llama", false), memory.tight]).toEqual([true, false])
  })

  test("one that came at once says nothing of how long a load takes, there or elsewhere", () => {
    const memory = new Residency()
    memory.asks("llama", 0)
    memory.hasLoaded("llama", 0, 100)
    expect(memory.leastLoadMs).toBeUndefined()
    expect(memory.loadMs("llama", 600)).toBe(600)
    expect(memory.loadMs("llama")).toBeGreaterThan(0)
  })

  test("one that pushes out another in use makes memory tight, until two are told of", () => {
    const memory = new Residency()
    for (const [at, model] of ["llama", "qwen", "llama"].entries()) {
      memory.asks(model, at * 10_000)
      memory.hasLoaded(model, 8000, at * 10_000 + 8000)
    }
    expect(memory.tight).toBe(true)
    memory.tells(["llama", "qwen"], () => false)
    expect(memory.tight).toBe(false)
  })

  test("what the server says is gone is gone, but for what is being asked", () => {
    const memory = new Residency()
    memory.tells(["llama", "qwen"], () => false)
    memory.tells([], (model) => model === "qwen")
    expect(memory.isCold("llama", false)).toBe(true)
    expect(memory.isCold("qwen", false)).toBe(false)
  })

  test("nothing is known of what nobody has said anything about", () => {
    expect(new Residency().isCold("llama", undefined)).toBe(false)
    expect(new Residency().victimFor("llama")).toBeUndefined()
  })

  test("whoever was asked last is in memory, and who makes room is who was asked longest ago", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f"), { minLength: 1, maxLength: 40 }),
        (together, asked) => {
          const memory = new Residency()
          const said = ["a", "b", "c", "d"].slice(0, together)
          memory.tells(said, () => false)
          const uses = [...said]
          for (const [at, model] of asked.entries()) {
            const isThere = uses.includes(model)
            expect(memory.asks(model, at)).toBe(!isThere)
            if (isThere) uses.splice(uses.indexOf(model), 1)
            else if (uses.length >= together) uses.shift()
            uses.push(model)
            for (const each of uses) expect(memory.isCold(each, undefined)).toBe(false)
            expect(memory.victimFor("new")).toBe(uses.length < together ? undefined : uses[0])
          }
        }
      )
    )
  })
})
