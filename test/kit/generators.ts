/**
 * Arbitrary snapshots, requests and settings for the laws of routing.
 */
import { endpointFacts } from "../../src/dialect/openai/openai-endpoints.ts"
import fc from "fast-check"
import type { Capabilities } from "../../src/domain/server.ts"
import { closedCircuit, failCircuit } from "../../src/domain/circuit.ts"
import type { HealthStatus } from "../../src/domain/backend-health.ts"
import type { Ability, RoutingNeeds } from "../../src/domain/request.ts"
import { type RoutingSettings, strategies, type Strategy } from "../../src/domain/routing.ts"
import { newLiveState, refreshMarked, type CooldownReason } from "../../src/registry/live-state.ts"
import type { BackendState, Candidate, Snapshot } from "../../src/registry/snapshot.ts"
import { backend, model } from "../registry/backends.ts"

/** The moment of all these snapshots, in monotonic milliseconds. */
export const now = 1_000_000

const abilities = ["vision", "tools", "json_mode", "embeddings"] as const satisfies ReadonlyArray<Ability>

const capabilities: fc.Arbitrary<Capabilities> = fc
  .record({
    vision: fc.constantFrom(true, false, undefined),
    tools: fc.constantFrom(true, false, undefined),
    json_mode: fc.constantFrom(true, false, undefined),
    embeddings: fc.constantFrom(true, false, undefined)
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))

/** How one backend stands. */
export interface Standing {
  readonly status: HealthStatus
  readonly priority: number
  readonly inFlight: number
  readonly maxConcurrent: number | undefined
  readonly firstByteMs: number | undefined
  readonly context: number | undefined
  readonly capabilities: Capabilities
  /** Milliseconds from {@link now} to the end of its pause; not positive when it is over. */
  readonly coolingMs: number | undefined
  readonly rest: CooldownReason | undefined
  /** Failures in a row, and how long ago the last one was. */
  readonly failures: number
  readonly failedMsAgo: number
  readonly models: ReadonlyArray<string>
}

/** A backend that is well and has nothing to do, with the model `a`. */
export const idle: Standing = {
  status: "healthy",
  priority: 1,
  inFlight: 0,
  maxConcurrent: undefined,
  firstByteMs: undefined,
  context: undefined,
  capabilities: {},
  coolingMs: undefined,
  rest: undefined,
  failures: 0,
  failedMsAgo: 0,
  models: ["a"]
}

const mostly = <A>(usual: A, ...others: ReadonlyArray<A>): fc.Arbitrary<A> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) })

/** The models that these snapshots know. */
export const modelIds = ["a", "b", "c"] as const

const fields = {
  status: mostly<HealthStatus>("healthy", "unhealthy", "unknown", "config_error"),
  priority: fc.integer({ min: 1, max: 5 }),
  inFlight: fc.nat(4),
  maxConcurrent: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  firstByteMs: fc.option(fc.integer({ min: 1, max: 2000 }), { nil: undefined }),
  context: fc.option(fc.constantFrom(10, 100, 1000), { nil: undefined }),
  capabilities,
  coolingMs: fc.option(fc.integer({ min: -10, max: 10 }), { nil: undefined, freq: 3 }),
  rest: fc.option(fc.record({ limited: fc.boolean(), reason: fc.constant("said so") }), { nil: undefined }),
  failures: mostly(0, 1, 2, 3, 4),
  failedMsAgo: fc.constantFrom(0, 10_000),
  models: fc.subarray([...modelIds], { minLength: 1 })
}

const standing: fc.Arbitrary<Standing> = fc.record(fields)

const stateOf = (each: Standing, at: number): BackendState => {
  const live = newLiveState()
  live.inFlight = each.inFlight
  live.firstByteMs = each.firstByteMs
  for (const id of each.models) {
    if (each.coolingMs !== undefined) live.cooling.set(id, now + each.coolingMs)
    if (each.rest !== undefined) live.rests.set(id, each.rest)
    let circuit = closedCircuit
    for (let i = 0; i < each.failures; i += 1) circuit = failCircuit(circuit, now - each.failedMsAgo)
    if (each.failures > 0) live.circuits.set(id, circuit)
  }
  refreshMarked(live)
  const named = each.models.map((id) =>
    model(id, {
      capabilities: each.capabilities,
      ...(each.context === undefined ? {} : { context_length: each.context })
    })
  )
  return {
    backend: backend(`b${String(at)}`, { priority: each.priority, maxConcurrent: each.maxConcurrent }),
    health: { status: each.status, streak: 0, reason: each.status === "healthy" ? "" : "down" },
    models: new Map(named.map((one) => [one.id, one])),
    listed: true,
    mode: "enabled",
    live
  }
}

