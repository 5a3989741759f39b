/**
 * Backends and models for tests.
 */
import fc from "fast-check"
import type { Backend } from "../../src/backend/backend.ts"
import type { Model } from "../../src/domain/server.ts"
import type { ProbeOutcome } from "../../src/domain/backend-health.ts"

/** A backend whose every field can be replaced. */
export const backend = (name: string, more: Partial<Backend> = {}): Backend => ({
  name,
  url: `http://${name}.test:1234`,
  type: "generic",
  priority: 50,
  origin: "config",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits: { connectMs: 5000, firstByteMs: 0, idleMs: 0, totalMs: 0 },
  models: [],
  ...more
})

/** A model nobody has said anything about. */
export const model = (id: string, more: Partial<Model> = {}): Model => ({ id, capabilities: {}, ...more })

/** A good probe that lists these models. */
export const up = (...ids: ReadonlyArray<string>): ProbeOutcome => ({
  _tag: "Up",
  models: ids.map((id) => model(id)),
  latencyMs: 1
})

/** A failed probe. */
export const down: ProbeOutcome = { _tag: "Down", reason: "connection refused" }

/** A probe whose key was refused. */
export const refused: ProbeOutcome = { _tag: "Refused", reason: "refuses the key" }

/** Model names, a few of which are used again and again. */
export const modelNames = fc.constantFrom("a", "b", "c", "d", "__proto__", "constructor")

/** Any outcome of a probe. */
export const outcomes: fc.Arbitrary<ProbeOutcome> = fc.oneof(
  fc.array(modelNames, { maxLength: 5 }).map((ids) => up(...ids)),
  fc.constant<ProbeOutcome>({ _tag: "Up", models: undefined, latencyMs: 1 }),
  fc.constant(down),
  fc.constant(refused)
)
