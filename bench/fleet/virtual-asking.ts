/**
 * Attempts in virtual time, as far as a race looks at them.
 */
import type { Asking } from "../../src/proxy/asking.ts"
import type { Ticket } from "../../src/registry/live-state.ts"
import type { Attempt } from "../../src/router/choice.ts"
import type { CommittedAnswer } from "../../src/upstream/answer.ts"
import type { Submitted } from "./runner.ts"

/** One attempt. */
export class VirtualAsking {
  readonly attempt: Attempt
  readonly ticket: Ticket
  readonly asked = { backend: "", model: "" }
  isOver = false
  /** Whether its connection is closed. */
  isClosed = false
  leads: boolean
  /** When its first token came. */
  first = Number.NaN
  cached = 0
  submitted: Submitted | undefined

  constructor(attempt: Attempt, ticket: Ticket, leads: boolean) {
    this.attempt = attempt
    this.ticket = ticket
    this.leads = leads
  }

  follows(other: VirtualAsking): void {
    this.leads = true
    other.leads = false
  }

  loses(now: number): void {
    this.isOver = true
    this.ticket.outwaited(now)
    this.ticket.settle("none", now)
  }

  /** Its client has left, or has what it wants. */
  closes(): void {
    this.isClosed = true
    this.submitted?.leave()
  }
}

/** The same for a race. */
export const asTold = (asking: VirtualAsking): Asking =>
  // reason: a race looks at these fields of it alone
  asking as unknown as Asking

/** An answer that has begun. */
export const spoken =
  // reason: nobody looks at it
  { _tag: "Whole" } as unknown as CommittedAnswer
