import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { pauseAfter, remembered, warmStateOf, neverLoaded, type Warmth } from "../../src/lifecycle/keep-warm.ts"
import { newLiveState } from "../../src/registry/live-state.ts"
import type { BackendState } from "../../src/registry/snapshot.ts"
import { startGateway, startProcess, until } from "../kit/gateway.ts"
import { startModelOllama, toldOf } from "../kit/modelServers.ts"
import { backend } from "../registry/backends.ts"

const stateOf = (loaded: boolean | undefined, more: Partial<BackendState> = {}): BackendState => ({
  backend: { ...backend("lab"), type: "ollama" },
  mode: "enabled",
  health: { status: "healthy", streak: 0, reason: "" },
  models: new Map([["m:latest", { id: "m:latest", capabilities: {}, ...(loaded === undefined ? {} : { loaded }) }]]),
  listed: true,
  live: newLiveState(),
  ...more
})

const warmths = fc.record({
  tries: fc.nat(20),
  triedAt: fc.integer({ min: -1000, max: 10_000_000 }),
  loaded: fc.boolean()
})
const times = fc.integer({ min: 0, max: 20_000_000 })

describe("a model that is to be kept warm", () => {
  test("is loaded at once where it is not, by any spelling of its name", () => {
    expect(warmStateOf(stateOf(false), "M", neverLoaded, 5000)).toBe("cold")
    expect(warmStateOf(stateOf(undefined), "m", neverLoaded, 5000)).toBe("cold")
  })

  test("is never loaded where it is loaded, is not there, or its backend gets no requests", () => {
    fc.assert(
      fc.property(warmths, times, (warmth, now) => {
        expect(warmStateOf(stateOf(true), "m", warmth, now)).toBe("warm")
        expect(warmStateOf(stateOf(false), "other", warmth, now)).toBe("unlisted")
        expect(warmStateOf(stateOf(false, { mode: "disabled" }), "m", warmth, now)).toBe("away")
        const health = { status: "unhealthy", streak: 0, reason: "" } as const
        expect(warmStateOf(stateOf(false, { health }), "m", warmth, now)).toBe("away")
      })
    )
  })

  test("is never loaded while its server does something else, or has within a minute", () => {
    fc.assert(
      fc.property(warmths, times, fc.nat(59_999), fc.constantFrom("askedAt", "aliveAt"), (warmth, at, ago, of) => {
        const busy = { ...newLiveState(), inFlight: 1 }
        expect(warmStateOf(stateOf(false, { live: busy }), "m", warmth, at)).toBe("used")
        const used = { ...newLiveState(), [of]: at + 1 }
        expect(warmStateOf(stateOf(false, { live: used }), "m", warmth, at + 1 + ago)).toBe("used")
      })
    )
  })

  test("is loaded again after longer and longer pauses, which end where it lasts", () => {
    fc.assert(
      fc.property(fc.nat(100), (tries) => {
        expect(pauseAfter(tries + 1)).toBeGreaterThanOrEqual(Math.max(60_000, pauseAfter(tries)))
        expect(pauseAfter(tries)).toBeLessThanOrEqual(1_800_000)
      })
    )
    const warmth: Warmth = { tries: 3, triedAt: 1000, loaded: true }
    expect(warmStateOf(stateOf(false), "m", warmth, 1000 + pauseAfter(3) - 1)).toBe("tried")
    expect(warmStateOf(stateOf(false), "m", warmth, 1000 + pauseAfter(3))).toBe("cold")
    expect(remembered(warmth, "warm", 300_000).tries).toBe(3)
    expect(remembered(warmth, "warm", 601_000).tries).toBe(0)
    // A server that does not tell what is loaded has nothing loaded when it comes back.
    expect(remembered(warmth, "away", 2000).loaded).toBe(false)
  })
})

const settings = (lab: { readonly url: string }) => ({
  backends: [{ name: "lab", url: lab.url, type: "ollama" }],
  routing: { keep_warm: ["m:1b@lab"] },
  health_check: { interval_seconds: 0.2 }
})

test("a model to be kept warm is loaded at start, to stay, and the lists tell how it stands", async () => {
  await using lab = await startModelOllama("m:1b", "other:1b")
  await using gateway = await startGateway(settings(lab))
  await until(() => lab.memory.has("m:1b"), "it has been loaded")
  expect(toldOf(lab.server, "/api/generate")).toEqual([{ model: "m:1b", keep_alive: -1, stream: false }])
  await until(() => gateway.backend("lab").kept_warm?.[0]?.loaded === true, "the list tells it")
  expect(gateway.backend("lab")).toMatchObject({ reason: "", kept_warm: [{ model: "m:1b", loaded: true }] })
  lab.memory.delete("m:1b")
  await until(() => gateway.backend("lab").kept_warm?.[0]?.loaded === false, "the list tells it")
  expect(gateway.backend("lab").reason).toBe("to be kept warm and not loaded: m:1b")
  // Not at once: what takes it out may do so again.
  expect(toldOf(lab.server, "/api/generate")).toHaveLength(1)
})

test("a model to be kept warm is loaded once by a gateway of several processes", async () => {
  await using lab = await startModelOllama("m:1b")
  await using gateway = await startProcess(settings(lab), ["--workers", "2"])
  await until(() => lab.memory.has("m:1b"), "it has been loaded")
  const told = async () => JSON.parse(await (await fetch(`${gateway.url}/nexus/backends`)).text()).backends[0].kept_warm
  while ((await told())[0].loaded !== true) await Bun.sleep(20)
  expect(toldOf(lab.server, "/api/generate")).toHaveLength(1)
})
