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
  /** Tokens of answers that were made. */
  answerTokens: number
}

/** One request at a server. */
export interface Task {
  readonly prompt: Prompt
  readonly tokens: number
  /** The answer as the model writes it. */
  readonly written: string
  readonly wantedSlot: number | undefined
  /** Seconds that it is stuck once it has its slot. */
  readonly stuck: number
  readonly begun: () => void
  readonly done: () => void
  /** What is known of it so far. */
  cached: number
  slot: number
  job: Job | undefined
}

/** What of a task is known before a server has it. */
export type NewTask = Omit<Task, "cached" | "slot" | "job">

/** Slots with a queue that is taken from in order. */
export class Runner {
  readonly #clock: SimClock
  readonly #compute: Compute
  readonly #cache: PromptCache
  readonly #counted: Counted
  /** Whether a request that leaves the queue is not computed. */
  readonly #noticesQueued: boolean
  readonly #queue: Array<Task> = []
  readonly #running = new Set<Task>()

  constructor(clock: SimClock, compute: Compute, cache: PromptCache, counted: Counted, noticesQueued: boolean) {
    this.#clock = clock
    this.#compute = compute
    this.#cache = cache
    this.#counted = counted
    this.#noticesQueued = noticesQueued
  }

  get running(): number {
    return this.#running.size
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Tokens still to be computed of the prompts that wait, as far as can be said before. */
  queued(): ReadonlyArray<{ readonly prompt: Prompt; readonly tokens: number }> {
    return this.#queue
  }

  submit(asked: NewTask): Task {
    const task: Task = { ...asked, cached: 0, slot: -1, job: undefined }
    this.#queue.push(task)
    this.#fill()
    return task
  }

  /** The client of a task has left. */
  leave(task: Task): void {
    const at = this.#queue.indexOf(task)
    if (at >= 0) {
      if (this.#noticesQueued) this.#queue.splice(at, 1)
      return
    }
    if (!this.#running.delete(task)) return
    if (task.job !== undefined) this.#compute.drop(task.job)
    this.#cache.release(task.slot, task.prompt)
    this.#fill()
  }

  #fill(): void {
    for (let at = 0; at < this.#queue.length;) {
      const task = this.#queue[at]
      if (task === undefined) return
      const slot = this.#cache.take(task.prompt, task.wantedSlot)
      // Who waits for a slot of its own is passed by others.
      if (slot === undefined && task.wantedSlot === undefined) return
      if (slot === undefined) at += 1
      else {
        this.#queue.splice(at, 1)
        this.#start(task, slot)
      }
    }
  }

  #start(task: Task, slot: number): void {
    task.slot = slot
    this.#running.add(task)
    const job: Job = {
      tokens: task.tokens,
      expects: () => task.prompt.tokens - this.#cache.cached(slot, task.prompt),
      starts: () => {
        task.cached = this.#cache.cached(slot, task.prompt)
        this.#counted.promptTokens += task.prompt.tokens
        this.#counted.cachedTokens += task.cached
        return task.prompt.tokens - task.cached
      },
      begun: () => {
        this.#cache.filled(slot, task.prompt)
        task.begun()
      },
      done: () => {
        this.#running.delete(task)
        this.#counted.answerTokens += task.tokens
        this.#cache.release(slot, extended(task.prompt, task.written))
        task.done()
        this.#fill()
      }
    }
    task.job = job
    if (task.stuck === 0) this.#compute.add(job)
    else
      this.#clock.at(this.#clock.now() + task.stuck, () => {
        if (this.#running.has(task)) this.#compute.add(job)
      })
  }
}
