/**
 * When a first token is late, and how many requests may be asked of a second backend for it.
 */
import { FirstTokens, quantileOf } from "../fleet/first-tokens.ts"
import type { LiveState } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"

/** Requests that the share is kept in. */
export const hedgeWindow = 1000

// So much has to be seen to tell what is late by what is usual, and by what most of them took.
const leastSeen = { usual: 4, most: 20 } as const

// So many may be asked twice before the share allows any: what is slow is slow from the start.
const credit = 5

/** How many of the last requests for a model were asked twice. */
export class HedgeShare {
  // How many were begun since each request came and before the next one did.
  private readonly begun = new Uint32Array(hedgeWindow)
  private at = -1
  private came = 0
  private sum = 0

  /** A request has come that may be asked twice. */
  comes(): void {
    this.at = (this.at + 1) % hedgeWindow
    this.came = Math.min(hedgeWindow, this.came + 1)
    this.sum -= this.begun[this.at] ?? 0
    this.begun[this.at] = 0
  }

  /** How many more may be asked twice, where no more than a share of all are to be, 0 to 1; the first few come out of it later. */
  left(most: number): number {
    const atOnce = Math.min(credit, Math.floor(most * hedgeWindow))
    return Math.max(0, Math.max(atOnce, Math.floor(most * this.came)) - this.sum)
  }

  /** One is asked twice. */
  takes(): void {
    this.sum += 1
    this.begun[this.at] = (this.begun[this.at] ?? 0) + 1
  }
}

// Names that are told apart at most; they are those of settings and of models that are listed.
const mostShares = 1000

/** What is known for hedging. */
export class Hedging {
  // By the model; those of a backend that is taken out go with it.
  private readonly times = new WeakMap<LiveState, Map<string, FirstTokens>>()
  private readonly shares = new Map<string, HedgeShare>()

  /** The share of a model. */
  share(name: string): HedgeShare {
    const known = this.shares.get(name)
    if (known !== undefined) return known
    if (this.shares.size >= mostShares) this.shares.clear()
    const made = new HedgeShare()
    this.shares.set(name, made)
    return made
  }

  /** Notes how long it took until a candidate began to answer, or at least took, in milliseconds. */
  took(candidate: Candidate, ms: number): void {
    this.timesOf(candidate).add(ms)
  }

  /**
   * How long a candidate's first token may take among those who serve the model, in milliseconds: as long as most of the
   * last ones took, and by `leastMs` longer than twice what is usual there or expected of this one; four times that is late
   * whatever the last ones took, and while few were seen. Undefined while next to nothing was.
   */
  lateMs(
    candidate: Candidate,
    all: ReadonlyArray<Candidate>,
    { expectedMs = 0, leastMs }: { readonly expectedMs: number | undefined; readonly leastMs: number }
  ): number | undefined {
    const several = all.map((each) => this.timesOf(each))
    const seen = several.reduce((sum, { size }) => sum + size, 0)
    if (seen < leastSeen.usual) return undefined
    const own = [this.timesOf(candidate)]
    const usual = Math.max(expectedMs, quantileOf(own, 0.5) ?? quantileOf(several, 0.5) ?? 0)
    const most = seen < leastSeen.most ? Infinity : (quantileOf(several, 0.95) ?? 0)
    return Math.max(2 * usual, Math.min(most, 4 * usual)) + leastMs
  }

  private timesOf({ model, state }: Candidate): FirstTokens {
    let models = this.times.get(state.live)
    if (models === undefined) {
      models = new Map()
      this.times.set(state.live, models)
    }
    const known = models.get(model.id)
    if (known !== undefined) return known
    const made = new FirstTokens()
    models.set(model.id, made)
    return made
  }
}
