import { describe, expect, test } from "bun:test"
import { Effect, Layer, Random, Result } from "effect"
import fc from "fast-check"
import type { GatewayError } from "../../src/domain/errors.ts"
import type { RoutingNeeds } from "../../src/domain/request.ts"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import { Router } from "../../src/router/Router.ts"
import { idle, anyNeeds, needs, now, settings, snapshotOf, type Standing, standings } from "../kit/generators.ts"

const routerOf = (set: RoutingSettings) =>
  Effect.runSync(
    Effect.scoped(Layer.build(Router.layer(() => set))).pipe(
      Effect.flatMap((context) => Router.pipe(Effect.provide(context))),
      // Waits are spread by it: here by nothing.
      Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0 })
    )
  )

const plain: RoutingSettings = {
  strategy: "smart",
  maxRetries: 2,
  weights: { priority: 50, load: 30, latency: 20 },
  waits: false,
  affinity: false,
  sessionHeaders: [],
  pinsSlots: false,
  aliases: new Map([["alias", "a"]]),
  groups: new Map(),
  stripPrefixes: true,
  modelSuffixes: true,
  listAliases: true,
  fallbacks: new Map([["a", ["b"]]]),
  rules: []
}

const refusalOf = (
  all: ReadonlyArray<Partial<Standing>>,
  wanted: Partial<RoutingNeeds> = {},
  set = plain
): GatewayError | undefined => {
  const snapshot = snapshotOf(all.map((each) => ({ ...idle, ...each })))
  const plan = routerOf(set).route({ ...anyNeeds("a"), ...wanted }, snapshot, now)
  return Result.isFailure(plan) ? plan.failure : undefined
}

