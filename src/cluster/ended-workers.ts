/**
 * What workers have counted that have ended: a worker that is started anew counts from 0, and the whole must not go back.
 */
import { bequeathed, type Measures } from "../telemetry/measures.ts"

/** Keeps the figures that each worker told last, and those of the ones that have ended. */
export class EndedWorkers<Worker extends WeakKey> {
  private readonly last = new Map<Worker, Measures>()
  private readonly bequests = new WeakMap<Worker, Measures>()
  private sum: Measures = bequeathed([])

  /** Notes the figures that a worker tells. */
  hear(worker: Worker, measures: Measures): void {
    if (!this.bequests.has(worker)) this.last.set(worker, measures)
  }

  /** A worker has ended. */
  end(worker: Worker): void {
    const measures = this.last.get(worker)
    if (measures === undefined) return
    this.last.delete(worker)
    this.bequests.set(worker, bequeathed([measures]))
    this.sum = bequeathed([this.sum, measures])
  }

  /** What all have left that have ended. */
  all(): Measures {
    return this.sum
  }

  /** What this one has left, for those who have asked before it ended. */
  of(worker: Worker): ReadonlyArray<Measures> {
    const left = this.bequests.get(worker)
    return left === undefined ? [] : [left]
  }
}
