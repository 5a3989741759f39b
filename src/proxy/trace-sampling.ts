/**
 * Which requests are traced where their callers have not said it: a part of them, and so many a second at most, since nobody
 * reads more. Of those that are left out by that, the ones of interest are kept as they end, so many a second again.
 */
import { isSampled, type TraceContext } from "../domain/trace-context.ts"
import type { Outcome } from "../domain/request.ts"

// What is missing of a whole one by rounding is there.
const rounding = 1e-6

/** Lets so many a second through, a second's worth at once after a quiet time, and one in any case; a bucket of tokens. */
class Bucket {
  private readonly perSecond: number
  private readonly most: number
  private level: number
  private at: number

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond
    this.most = perSecond === 0 ? 0 : Math.max(1, perSecond)
    this.level = this.most
    this.at = now
  }

  takes(now: number): boolean {
    const passed = Math.max(0, now - this.at)
    this.at += passed
    this.level = Math.min(this.most, this.level + (passed / 1000) * this.perSecond)
    if (this.level < 1 - rounding) return false
    this.level -= 1
    return true
  }
}

/** So many traces a second at most; times are milliseconds of a clock that only goes on. */
export class TraceRate {
  readonly perSecond: number
  /** Whether the log says that some are left out. */
  isTold = false
  private readonly begun: Bucket
  private readonly ended: Bucket

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond
    this.begun = new Bucket(perSecond, now)
    this.ended = new Bucket(perSecond, now)
  }

  /** Whether one that has come is recorded. */
  records(now: number): boolean {
    return this.begun.takes(now)
  }

  /** Whether one that was left out is kept, since it ended in a way that is of interest. */
  keeps(now: number): boolean {
    return this.ended.takes(now)
  }
}

/** What decides. */
export interface TraceSampling {
  /** Whether what the caller decided goes before the rest. */
  readonly byParent: boolean
  /** The part of the others that is traced. */
  readonly ratio: number
  /** How many of that part are, in a second; undefined for all of it. */
  readonly rate: TraceRate | undefined
}

/**
 * What was decided of a request: all of it is noted; calls alone are, since more than enough are noted already, so that it can
 * be kept as it ends; or nothing is.
 */
export type TraceDecision = "recorded" | "left_out" | "unrecorded"

/** Decides, as a request comes. */
export const traceDecision = (
  { byParent, rate, ratio }: TraceSampling,
  parent: TraceContext | undefined,
  traceId: string,
  now: number
): TraceDecision => {
  if (parent !== undefined && byParent) return parent.sampled ? "recorded" : "unrecorded"
  if (!isSampled(ratio, traceId)) return "unrecorded"
  return rate === undefined || rate.records(now) ? "recorded" : "left_out"
}

/** Whether a request that has ended is one that people look for: it failed, waited for a slot, or was asked more than once. */
export const isOfInterest = (
  { attempts, queuedMs }: { readonly attempts: number; readonly queuedMs: number },
  outcome: Outcome
): boolean => outcome !== "completed" || attempts > 1 || queuedMs > 0
