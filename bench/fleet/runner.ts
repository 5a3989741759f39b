/**
 * One model at work on one machine: a queue, slots, a memory of prompts.
 */
import type { PromptCache } from "./caches.ts"
import type { Compute, Job } from "./compute.ts"
import { extended, type Prompt } from "./prompt.ts"
import type { SimClock } from "./sim-clock.ts"

/** What a server has counted. */
export interface Counted {
  requests: number
  promptTokens: number
  cachedTokens: number
  loads: number
}

/** A request as a machine gets it. */
export interface Task {
  readonly prompt: Prompt
  readonly tokens: number
  /** The answer as the model writes it. */
  readonly written: string
  readonly wantedSlot: number | undefined
  /** Seconds that it is stuck once it has its slot. */
  readonly stuck: number
  /** Its prompt begins to be computed, of which so many tokens are there. */
  readonly started: (cached: number) => void
  /** The first token is there. */
  readonly begun: () => void
  readonly done: () => void
}

/** A request at a machine. */
export interface Submitted {
  /** Tokens of its answer that are there. */
  readonly made: () => number
  /** Its client has left. */
  readonly leave: () => void
}

interface Held {
  readonly task: Task
  slot: number
  job: Job | undefined
}

/** Slots with a queue that is taken from in order. */
export class Runner {
  readonly #clock: SimClock
  readonly #compute: Compute
  readonly #cache: PromptCache
  readonly #slots: number
  readonly #counted: Counted
  /** Whether a request that leaves the queue is not computed. */
  readonly #noticesQueued: boolean
  readonly #queue: Array<Held> = []
  readonly #running = new Set<Held>()

  constructor(
    clock: SimClock,
    compute: Compute,
    cache: PromptCache,
    slots: number,
    counted: Counted,
    noticesQueued: boolean
  ) {
    this.#clock = clock
    this.#compute = compute
    this.#cache = cache
    this.#slots = slots
    this.#counted = counted
    this.#noticesQueued = noticesQueued
  }

  get running(): number {
    return this.#running.size
  }

  get waiting(): number {
    return this.#queue.length
  }

  submit(task: Task): Submitted {
    const held: Held = { task, slot: -1, job: undefined }
    this.#queue.push(held)
    this.#fill()
    return {
      made: () => (held.job === undefined ? 0 : this.#compute.made(held.job)),
      leave: () => this.#leave(held)
    }
  }

  /** Seconds until an answer would be whole, if its request came now. */
  expected(prompt: Prompt, tokens: number): number {
    const prefill = this.#prefillTime(prompt)
    const decode = tokens / this.#compute.rateOf(Math.min(this.#slots, this.running + 1))
    if (this.running + this.waiting < this.#slots) return this.#compute.prefillAhead() + prefill + decode
    const full = this.#compute.rateOf(this.#slots)
    const freed = Math.min(...this.#compute.decodeAhead(), Number.POSITIVE_INFINITY) / full
    const ahead = this.#queue.reduce(
      (sum, { task }) => sum + this.#prefillTime(task.prompt) + task.tokens / full / this.#slots,
      0
    )
    return this.#compute.prefillAhead() + (Number.isFinite(freed) ? freed : 0) + ahead + prefill + decode
  }

  #prefillTime(prompt: Prompt): number {
    return (prompt.tokens - this.#cache.peek(prompt)) / this.#compute.rates.prefill
  }

  #leave(held: Held): void {
    const at = this.#queue.indexOf(held)
    if (at >= 0) {
      if (this.#noticesQueued) this.#queue.splice(at, 1)
      return
    }
    if (!this.#running.delete(held)) return
    if (held.job !== undefined) this.#compute.drop(held.job)
    this.#cache.release(held.slot, held.task.prompt)
    this.#fill()
  }

  #fill(): void {
    for (let at = 0; at < this.#queue.length;) {
      const held = this.#queue[at]
      if (held === undefined) return
      const slot = this.#cache.take(held.task.prompt, held.task.wantedSlot)
      // Who waits for a slot of its own is passed by others.
      if (slot === undefined && held.task.wantedSlot === undefined) return
      if (slot === undefined) at += 1
      else {
        this.#queue.splice(at, 1)
        this.#start(held, slot)
      }
    }
  }

  #start(held: Held, slot: number): void {
    const { task } = held
    held.slot = slot
    this.#running.add(held)
    const job: Job = {
      tokens: task.tokens,
      expects: () => task.prompt.tokens - this.#cache.cached(slot, task.prompt),
      starts: () => {
        const cached = this.#cache.cached(slot, task.prompt)
        this.#counted.promptTokens += task.prompt.tokens
        this.#counted.cachedTokens += cached
        task.started(cached)
        return task.prompt.tokens - cached
      },
      begun: () => {
        this.#cache.filled(slot, task.prompt)
        task.begun()
      },
      done: () => {
        this.#running.delete(held)
        this.#cache.release(slot, extended(task.prompt, task.written))
        task.done()
        this.#fill()
      }
    }
    held.job = job
    if (task.stuck === 0) this.#compute.add(job)
    else
      this.#clock.at(this.#clock.now() + task.stuck, () => {
        if (this.#running.has(held)) this.#compute.add(job)
      })
  }
}
