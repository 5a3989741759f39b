import { describe, expect, test } from "bun:test"
import { endpointFacts } from "../../src/dialect/openai/openai-endpoints.ts"
import type { RoutingNeeds } from "../../src/domain/request.ts"
import { newLiveState } from "../../src/registry/live-state.ts"
import type { Candidate, Snapshot } from "../../src/registry/snapshot.ts"
import { Plan } from "../../src/router/plan.ts"
import { plainSettings } from "../kit/generators.ts"
import { backend, model } from "../registry/backends.ts"

const candidate = (name: string, type: "ollama" | "vllm", more: { readonly inFlight?: number } = {}): Candidate => {
  const one = model("m")
  return {
    model: one,
    state: {
      backend: backend(name, { type }),
      mode: "enabled",
      health: { status: "healthy", streak: 0, reason: "" },
      models: new Map([["m", one]]),
      listed: true,
      live: { ...newLiveState(), ...more }
    }
  }
}

const first = (
  strategy: "smart" | "priority_only",
  dialect: string | undefined,
  all: ReadonlyArray<Candidate>
): string | undefined => {
  const snapshot: Snapshot = {
    generation: 1,
    backends: new Map(all.map(({ state }) => [state.backend.name, state])),
    candidates: new Map([["m", all]]),
    spelled: new Map(),
    known: new Set(["m"])
  }
  const needs: RoutingNeeds = {
    operation: endpointFacts["chat/completions"],
    ...(dialect === undefined ? {} : { dialect }),
    model: "m",
    stream: false,
    abilities: [],
    promptTokens: 1,
    atLeastTokens: 0,
    outputTokens: 0
  }
  const plan = new Plan(needs, { ...plainSettings, strategy }, snapshot, { turn: 0, random: () => 0 }, 1)
  return plan.next(1)?.candidate.state.backend.name
}

describe("of equal candidates", () => {
  for (const strategy of ["smart", "priority_only"] as const) {
    test(`one goes first that is asked in its client's own dialect (${strategy})`, () => {
      const both = () => [candidate("translated", "vllm"), candidate("native", "ollama")]
      expect(first(strategy, "ollama", both())).toBe("native")
      expect(first(strategy, "ollama", both().toReversed())).toBe("native")
    })

    test(`none goes first for that where all speak it alike (${strategy})`, () => {
      const both = [candidate("a", "vllm"), candidate("b", "ollama")]
      expect([first(strategy, "openai", both), first(strategy, undefined, both)]).toEqual(["a", "a"])
    })

    test(`the busier one does not go first for that (${strategy})`, () => {
      const both = [candidate("translated", "vllm"), candidate("native", "ollama", { inFlight: 3 })]
      expect(first(strategy, "ollama", both)).toBe("translated")
    })
  }
})
