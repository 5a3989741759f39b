/**
 * How many requests are worked on, and how many of them are being retried: there is a bound to both.
 */
import { Overloaded } from "../domain/errors.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import type { RequestRun } from "./request-run.ts"

// A share of the requests may be retried, so that an outage does not multiply the traffic; so many always may.
const retryBudget = { share: 0.2, least: 3 } as const

/** The requests that are worked on by this process. */
export class Workload {
  private readonly most: () => number
  private readonly random: () => number
  // Those whose bodies are there.
  private working = 0
  private retries = 0

  /** `most` is how many there may be now; `random` spreads the time to retry. */
  constructor(most: () => number, random: () => number) {
    this.most = most
    this.random = random
  }

  /** Why there is no room for another one; undefined where there is. */
  overloaded(): Overloaded | undefined {
    const most = this.most()
    if (this.working < most) return undefined
    const message = `Nexus is handling ${most} requests already (server.max_concurrent_requests)`
    return new Overloaded({ message, retryAfterSeconds: jitteredWait(1, this.random) })
  }

  /** Counts a request whose body is there; or why that may not go on. */
  takes(current: RequestRun): Overloaded | undefined {
    const refusal = this.overloaded()
    if (refusal !== undefined) return refusal
    current.working = true
    this.working += 1
    return undefined
  }

  /** Whether one more retry may be spent now. */
  mayRetry(): boolean {
    return this.retries < Math.max(retryBudget.least, retryBudget.share * this.working)
  }

  /** Counts a request that is retried, once. */
  retried(): void {
    this.retries += 1
  }

  /** Gives back what has been counted of a request. */
  leaves(current: RequestRun): void {
    if (current.retrying) this.retries -= 1
    if (current.working) this.working -= 1
  }
}
