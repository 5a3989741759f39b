/**
 * A machine of the fleet: what it is, and what it works with.
 */
import { blockCache } from "./caches.ts"
import { Compute, type Rates } from "./compute.ts"
import { type Counted, type NewTask, Runner, type Task } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"

/** A machine as a workload describes it. */
export interface MachineSpec {
  readonly kind: "vllm" | "generic"
  readonly models: ReadonlyArray<string>
  readonly slots: number
  readonly rates: Rates
  /** Tokens that its cache of prompts holds. */
  readonly cacheTokens: number
  /** How often a request is stuck before its first token, and for how many seconds. */
  readonly tail?: { readonly share: number; readonly seconds: number }
}

/** A machine at work. */
export interface Machine {
  readonly spec: MachineSpec
  readonly counted: Counted
  readonly compute: Compute
  readonly submit: (model: string, task: NewTask) => Task
  readonly leave: (task: Task) => void
  readonly running: () => number
  readonly waiting: () => number
  /** The runner of a model, for those who may look inside. */
  readonly runner: (model: string) => Runner
  readonly peek: (model: string, prompt: NewTask["prompt"]) => number
}

/** Starts a machine with nothing in its memory. */
export const machineOf = (spec: MachineSpec, clock: SimClock): Machine => {
  const counted: Counted = { requests: 0, promptTokens: 0, cachedTokens: 0, loads: 0, answerTokens: 0 }
  const compute = new Compute(clock, spec.rates)
  const cache = blockCache(spec.slots, spec.cacheTokens)
  const runner = new Runner(clock, compute, cache, counted, true)
  return {
    spec,
    counted,
    compute,
    submit: (_, task) => {
      counted.requests += 1
      return runner.submit(task)
    },
    leave: (task) => runner.leave(task),
    running: () => runner.running,
    waiting: () => runner.waiting,
    runner: () => runner,
    peek: (_, prompt) => cache.peek(prompt)
  }
}
