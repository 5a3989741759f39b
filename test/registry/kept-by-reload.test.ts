import { describe, expect, test } from "bun:test"
import { promptChain } from "../../src/fleet/prompt-chain.ts"
import { standingOf } from "../../src/registry/live-state.ts"
import { emptySnapshot, reconcile, withBackend } from "../../src/registry/snapshot-changes.ts"
import { backend } from "./backends.ts"

const chain = promptChain(new TextEncoder().encode(JSON.stringify({ messages: ["word ".repeat(500)] })))

const thresholds = { failures: 1, recoveries: 1 }

/** What is known of a backend after a reload that has it so, of which slots and a prompt were learned before. */
const knownAfter = (more: Parameters<typeof backend>[1]) => {
  const before = withBackend(emptySnapshot, backend("one"))
  const live = before.backends.get("one")?.live
  if (live === undefined) throw new Error("it is not there")
  const learned = standingOf(live, "m")
  learned.slots.refused(3)
  learned.cache.holds(chain, 0.25)
  const { snapshot } = reconcile(before, [backend("one", more)], new Map(), thresholds)
  const after = snapshot.backends.get("one")?.live
  const standing = after && standingOf(after, "m")
  return { slots: standing?.slots.seen, blocks: standing?.cache.depthOf(chain) }
}

describe("what was learned of a backend", () => {
  test("is still known after a reload that changes how it is used", () => {
    const known = { slots: 3, blocks: chain.hashes.length }
    expect(chain.hashes.length).toBeGreaterThan(2)
    expect(knownAfter({})).toEqual(known)
    expect(knownAfter({ priority: 7, maxConcurrent: 9, slots: 2, keepWarm: ["m"] })).toEqual(known)
  })

  test("is forgotten where its name stands for another server", () => {
    const nothing = { slots: undefined, blocks: 0 }
    expect(knownAfter({ url: "http://other.test:1" })).toEqual(nothing)
    expect(knownAfter({ type: "vllm" })).toEqual(nothing)
  })
})
