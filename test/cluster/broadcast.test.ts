import { expect, test } from "bun:test"
import { Redacted } from "effect"
import fc from "fast-check"
import type { ReadConfig } from "../../src/config/read.ts"
import { emptySnapshot, withBackend, withoutBackend, withMode } from "../../src/registry/snapshot-changes.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import type { SharedStanding } from "../../src/cluster/messages.ts"
import type { Reloader } from "../../src/runtime/Reloader.ts"
import { sendNews, sendStandings } from "../../src/cluster/broadcast.ts"
import { backend } from "../registry/backends.ts"
import { makePlace, type Place } from "./places.ts"

type Told = Pick<Reloader["Service"], "read" | "status">

const configOf = (text: string, ...names: ReadonlyArray<string>): ReadConfig =>
  ({
    loaded: { backends: names.map((name) => backend(name)) },
    file: { path: "nexus.toml", text }
  }) as unknown as ReadConfig // reason: no more of it is told

/** A config in force, which a test may replace. */
const inForce = (read: ReadConfig) => {
  const state = { read, generation: 1 }
  const reloader: Told = {
    read: () => state.read,
    status: () => ({ generation: state.generation, loaded_at: 0, path: null, needs_restart: [], failure: null })
  }
  return { state, reloader: reloader as Reloader["Service"] } // reason: no more of it is asked for telling news
}

const both: Snapshot = withBackend(withBackend(emptySnapshot, backend("one")), backend("two"))

const tagsOf = ({ told }: Place) =>
  told.map((message) => ("name" in message ? `${message._tag} ${message.name}` : message._tag))

test("a worker is told once of each thing, and of it again when it has changed", () => {
  const place = makePlace(1)
  const { reloader } = inForce(configOf("", "one"))
  const snapshot = withBackend(withBackend(emptySnapshot, backend("one")), backend("found", { origin: "discovered" }))
  sendNews(place.slot, snapshot, reloader)
  expect(tagsOf(place)).toEqual(["Config", "Status", "State one", "Put found", "State found"])
  place.told.length = 0
  sendNews(place.slot, snapshot, reloader)
  expect(tagsOf(place)).toEqual([])
  sendNews(place.slot, withMode(snapshot, "one", "draining"), reloader)
  expect(place.told).toMatchObject([{ _tag: "State", name: "one", mode: "draining" }])
})

test("a worker is told of what is gone, whether it knew it by the config or was told of it", () => {
  const place = makePlace(1)
  const { reloader, state } = inForce(configOf("", "one"))
  const snapshot = withBackend(withBackend(emptySnapshot, backend("one")), backend("found", { origin: "discovered" }))
  sendNews(place.slot, snapshot, reloader)
  place.told.length = 0
  sendNews(place.slot, withoutBackend(snapshot, "found"), reloader)
  expect(tagsOf(place)).toEqual(["Removed found"])
  place.told.length = 0
  // The next config names a backend that a command has taken out.
  state.read = configOf("again", "one", "taken-out")
  sendNews(place.slot, withoutBackend(snapshot, "found"), reloader)
  expect(tagsOf(place)).toEqual(["Config", "Removed taken-out", "State one"])
})

test("a new worker is told all anew, and how the config stands only when that has changed", () => {
  const [place, { reloader, state }] = [makePlace(1), inForce(configOf("", "one"))] as const
  const snapshot = withBackend(emptySnapshot, backend("one"))
  sendNews(place.slot, snapshot, reloader)
  state.generation = 2
  place.told.length = 0
  sendNews(place.slot, snapshot, reloader)
  expect(place.told).toMatchObject([{ _tag: "Status", status: { generation: 2 } }])
  const fresh = makePlace(1)
  sendNews(fresh.slot, snapshot, reloader)
  expect(tagsOf(fresh)).toEqual(["Config", "Status", "State one"])
})

test("a key of what was added crosses the pipe as it is, since the worker has to send it", () => {
  const place = makePlace(1)
  const added = backend("added", { origin: "added", apiKey: Redacted.make("sk-added") })
  sendNews(place.slot, withBackend(emptySnapshot, added), inForce(configOf("")).reloader)
  expect(place.told).toContainEqual(expect.objectContaining({ _tag: "Put", name: "added", key: "sk-added" }))
})

