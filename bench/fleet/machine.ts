/**
 * A machine of the fleet: what it is, and what it works with.
 */
import { blockCache, type HeldSlot, type PromptCache } from "./caches.ts"
import { Compute, type Rates } from "./compute.ts"
import { Loader } from "./loader.ts"
import type { Prompt } from "./prompt.ts"
import { type Counted, Runner, type Submitted, type Task } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"
import { slotCache } from "./slot-cache.ts"

/** A machine as a workload describes it. */
export interface MachineSpec {
  readonly kind: "vllm" | "llamacpp" | "ollama" | "generic"
  readonly models: ReadonlyArray<string>
  readonly slots: number
  readonly rates: Rates
  /** Tokens that its cache of prompts holds; of a llama-server or an Ollama those of its copies in RAM. */
  readonly cacheTokens: number
  /** How often a request is stuck before its first token, and for how many seconds. */
  readonly tail?: { readonly share: number; readonly seconds: number }
  /** How many models it has room for, and how long one takes to load; all are there when absent. */
  readonly loads?: { readonly room: number; readonly seconds: number }
}

/** A machine at work. */
export interface Machine {
  readonly spec: MachineSpec
  readonly counted: Counted
  /** Brings all up to now. */
  readonly pass: () => void
  readonly submit: (model: string, task: Task) => Submitted
  readonly running: () => number
  readonly waiting: () => number
  /** Seconds until an answer would be whole, for those who may look inside. */
  readonly expected: (model: string, prompt: Prompt, tokens: number) => number
  readonly slots: () => ReadonlyArray<HeldSlot>
  readonly loaded: () => ReadonlyArray<string>
  readonly preload: (model: string) => void
  /** Forgets all prompts, as if it had been started anew; not of one that loads models. */
  readonly restart: () => void
}

const cacheOf = ({ cacheTokens, kind, slots }: MachineSpec): PromptCache =>
  kind === "llamacpp" || kind === "ollama" ? slotCache(slots, cacheTokens) : blockCache(slots, cacheTokens)

/** Starts a machine with nothing in its memory. */
export const machineOf = (spec: MachineSpec, clock: SimClock): Machine => {
  const counted: Counted = { requests: 0, promptTokens: 0, cachedTokens: 0, loads: 0 }
  const compute = new Compute(clock, spec.rates)
  const noticesQueued = spec.kind !== "llamacpp"
  const runnerOn = (cache: PromptCache): Runner => new Runner(clock, compute, cache, spec.slots, counted, noticesQueued)
  const common = { spec, counted, pass: () => compute.pass() }
  if (spec.loads !== undefined) {
    const { room, seconds } = spec.loads
    const loader = new Loader(
      clock,
      room,
      seconds,
      () => runnerOn(cacheOf(spec)),
      () => (counted.loads += 1)
    )
    return {
      ...common,
      submit: (model, task) => {
        counted.requests += 1
        return loader.submit(model, task)
      },
      running: () => loader.running,
      waiting: () => loader.waiting,
      expected: (model, prompt, tokens) => loader.expected(model, (runner) => runner.expected(prompt, tokens)),
      slots: () => [],
      loaded: () => loader.loaded,
      preload: (model) => loader.preload(model),
      restart: () => undefined
    }
  }
  const cache = cacheOf(spec)
  const runner = runnerOn(cache)
  return {
    ...common,
    submit: (_, task) => {
      counted.requests += 1
      return runner.submit(task)
    },
    running: () => runner.running,
    waiting: () => runner.waiting,
    expected: (_, prompt, tokens) => runner.expected(prompt, tokens),
    slots: cache.held,
    loaded: () => spec.models,
    preload: () => undefined,
    restart: cache.clear
  }
}