/** The snapshot of backends that stand like this, `b0` the first. */
export const snapshotOf = (standings: ReadonlyArray<Standing>): Snapshot => {
  const states = standings.map(stateOf)
  const candidates = new Map<string, Array<Candidate>>()
  for (const state of states) {
    for (const [id, one] of state.models) candidates.set(id, [...(candidates.get(id) ?? []), { state, model: one }])
  }
  return {
    generation: 1,
    backends: new Map(states.map((state) => [state.backend.name, state])),
    candidates,
    spelled: new Map(),
    known: new Set(modelIds)
  }
}

/** Backends in all their states. */
export const standings: fc.Arbitrary<ReadonlyArray<Standing>> = fc.array(standing, { maxLength: 8 })

/** Backends that can take any request for any of the models. */
export const ableStandings: fc.Arbitrary<ReadonlyArray<Standing>> = fc.array(
  fc.record({
    ...fields,
    status: fc.constant<HealthStatus>("healthy"),
    maxConcurrent: fc.constant(undefined),
    context: fc.constant(undefined),
    capabilities: fc.constant({}),
    coolingMs: fc.constant(undefined),
    rest: fc.constant(undefined),
    failures: fc.constant(0),
    models: fc.constant(modelIds)
  }),
  { minLength: 1, maxLength: 8 }
)

/** What a request for model `a` needs. */
export const needs: fc.Arbitrary<RoutingNeeds> = fc
  .record({
    operation: fc.constant(endpointFacts["chat/completions"]),
    model: fc.constant("a"),
    stream: fc.boolean(),
    abilities: fc.subarray([...abilities], { maxLength: 2 }),
    promptTokens: fc.constantFrom(0, 9, 10, 11, 500),
    atLeastTokens: fc.constantFrom(0, 9, 10, 11),
    outputTokens: fc.constantFrom(0, 1, 100)
  })
  .filter(({ atLeastTokens, promptTokens }) => atLeastTokens <= promptTokens)

/** A request that asks nothing in particular of a backend. */
export const anyNeeds = (name: string): RoutingNeeds => ({
  operation: endpointFacts["chat/completions"],
  model: name,
  stream: false,
  abilities: [],
  promptTokens: 0,
  atLeastTokens: 0,
  outputTokens: 0
})

/** Settings that change nothing. */
export const plainSettings: RoutingSettings = {
  strategy: "smart",
  maxRetries: 2,
  weights: { priority: 50, load: 30, latency: 20 },
  waits: false,
  affinity: false,
  sessionHeaders: [],
  pinsSlots: false,
  aliases: new Map(),
  groups: new Map(),
  stripPrefixes: true,
  modelSuffixes: true,
  listAliases: true,
  fallbacks: new Map(),
  rules: []
}

/** Settings whose fallbacks, if any, are among the models. */
export const settings: fc.Arbitrary<RoutingSettings> = fc.record({
  strategy: fc.constantFrom<Strategy>(...strategies),
  maxRetries: fc.nat(5),
  weights: fc.record({ priority: fc.nat(100), load: fc.nat(100), latency: fc.nat(100) }),
  waits: fc.constant(false),
  affinity: fc.boolean(),
  sessionHeaders: fc.constant([]),
  pinsSlots: fc.boolean(),
  aliases: fc.constant(new Map<string, string>()),
  groups: fc.constant(new Map<string, ReadonlyArray<string>>()),
  stripPrefixes: fc.boolean(),
  modelSuffixes: fc.boolean(),
  listAliases: fc.boolean(),
  fallbacks: fc.subarray(["b", "c"]).map((others) => new Map(others.length === 0 ? [] : [["a", others]])),
  rules: fc.constant([])
})
