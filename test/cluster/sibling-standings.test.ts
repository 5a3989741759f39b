import { expect, test } from "bun:test"
import { emptySnapshot, withBackend } from "../../src/registry/snapshot-changes.ts"
import { noteSiblings } from "../../src/cluster/sibling-standings.ts"
import { backend } from "../registry/backends.ts"

test("what other processes told counts until they tell otherwise, or are gone", () => {
  const snapshot = withBackend(withBackend(emptySnapshot, backend("one")), backend("two"))
  const inFlight = () => [...snapshot.backends.values()].map(({ live }) => live.siblings.inFlight)
  const standing = (name: string, in_flight: number) => ({ name, in_flight, cooling_ms: 0, circuits: [] })
  noteSiblings(snapshot, [standing("one", 3), standing("two", 1), standing("unknown", 9)], 0)
  expect(inFlight()).toEqual([3, 1])
  noteSiblings(snapshot, [standing("two", 2)], 0)
  expect(inFlight()).toEqual([0, 2])
  noteSiblings(snapshot, [], 0)
  expect(inFlight()).toEqual([0, 0])
})