describe("a request that nobody can take is refused:", () => {
  test("a model that no backend has ever named, with the names there are", () => {
    const refused = refusalOf([{ models: ["a"] }, { models: ["b", "c"] }], { model: "nope" })
    expect(refused).toMatchObject({ _tag: "ModelNotFound", model: "nope", available: ["a", "b", "c"] })
  })

  test("the names are those that can be asked for now, and at most 20", () => {
    const many = Array.from({ length: 30 }, (_, at) => `m${String(at).padStart(2, "0")}`)
    const refused = refusalOf([{ models: many }, { models: ["a"], status: "unhealthy" }], { model: "nope" })
    expect(refused).toMatchObject({ _tag: "ModelNotFound", available: many.slice(0, 20) })
  })

  test("a model that only unhealthy backends serve, fallbacks included", () => {
    const refused = refusalOf([{ status: "unhealthy" }, { status: "unhealthy", models: ["b"] }])
    expect(refused).toMatchObject({
      _tag: "ServiceUnavailable",
      model: "a",
      reasons: [
        { backend: "b0", model: "a", reason: "down" },
        { backend: "b1", model: "b", reason: "down" }
      ]
    })
  })

  test("a model whose backends are known not to be able, with what is missing", () => {
    const blind = { capabilities: { vision: false } }
    expect(refusalOf([blind, blind], { abilities: ["vision"] })).toMatchObject({
      _tag: "ModelCapabilityMismatch",
      missing: "vision (image input)",
      param: "messages"
    })
    expect(refusalOf([{ capabilities: { tools: false } }], { abilities: ["tools"] })).toMatchObject({ param: "tools" })
    expect(refusalOf([{ capabilities: { json_mode: false } }], { abilities: ["json_mode"] })).toMatchObject({
      param: "response_format"
    })
  })

  test("a prompt that is longer than the longest of the contexts, so that agents shorten it", () => {
    expect(refusalOf([{ context: 50 }, { context: 100 }], { promptTokens: 150, atLeastTokens: 101 })).toMatchObject({
      _tag: "ContextLengthExceeded",
      has: 100,
      needs: 101,
      param: "messages"
    })
    const blind = { capabilities: { vision: false } }
    expect(
      refusalOf([blind, { context: 100 }], { abilities: ["vision"], promptTokens: 150, atLeastTokens: 101 })
    ).toMatchObject({ _tag: "ContextLengthExceeded" })
  })

  test("nothing for a prompt that may fit, however long it looks", () => {
    expect(refusalOf([{ context: 100 }], { promptTokens: 500, atLeastTokens: 100 })).toBeUndefined()
  })

  test("an able backend that is down makes it a matter of time, not of ability", () => {
    const all = [{ capabilities: { vision: false } }, { status: "unhealthy" as const }]
    expect(refusalOf(all, { abilities: ["vision"] })).toMatchObject({ _tag: "ServiceUnavailable" })
  })

  test("backends that are full, or have all they can take, with when to come back", () => {
    expect(refusalOf([{ maxConcurrent: 2, inFlight: 2 }])).toMatchObject({ _tag: "Overloaded", retryAfterSeconds: 1 })
    expect(refusalOf([{ coolingMs: 4100 }, { coolingMs: 9000 }])).toMatchObject({
      _tag: "Overloaded",
      retryAfterSeconds: 5
    })
  })

  test("backends that asked for a pause are unavailable, with what they said, and nothing is full", () => {
    const rest = { limited: false, reason: "answered with status 503: loading" }
    expect(refusalOf([{ coolingMs: 4100, rest }, { status: "unhealthy" }])).toMatchObject({
      _tag: "ServiceUnavailable",
      retryAfterSeconds: 5,
      reasons: [
        { backend: "b0", reason: "answered with status 503: loading; asked to be left alone for 5 s" },
        { backend: "b1", reason: "down" }
      ]
    })
    expect(refusalOf([{ coolingMs: 4100, rest }, { coolingMs: 9000 }])).toMatchObject({ _tag: "Overloaded" })
  })

  test("a key that a probe found to be bad alone refuses nothing: the only backend is asked all the same", () => {
    expect(refusalOf([{ status: "config_error" }])).toBeUndefined()
    expect(refusalOf([{ status: "config_error" }, { maxConcurrent: 1, inFlight: 1 }])).toMatchObject({
      _tag: "Overloaded"
    })
  })

  test("a backend whose key is not there is asked nothing, and coming back is of no use", () => {
    const snapshot = snapshotOf([{ ...idle, status: "config_error" }])
    const found = snapshot.candidates.get("a")?.[0]
    if (found === undefined) throw new Error("nobody serves it")
    const backend = { ...found.state.backend, keyFault: "KEY is not set" }
    const health = { status: "config_error" as const, streak: 0, reason: backend.keyFault }
    const candidates = new Map([["a", [{ ...found, state: { ...found.state, backend, health } }]]])
    const plan = routerOf(plain).route(anyNeeds("a"), { ...snapshot, candidates }, now)
    expect(Result.isFailure(plan) && plan.failure).toMatchObject({
      _tag: "BadGateway",
      failures: [{ reason: "KEY is not set" }]
    })
  })

  test("an unknown ability or context counts as able", () => {
    expect(refusalOf([{}], { abilities: ["vision", "tools", "json_mode"], promptTokens: 1_000_000 })).toBeUndefined()
  })

  test("an open circuit alone refuses nothing: the last candidate is never ejected", () => {
    expect(refusalOf([{ failures: 3 }])).toBeUndefined()
  })
})

test("either there is someone to ask, or a refusal that gives its reason (law)", () =>
  fc.assert(
    fc.property(standings, needs, settings, (all, wanted, set) => {
      const plan = routerOf(set).route(wanted, snapshotOf(all), now)
      if (Result.isSuccess(plan)) expect(plan.success.next(now)).toBeDefined()
      else {
        expect([
          "ModelNotFound",
          "ModelCapabilityMismatch",
          "ContextLengthExceeded",
          "ServiceUnavailable",
          "Overloaded"
        ]).toContain(plan.failure._tag)
      }
    })
  ))