test("a worker whose pipe is gone is told nothing, and nothing fails", () => {
  const place = makePlace(1)
  place.slot.child = undefined
  sendNews(place.slot, withBackend(emptySnapshot, backend("one")), inForce(configOf("", "one")).reloader)
  sendStandings([place.slot], emptySnapshot, 0)
  expect(place.told).toEqual([])
})

test("a worker hears once which prompts servers have read for the others and which keys were wrong there, and of their queues as they are", () => {
  const places = [makePlace(1), makePlace(2), makePlace(3)]
  const slots = places.map(({ slot }) => slot)
  const prompt = { model: "m", root: 7, per_byte: 0.25, hashes: "AAAAAA==" }
  for (const slot of slots) {
    const name = `by ${slot.number}`
    slot.queue = {
      served: [{ key: name, seconds: 3, count: 1, age_ms: 0 }],
      waiting: [{ group: "m", keys: [[name, 1]] }]
    }
    slot.prompts = [{ name, prompts: [prompt] }]
    slot.tries = [[name, slot.number]]
  }
  for (const _ of [1, 2]) sendStandings(slots, both, 1000)
  for (const [at, { told }] of places.entries()) {
    const others = places.flatMap(({ slot }, other) => (other === at ? [] : [`by ${slot.number}`]))
    const [first, second] = told.map((message) => (message._tag === "Others" ? message : undefined))
    expect(first?.prompts?.map(({ name }) => name)).toEqual(others)
    expect(first?.tries?.map(([who]) => who)).toEqual(others)
    expect([second?.prompts, second?.tries]).toEqual([undefined, undefined])
    for (const message of [first, second])
      expect(message?.queues?.map(({ told: queue }) => queue.served[0]?.key)).toEqual(others)
    expect(new Set(first?.queues?.map(({ from }) => from)).size).toBe(2)
  }
})

const standing = fc.record({
  name: fc.constantFrom("one", "two"),
  in_flight: fc.nat({ max: 9 }),
  cooling_ms: fc.nat({ max: 9000 }),
  circuits: fc.uniqueArray(
    fc.record({
      model: fc.constantFrom("a", "b"),
      state: fc.constant("open" as const),
      failures: fc.nat({ max: 9 }),
      retry_in_ms: fc.nat({ max: 9000 })
    }),
    { selector: ({ model }) => model }
  )
})
const workers = fc.array(fc.uniqueArray(standing, { selector: ({ name }) => name, maxLength: 2 }), {
  minLength: 1,
  maxLength: 4
})

const longest = (all: ReadonlyArray<SharedStanding>, model: string): number | undefined =>
  all
    .flatMap(({ circuits }) => circuits)
    .filter((circuit) => circuit.model === model)
    .reduce<number | undefined>((most, { retry_in_ms }) => Math.max(most ?? 0, retry_in_ms), undefined)

test("each worker hears the sum of all others, with the longest of pauses and circuits, and never of itself (law)", () =>
  fc.assert(
    fc.property(workers, (all) => {
      const places = all.map((standings, at) => {
        const place = makePlace(at + 1)
        place.slot.standings = standings
        return place
      })
      sendStandings(
        places.map(({ slot }) => slot),
        both,
        1000
      )
      places.forEach(({ told }, at) => {
        const [message] = told
        if (message?._tag !== "Others") throw new Error("it is told of the others")
        for (const name of ["one", "two"]) {
          const others = all
            .filter((_, other) => other !== at)
            .flatMap((each) => each.filter((one) => one.name === name))
          const heard = message.backends.find((each) => each.name === name)
          expect(heard === undefined).toBe(others.length === 0)
          if (heard === undefined) continue
          expect(heard.in_flight).toBe(others.reduce((sum, { in_flight }) => sum + in_flight, 0))
          expect(heard.cooling_ms).toBe(Math.max(...others.map(({ cooling_ms }) => cooling_ms)))
          for (const model of ["a", "b"]) {
            const circuit = heard.circuits.find((each) => each.model === model)
            expect(circuit?.retry_in_ms).toBe(longest(others, model))
          }
        }
      })
      // The supervisor itself serves nothing: what all of them have under way is at its siblings.
      for (const [name, { live }] of both.backends) {
        const sum = all.flat().filter((each) => each.name === name)
        expect(live.siblings.coolUntil).toBe(
          sum.length === 0 ? 0 : 1000 + Math.max(...sum.map(({ cooling_ms }) => cooling_ms))
        )
        expect(live.siblings.inFlight).toBe(sum.reduce((count, { in_flight }) => count + in_flight, 0))
      }
    })
  ))
