import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import { Clock, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { matchOf } from "../../src/config/compile-routes.ts"
import { Router } from "../../src/router/Router.ts"
import { type FakeUpstream, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { anyNeeds, plainSettings, snapshotOf } from "../kit/generators.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const digest = (key: string) => createHash("sha256").update(key).digest()

interface Fleet extends AsyncDisposable {
  readonly gateway: Gateway
  readonly old: FakeUpstream
  readonly fresh: FakeUpstream
  /** Asks for a chat; tells the backend, the rule and whether it was a canary, and the status. */
  readonly chat: (
    body: SettingsTree,
    headers?: ReadonlyArray<string>
  ) => Promise<readonly [backend: string, rule: string, canary: string, status: number]>
}

const startFleet = async (
  routes: ReadonlyArray<SettingsTree>,
  more: SettingsTree = {},
  keys: ReadonlyArray<string> = []
): Promise<Fleet> => {
  const old = await startUpstream({ models: ["m", "small"] })
  const fresh = await startUpstream({ models: ["m", "big"] })
  const gateway = await startGateway(
    {
      backends: [backendFor("old", old, { priority: 1 }), backendFor("new", fresh, { priority: 2 })],
      routes,
      ...more,
      // Otherwise the one that answers sooner may be asked.
      routing: { strategy: "priority_only", ...(more["routing"] as SettingsTree | undefined) } // reason: settings are trees
    },
    { backendKeys: new Map(), authKeys: keys.map((name) => ({ name, digest: digest(name) })) }
  )
  const chat: Fleet["chat"] = async (body, headers = []) => {
    const text = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], ...body })
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", text, headers)
    const of = (name: string) => answer.header(name) ?? ""
    return [of("x-nexus-backend"), of("x-nexus-rule"), of("x-nexus-canary"), answer.status]
  }
  return {
    gateway,
    old,
    fresh,
    chat,
    [Symbol.asyncDispose]: async () => {
      for (const each of [gateway, old, fresh]) await each[Symbol.asyncDispose]()
    }
  }
}

const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } }

describe("a rule", () => {
  test("sends the requests that it is for to its backends and its model, and no others", async () => {
    await using fleet = await startFleet([
      { name: "tools", match: { abilities: ["tools"] }, model: "big" },
      { name: "team", match: { model: "m", headers: { "X-Team": "red*" } }, backends: ["n?w"] },
      { name: "long", match: { prompt_tokens: { min: 1000 } }, backends: ["new"] }
    ])
    expect(await fleet.chat({})).toEqual(["old", "", "", 200])
    expect(await fleet.chat({ tools: [tool] })).toEqual(["new", "tools", "", 200])
    expect(modelOf(fleet.fresh.lastCall())).toBe("big")
    expect(await fleet.chat({}, ["x-team: reddish"])).toEqual(["new", "team", "", 200])
    expect(modelOf(fleet.fresh.lastCall())).toBe("m")
    expect(await fleet.chat({}, ["x-team: blue"])).toEqual(["old", "", "", 200])
    const long = [{ role: "user", content: "words ".repeat(2000) }]
    expect(await fleet.chat({ messages: long })).toEqual(["new", "long", "", 200])
  })

  test("is for a model by the name that was asked for and by those that it leads to", async () => {
    await using fleet = await startFleet(
      [
        { name: "by-alias", match: { model: "gpt-*" }, backends: ["new"] },
        { name: "by-model", match: { model: ["m"] }, backends: ["new"] }
      ],
      { routing: { aliases: { "gpt-4": "m", other: "m" } } }
    )
    expect((await fleet.chat({ model: "gpt-4" })).slice(0, 2)).toEqual(["new", "by-alias"])
    expect((await fleet.chat({ model: "other" })).slice(0, 2)).toEqual(["new", "by-model"])
    expect((await fleet.chat({ model: "small" })).slice(0, 2)).toEqual(["old", ""])
  })

  test("is for the keys that it names", async () => {
    await using fleet = await startFleet([{ name: "ci", match: { key: "ci-*" }, backends: ["new"] }], {}, [
      "ci-1",
      "me"
    ])
    const bearer = (key: string) => [`authorization: Bearer ${key}`]
    expect((await fleet.chat({}, bearer("ci-1"))).slice(0, 2)).toEqual(["new", "ci"])
    expect((await fleet.chat({}, bearer("me"))).slice(0, 2)).toEqual(["old", ""])
  })

  test("that leaves nobody is a 503 that says so, and no other backend is asked", async () => {
    await using fleet = await startFleet([{ name: "nobody", match: { model: "small" }, backends: ["new"] }])
    const body = JSON.stringify({ model: "small", messages: [] })
    const answer = await ask(fleet.gateway.port, "POST", "/v1/chat/completions", body)
    expect(answer.status).toBe(503)
    expect(answer.text).toContain("is none of those that rule 'nobody' names")
    expect(fleet.old.calls()).toHaveLength(0)
  })

  test("has another strategy where it says so", async () => {
    await using fleet = await startFleet([
      { name: "turns", match: { headers: { turns: "*" } }, strategy: "round_robin" }
    ])
    const asked = []
    for (let at = 0; at < 4; at += 1) asked.push((await fleet.chat({}, ["turns: 1"]))[0])
    expect(asked.toSorted()).toEqual(["new", "new", "old", "old"])
    expect((await fleet.chat({}))[0]).toBe("old")
  })

  test("is explained beside those before it, for a request that has ended and for one that nobody has sent", async () => {
    await using fleet = await startFleet([
      { name: "vision", match: { abilities: ["vision"] }, backends: ["new"] },
      { name: "red", match: { headers: { "x-team": "red" }, time: "22:00-06:00", timezone: "UTC" }, backends: ["new"] },
      { name: "rest", match: { endpoint: "chat/*" }, backends: ["old"] }
    ])
    const { port } = fleet.gateway
    await fleet.chat({}, ["x-request-id: why"])
    const { decision } = JSON.parse((await ask(port, "GET", "/admin/v1/decisions/why")).text)
    expect(decision.rule).toEqual({
      name: "rest",
      canary: false,
      shadow: false,
      passed: [
        { name: "vision", reason: "it does not call for vision" },
        { name: "red", reason: "its headers do not have x-team: red" }
      ]
    })
    expect(decision.excluded).toEqual([
      { backend: "new", model: "m", reason: "is none of those that rule 'rest' names" }
    ])
    const dry = async (query: string) => {
      const body = JSON.stringify({ model: "m", messages: [] })
      return JSON.parse((await ask(port, "POST", `/admin/v1/route?${query}`, body)).text).decision
    }
    const night = Date.UTC(2026, 10, 27, 23)
    const red = await dry(`headers=${encodeURIComponent("x-team: red")}&at=${night}`)
    expect(red.rule.name).toBe("red")
    const noon = await dry(`headers=${encodeURIComponent("x-team: red")}&at=${night - 11 * 3_600_000}`)
    expect(noon.rule.passed[1]).toEqual({ name: "red", reason: "it did not come at 22:00-06:00 (UTC)" })
  })

  test("holds from its first minute to its last, by the clock of the moment", async () => {
    const match = matchOf({ time: "22:00-06:00", timezone: "UTC" })
    const night = {
      name: "night",
      match,
      side: {},
      canary: undefined,
      shadow: undefined,
      strategy: undefined,
      weights: undefined
    }
    const snapshot = snapshotOf([])
    const request = { id: "1", key: undefined, request: { headers: { get: () => null } } }
    const names = await Effect.gen(function* () {
      const router = yield* Router
      const found = []
      for (const hours of [21.99, 0.01, 7.99, 0.01]) {
        yield* TestClock.adjust(hours * 3_600_000)
        expect(yield* Clock.currentTimeMillis).toBeGreaterThan(0)
        found.push(router.rule(anyNeeds("m"), snapshot, request)?.rule?.name)
      }
      return found
    }).pipe(
      Effect.provide(
        Router.layer(() => ({ ...plainSettings, rules: [night] })).pipe(Layer.provideMerge(TestClock.layer()))
      ),
      Effect.runPromise
    )
    expect(names).toEqual([undefined, "night", "night", undefined])
  })
})

