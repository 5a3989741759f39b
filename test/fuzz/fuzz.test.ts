import { afterAll, beforeAll, describe, test } from "bun:test"
import * as fc from "fast-check"
import { laws, startWorld, type World } from "./laws.ts"

describe("for any input", () => {
  let world: World | undefined
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  for (const { name, quick, property } of laws) {
    test(name, async () => {
      if (world === undefined) throw new Error("no gateway")
      await fc.assert(property(world), { numRuns: quick })
    })
  }
})
