/**
 * One probe against a fake server.
 */
import { Effect } from "effect"
import type { Backend } from "../../src/backend/backend.ts"
import type { Model } from "../../src/domain/server.ts"
import type { ProbeOutcome } from "../../src/domain/backend-health.ts"
import { makeProbe } from "../../src/health/probe.ts"
import { backend } from "../registry/backends.ts"
import { FakeWorld } from "./fake.ts"

/** Where the server of {@link serving} is. */
export const origin = "http://b.test:1"

/** The outcome of one probe, with a limit of 5 seconds. */
export const once = (world: FakeWorld, more: Partial<Backend>) =>
  Effect.flatten(makeProbe(world.transport, backend("b", { url: origin, ...more }), () => 5000))

/** A world with one server. */
export const serving = (routes: Parameters<FakeWorld["serve"]>[1]): FakeWorld => {
  const world = new FakeWorld()
  world.serve(origin, routes)
  return world
}

/** The models of a good outcome, by id. */
export const modelsOf = (outcome: ProbeOutcome): Record<string, Omit<Model, "id">> => {
  if (outcome._tag !== "Up") throw new Error(`not up: ${outcome.reason}`)
  return Object.fromEntries((outcome.models ?? []).map(({ id, ...rest }) => [id, rest]))
}
