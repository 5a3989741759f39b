/**
 * A minute's worth of something: full at first, filled evenly, and never above its rim whatever is given back.
 */
import type { AmountLeft } from "../domain/rate-limits.ts"

const minuteMs = 60_000

/** How long it takes until so much more is there: what is owed of a larger limit comes back as fast as it would have. */
const comesIn = (limit: number, missing: number, level: number, owedOf: number): number => {
  const owed = owedOf > limit ? Math.max(0, Math.min(missing, -level)) : 0
  return (owed === 0 ? 0 : (owed * minuteMs) / owedOf) + ((missing - owed) * minuteMs) / limit
}

/** What is left at a level, which may be owed of a larger limit; a little less than a whole one is one. */
export const amountLeft = (limit: number, level: number, owedOf = 0): AmountLeft => ({
  limit,
  left: Math.max(0, Math.floor(level + 1e-6)),
  resetMs: Math.max(0, comesIn(limit, limit - level, level, owedOf))
})

/** One bucket; times in milliseconds of a clock that only goes on. */
export class TokenBucket {
  /** Below 0 where more was taken than had been reserved. */
  private level: number
  private at: number
  /** The largest limit that what is owed was taken of; 0 where that is the one of now. */
  private owedOf = 0

  constructor(limit: number, now: number) {
    this.level = limit
    this.at = now
  }

  private fill(limit: number, now: number): void {
    // What is looked at before it is taken has been filled.
    if (now === this.at && this.owedOf === 0 && this.level <= limit) return
    const passed = now - this.at
    const owing = this.owedOf > limit && this.level < 0 ? Math.min(passed, (-this.level * minuteMs) / this.owedOf) : 0
    this.level = Math.min(limit, this.level + (owing * this.owedOf + (passed - owing) * limit) / minuteMs)
    this.at = now
    if (this.level >= 0) this.owedOf = 0
  }

  /** How long it takes until so much can be taken; 0 where it can be now. What is more than all of it needs all of it. */
  waitMs(limit: number, amount: number, now: number): number {
    this.fill(limit, now)
    const missing = Math.min(amount, limit) - this.level
    // What is missing by rounding is there.
    return missing <= 1e-6 ? 0 : comesIn(limit, missing, this.level, this.owedOf)
  }

  /** Takes so much, or gives it back where it is less than nothing. */
  take(limit: number, amount: number, now: number): void {
    this.fill(limit, now)
    this.level = Math.min(limit, this.level - amount)
  }

  /** What is left of it. */
  left(limit: number, now: number): AmountLeft {
    this.fill(limit, now)
    return amountLeft(limit, this.level, this.owedOf)
  }

  /** How much is missing of all of it. */
  missing(limit: number, now: number): number {
    this.fill(limit, now)
    return limit - this.level
  }

  /** Holds its share of another limit from now on, as one of so many: what was taken of it has been taken. */
  resize(before: number | undefined, limit: number | undefined, shares: number, now: number): void {
    if (limit === undefined || before === limit) return
    if (before === undefined) return this.set(limit / shares, now)
    this.fill(before / shares, now)
    this.level += (limit - before) / shares
    if (limit < before) this.owedOf = Math.max(this.owedOf, before / shares)
  }

  /** Takes over what somebody else knows of it, and of which larger limit it is owed. */
  set(level: number, now: number, owedOf = 0): void {
    this.level = level
    this.at = now
    this.owedOf = level < 0 ? owedOf : 0
  }

  /** Whether nothing is known by it that a new one would not know. */
  isFull(limit: number, now: number): boolean {
    this.fill(limit, now)
    return this.level >= limit
  }
}
