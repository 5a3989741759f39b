/**
 * A machine that has room for so many models, as an Ollama: a request for one that is not loaded waits until another can
 * go, and all that came after it wait behind it.
 */
import type { Runner, Submitted, Task } from "./runner.ts"
import type { SimClock } from "./sim-clock.ts"

interface Pending {
  readonly model: string
  /** Absent where the model is only to be loaded. */
  readonly task: Task | undefined
  submitted: Submitted | undefined
}

/** Models that come and go. */
export class Loader {
  readonly #clock: SimClock
  readonly #room: number
  readonly #seconds: number
  readonly #makeRunner: () => Runner
  readonly #counted: () => void
  readonly #loaded = new Map<string, Runner>()
  readonly #pending: Array<Pending> = []
  #loading: { readonly model: string; readonly until: number } | undefined

  /** Each model takes so many seconds to load; `counted` is called for each load. */
  constructor(clock: SimClock, room: number, seconds: number, makeRunner: () => Runner, counted: () => void) {
    this.#clock = clock
    this.#room = room
    this.#seconds = seconds
    this.#makeRunner = makeRunner
    this.#counted = counted
  }

  /** What is loaded; nothing while one makes room for another. */
  get loaded(): ReadonlyArray<string> {
    return this.#loading === undefined ? [...this.#loaded.keys()] : []
  }

  get running(): number {
    return [...this.#loaded.values()].reduce((sum, runner) => sum + runner.running, 0)
  }

  get waiting(): number {
    return this.#pending.length + [...this.#loaded.values()].reduce((sum, runner) => sum + runner.waiting, 0)
  }

  submit(model: string, task: Task): Submitted {
    const done = (): void => {
      task.done()
      // Its runner has not yet counted it as gone.
      this.#clock.at(this.#clock.now(), () => this.#pump())
    }
    const pending: Pending = { model, task: { ...task, done }, submitted: undefined }
    this.#pending.push(pending)
    this.#pump()
    return {
      made: () => pending.submitted?.made() ?? 0,
      leave: () => {
        const at = this.#pending.indexOf(pending)
        if (at >= 0) this.#pending.splice(at, 1)
        pending.submitted?.leave()
        this.#pump()
      }
    }
  }

  /** Loads a model, in its turn. */
  preload(model: string): void {
    this.#pending.push({ model, task: undefined, submitted: undefined })
    this.#pump()
  }

  /** Seconds until an answer of the model would be whole. */
  expected(model: string, of: (runner: Runner) => number): number {
    const here = this.#loaded.get(model)
    if (here !== undefined && this.#pending.length === 0) return of(here)
    const swaps = [...this.#pending.map((pending) => pending.model), model].filter(
      (name, at, all) => name !== (all[at - 1] ?? this.#loading?.model ?? this.#loaded.keys().next().value)
    ).length
    const going = Math.max(0, ...[...this.#loaded.values()].map(of))
    const loading = Math.max(0, (this.#loading?.until ?? 0) - this.#clock.now())
    return swaps * (this.#seconds + going) + loading + of(this.#makeRunner())
  }

  #pump(): void {
    while (this.#loading === undefined) {
      const [next] = this.#pending
      if (next === undefined) return
      const runner = this.#loaded.get(next.model)
      if (runner !== undefined) {
        this.#pending.shift()
        if (next.task !== undefined) next.submitted = runner.submit(next.task)
      } else if (this.#loaded.size < this.#room) this.#load(next.model)
      else {
        const idle = [...this.#loaded].find(([, { running, waiting }]) => running + waiting === 0)
        if (idle === undefined) return
        this.#loaded.delete(idle[0])
      }
    }
  }

  #load(model: string): void {
    const until = this.#clock.now() + this.#seconds
    this.#loading = { model, until }
    this.#counted()
    this.#clock.at(until, () => {
      this.#loading = undefined
      this.#loaded.set(model, this.#makeRunner())
      this.#pump()
    })
  }
}