describe("a canary", () => {
  const canary = { name: "trial", match: { model: "m" }, canary: { backends: ["new"], share: 0.2 } }

  test("gets its share, and its backends get nothing else", async () => {
    await using fleet = await startFleet([canary])
    const seen = new Map<string, number>()
    for (let at = 0; at < 400; at += 1) {
      const [backend, rule, isCanary] = await fleet.chat({}, [`x-request-id: chat-${at}`])
      expect([rule, isCanary]).toEqual(["trial", backend === "new" ? "1" : ""])
      seen.set(backend, (seen.get(backend) ?? 0) + 1)
    }
    // The ids are the same each time, so this is no matter of luck.
    expect(seen.get("new")).toBeWithin(60, 100)
    expect(fleet.fresh.calls()).toHaveLength(seen.get("new") ?? 0)
  })

  test("keeps a session on its side", async () => {
    await using fleet = await startFleet([{ ...canary, canary: { ...canary.canary, share: 0.5 } }])
    const sides = new Set<string>()
    for (let session = 0; session < 10; session += 1) {
      const found = new Set<string>()
      for (let turn = 0; turn < 5; turn += 1) found.add((await fleet.chat({}, [`session-id: s-${session}`]))[0])
      expect(found.size).toBe(1)
      for (const side of found) sides.add(side)
    }
    expect(sides.size).toBe(2)
  })

  test("knows sessions by the headers of the config, and by no others", async () => {
    const half = { ...canary, canary: { ...canary.canary, share: 0.5 } }
    await using fleet = await startFleet([half], { routing: { session_headers: ["X-Chat"] } })
    const sidesOf = async (header: string) => {
      const found = new Set<string>()
      for (let turn = 0; turn < 12; turn += 1) found.add((await fleet.chat({}, [header, `x-request-id: t-${turn}`]))[0])
      return found.size
    }
    expect([await sidesOf("x-chat: one"), await sidesOf("session-id: one")]).toEqual([1, 2])
  })

  test("of keys has all of a key or nothing", async () => {
    const names = ["a", "b", "c", "d", "e", "f"]
    const route = { ...canary, canary: { ...canary.canary, share: 0.5, by: "key" } }
    await using fleet = await startFleet([route], {}, names)
    const sides = new Set<string>()
    for (const key of names) {
      const found = new Set<string>()
      for (let at = 0; at < 4; at += 1) found.add((await fleet.chat({}, [`authorization: Bearer ${key}`]))[0])
      expect(found.size).toBe(1)
      for (const side of found) sides.add(side)
    }
    expect(sides.size).toBe(2)
  })

  test("that fails costs its requests nothing but a retry: the others answer", async () => {
    await using fleet = await startFleet([{ ...canary, canary: { ...canary.canary, share: 1 } }])
    fleet.fresh.script(() => ["reset"])
    const [backend, rule, , status] = await fleet.chat({})
    expect([backend, rule, status]).toEqual(["old", "trial", 200])
    await fleet.fresh[Symbol.asyncDispose]()
    expect((await fleet.chat({})).at(3)).toBe(200)
  })

  test("may be another model, and its failure is answered by the one that was asked for", async () => {
    const route = { name: "trial", match: { model: "small" }, canary: { model: "big", share: 1 } }
    await using fleet = await startFleet([route])
    expect((await fleet.chat({ model: "small" }))[0]).toBe("new")
    expect(modelOf(fleet.fresh.lastCall())).toBe("big")
    fleet.fresh.script(() => ["reset"])
    expect((await fleet.chat({ model: "small" }))[0]).toBe("old")
    expect(modelOf(fleet.old.lastCall())).toBe("small")
  })
})
