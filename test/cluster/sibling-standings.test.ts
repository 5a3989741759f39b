import { expect, test } from "bun:test"
import { empty, put } from "../../src/registry/snapshot.ts"
import { noteElsewhere } from "../../src/cluster/sibling-standings.ts"
import { backend } from "../registry/backends.ts"

test("what other processes told counts until they tell otherwise, or are gone", () => {
  const snapshot = put(put(empty, backend("one")), backend("two"))
  const inFlight = () => [...snapshot.backends.values()].map(({ live }) => live.elsewhere.inFlight)
  const standing = (name: string, in_flight: number) => ({ name, in_flight, cooling_ms: 0, circuits: [] })
  noteElsewhere(snapshot, [standing("one", 3), standing("two", 1), standing("unknown", 9)], 0)
  expect(inFlight()).toEqual([3, 1])
  noteElsewhere(snapshot, [standing("two", 2)], 0)
  expect(inFlight()).toEqual([0, 2])
  noteElsewhere(snapshot, [], 0)
  expect(inFlight()).toEqual([0, 0])
})
