import { expect, test } from "bun:test"
import { emptySnapshot, withBackend } from "../../src/registry/snapshot-changes.ts"
import { noteSiblings, noteToldWork, toldOf } from "../../src/cluster/sibling-standings.ts"
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

test("what servers told one process of their work, the others know as old as it is, until it is too old", () => {
  const here = withBackend(withBackend(emptySnapshot, backend("one")), backend("two"))
  const there = withBackend(withBackend(emptySnapshot, backend("one")), backend("two"))
  const told = (snapshot: typeof here) => snapshot.backends.get("one")?.live.told
  told(here)?.set("m", { running: 2, waiting: 1, at: 900 })
  told(there)?.set("gone", { running: 1, at: 0 })
  noteToldWork(there, toldOf(here, 1000), 50_000)
  expect([...(told(there) ?? [])]).toEqual([["m", { running: 2, waiting: 1, at: 49_900 }]])
  expect(toldOf(here, 100_000)).toEqual([])
})

test("who looks at a server while it works for us is told when it works for another process", () => {
  const snapshot = withBackend(emptySnapshot, backend("one"))
  let begun = 0
  const live = snapshot.backends.get("one")?.live
  if (live === undefined) throw new Error("it is there")
  live.begins = () => {
    begun += 1
  }
  const standing = (in_flight: number) => ({ name: "one", in_flight, cooling_ms: 0, circuits: [] })
  noteSiblings(snapshot, [standing(0)], 0)
  expect(begun).toBe(0)
  noteSiblings(snapshot, [standing(2)], 0)
  expect(begun).toBe(1)
})
