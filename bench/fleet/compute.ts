/**
 * The work of one machine: prompts are computed one after the other, answers side by side and the slower the more there
 * are. Time is passed piece by piece, so that a timer that fires late moves nothing.
 */
import type { SimClock } from "./sim-clock.ts"

/** How fast a machine is, in tokens a second. */
export interface Rates {
  readonly prefill: number
  /** Of one answer alone. */
  readonly decode: number
  /** How much each further answer slows all: with n of them each has `decode / (1 + crowding × (n - 1))`. */
  readonly crowding: number
}

/** Part of its speed that an answer keeps while a prompt is computed beside it. */
const besidePrefill = 0.5

/** One request in work. */
export interface Job {
  /** Called as the computation of its prompt begins: the tokens to compute. */
  readonly starts: () => number
  /** The same as far as it can be said before. */
  readonly expects: () => number
  /** Tokens of its answer. */
  readonly tokens: number
  /** The first token is there. */
  readonly begun: () => void
  readonly done: () => void
}

interface Prefill {
  readonly job: Job
  left: number | undefined
}

const nearly = 1e-6

/** One machine. */
export class Compute {
  readonly #clock: SimClock
  readonly rates: Rates
  readonly #prefills: Array<Prefill> = []
  readonly #made = new Map<Job, number>()
  #at: number
  #disarm: (() => void) | undefined
  #passing = false

  constructor(clock: SimClock, rates: Rates) {
    this.#clock = clock
    this.rates = rates
    this.#at = clock.now()
  }

  add(job: Job): void {
    this.#within(() => this.#prefills.push({ job, left: undefined }))
  }

  /** Gives a job up; nothing of it is called any more. */
  drop(job: Job): void {
    this.#within(() => {
      const at = this.#prefills.findIndex((prefill) => prefill.job === job)
      if (at >= 0) this.#prefills.splice(at, 1)
      this.#made.delete(job)
    })
  }

  /** Tokens of its answer that are there. */
  made(job: Job): number {
    return Math.floor(this.#made.get(job) ?? 0)
  }

  /** The rate of each of so many answers. */
  rateOf(answers: number): number {
    return this.rates.decode / (1 + this.rates.crowding * Math.max(0, answers - 1))
  }

  /** Brings all up to now. */
  pass(): void {
    this.#within(() => undefined)
  }

  /** Seconds until all prompts that are there now are computed. */
  prefillAhead(): number {
    return this.#prefills.reduce((sum, { job, left }) => sum + (left ?? job.expects()), 0) / this.rates.prefill
  }

  /** Tokens that the answers in work still lack. */
  decodeAhead(): ReadonlyArray<number> {
    return [...this.#made].map(([job, made]) => job.tokens - made)
  }

  #within(change: () => void): void {
    // Within a callback the time is that of the event, and the passing that called it goes on.
    if (this.#passing) {
      change()
      return
    }
    this.#advance(this.#clock.now())
    change()
    this.#advance(this.#at)
    this.#arm()
  }

  #rate(): number {
    return this.rateOf(this.#made.size) * (this.#prefills.length > 0 ? besidePrefill : 1)
  }

  #untilNext(): number {
    const head = this.#prefills[0]
    const rate = this.#rate()
    let next = head?.left === undefined ? Number.POSITIVE_INFINITY : head.left / this.rates.prefill
    for (const [job, made] of this.#made) next = Math.min(next, (job.tokens - made) / rate)
    return Math.max(0, next)
  }

  #advance(to: number): void {
    this.#passing = true
    for (;;) {
      const head = this.#prefills[0]
      if (head !== undefined && head.left === undefined) head.left = head.job.starts()
      const next = this.#untilNext()
      const step = Math.max(0, Math.min(to - this.#at, next))
      const gained = step * this.#rate()
      if (head?.left !== undefined) head.left -= step * this.rates.prefill
      for (const [job, made] of this.#made) this.#made.set(job, made + gained)
      this.#at += step
      if (!this.#settle(head) && this.#at >= to - nearly) break
    }
    this.#passing = false
  }

  #settle(head: Prefill | undefined): boolean {
    let any = false
    if (head?.left !== undefined && head.left <= nearly * this.rates.prefill && this.#prefills[0] === head) {
      this.#prefills.shift()
      this.#made.set(head.job, 1)
      head.job.begun()
      any = true
    }
    for (const [job, made] of this.#made) {
      if (made < job.tokens - nearly * 100) continue
      this.#made.delete(job)
      job.done()
      any = true
    }
    return any
  }

  #arm(): void {
    this.#disarm?.()
    this.#disarm = undefined
    const next = this.#untilNext()
    if (next < Number.POSITIVE_INFINITY) this.#disarm = this.#clock.at(this.#at + next, () => this.pass())
  }
}
