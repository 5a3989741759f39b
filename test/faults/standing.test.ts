import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, event, json, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { type Log, takeLog } from "../kit/log.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const body = (stream = false) => JSON.stringify({ model: "m", messages: [], stream })

const post = (gateway: Gateway, headers: ReadonlyArray<string> = []) => ask(gateway.port, "POST", path, body(), headers)

const saying = (status: number, headers: ReadonlyArray<string> = []): Script => {
  const error = { message: "no", type: "server_error", param: null, code: null }
  return () => [json({ error }, status, headers)]
}

const informed = { logging: { level: "info", format: "json" }, routing: { strategy: "priority_only" } }

const said = (log: Log, message: string) => log.lines().filter((line) => line["message"] === message)

/** What `/health` and `/nexus/backends` tell of a backend. */
const told = async (gateway: Gateway, name: string) => {
  const named = (list: unknown) => (list as ReadonlyArray<{ readonly name: string }>).find((each) => each.name === name) // reason: both are lists of backends
  const health = (await ask(gateway.port, "GET", "/health")).json() as { readonly details: unknown } // reason: its schema
  const listed = (await ask(gateway.port, "GET", "/nexus/backends")).json() as { readonly backends: unknown } // reason: its schema
  return { health: named(health.details), listed: named(listed.backends) }
}

describe("a circuit that opens and closes", () => {
  test("is told in the log, in the details of /health and in the list of backends", async () => {
    using log = takeLog()
    await using shaky = await startUpstream({ models: ["m"], script: saying(500) })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...informed,
      backends: [backendFor("shaky", shaky, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
    })
    for (let i = 0; i < 5; i += 1) expect((await post(gateway)).status).toBe(200)
    const circuits = [{ model: "m", state: "open", failures: 3 }]
    expect(await told(gateway, "shaky")).toMatchObject({ health: { circuits }, listed: { circuits } })
    expect((await told(gateway, "fine")).health).not.toHaveProperty("circuits")
    expect(said(log, "circuit opened")).toMatchObject([
      { level: "warn", backend: "shaky", model: "m", failures: 3, for_ms: 2000 }
    ])
    const half = () => gateway.backend("shaky").circuits[0]?.state === "half_open"
    await until(half, "its time has come")
    await post(gateway)
    // The trial failed: it is left alone for twice as long.
    expect(said(log, "circuit opened")).toMatchObject([{}, { failures: 4, for_ms: 4000 }])
    shaky.script(good())
    await until(half, "its time has come again")
    expect((await post(gateway)).header("x-nexus-backend")).toBe("shaky")
    expect(said(log, "circuit closed")).toMatchObject([{ level: "info", backend: "shaky", model: "m" }])
    expect((await told(gateway, "shaky")).health).not.toHaveProperty("circuits")
  })
})

describe("a backend that says when to come back", () => {
  for (const [status, failures] of [
    [429, 0],
    [503, 1],
    [529, 1]
  ] as const) {
    test(`with ${status} is left alone until then, and that is told once`, async () => {
      using log = takeLog()
      await using busy = await startUpstream({ models: ["m"], script: saying(status, ["Retry-After: 30"]) })
      await using fine = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({
        ...informed,
        backends: [backendFor("busy", busy, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
      })
      const began = performance.now()
      for (let i = 0; i < 5; i += 1) expect((await post(gateway)).header("x-nexus-backend")).toBe("fine")
      expect(busy.calls()).toHaveLength(1)
      expect(gateway.backend("busy").circuits.map((each) => [each.state, each.failures])).toEqual(
        failures === 0 ? [] : [["closed", failures]]
      )
      const { health } = await told(gateway, "busy")
      expect(health).toMatchObject({ status: "healthy" })
      const { cooling_ms: cooling = 0 } = health as { readonly cooling_ms?: number } // reason: the schema of /health
      expect(cooling).toBeLessThanOrEqual(30_000)
      // A millisecond for either clock.
      expect(cooling).toBeGreaterThanOrEqual(30_000 - (performance.now() - began) - 2)
      expect(said(log, "backend asked to be left alone")).toMatchObject([
        { backend: "busy", model: "m", for_ms: 30_000 }
      ])
    })
  }

  test("and is alone is not asked before: everybody hears the same status, why, and how long", async () => {
    for (const status of [503, 429]) {
      await using busy = await startUpstream({ models: ["m"], script: saying(status, ["Retry-After: 30"]) })
      await using gateway = await startGateway({ backends: [backendFor("busy", busy)] })
      const began = performance.now()
      const first = await post(gateway)
      expect([first.status, first.header("x-nexus-attempts")]).toEqual([status, "1"])
      const second = await post(gateway)
      expect([second.status, second.header("x-should-retry")]).toEqual([status, undefined])
      for (const answer of [first, second]) {
        expect(Number(answer.header("retry-after"))).toBeGreaterThanOrEqual(
          Math.floor(30 - (performance.now() - began) / 1000)
        )
        expect(Number(answer.header("retry-after"))).toBeLessThanOrEqual(45)
      }
      if (status === 503) {
        expect(second.header("x-nexus-rejection-reasons")).toStartWith("busy: answered with status 503")
        expect(second.text).not.toContain("all it can take")
      }
      expect(busy.calls()).toHaveLength(1)
    }
  })
})

describe("real requests weigh more than probes:", () => {
  const quick = { health_check: { interval_seconds: 0.1, failure_threshold: 2, recovery_threshold: 1 } }
  const failing = () => [json({ error: "probe" }, 500)]

  test("a backend whose probes fail while it answers stays in rotation, until it falls silent", async () => {
    const [first = ""] = chatEvents("m", ["a"])
    const gate = Promise.withResolvers<void>()
    const state = { broken: false }
    const flowing = async function* (): AsyncGenerator<Step> {
      yield* [streamHead(), chunk(first)]
      while (state.broken || upstream.probes().length < 3) yield* [chunk(event({ choices: [] })), { pause: 2 }]
      yield { until: gate.promise }
    }
    await using upstream = await startUpstream({
      models: ["m"],
      script: flowing,
      probe: () => (state.broken ? failing() : undefined)
    })
    await using gateway = await startGateway({ ...quick, backends: [backendFor("one", upstream)] })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", path, body(true)))
    await client.until(({ text }) => text.includes(first))
    state.broken = true
    const before = upstream.probes().length
    await until(() => upstream.probes().length > before + 8, "many probes fail")
    expect(gateway.backend("one").status).toBe("healthy")
    upstream.script(good())
    expect((await post(gateway)).status).toBe(200)
    client.hangUp()
    await until(() => gateway.backend("one").status === "unhealthy", "the probes decide again")
    gate.resolve()
  })

  test("a backend whose probes succeed while its answers fail is left alone", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: saying(500) })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...quick,
      ...informed,
      backends: [backendFor("bad", upstream, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
    })
    for (let i = 0; i < 3; i += 1) await post(gateway)
    const before = upstream.probes().length
    await until(() => upstream.probes().length > before + 3, "probes succeed")
    expect(gateway.backend("bad")).toMatchObject({ status: "healthy", circuits: [{ state: "open" }] })
    expect((await post(gateway)).header("x-nexus-backend")).toBe("fine")
    expect(upstream.calls()).toHaveLength(3)
  })
})
