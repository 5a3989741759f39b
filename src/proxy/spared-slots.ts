/**
 * Slots that are left free for others: of batches for whatever is more urgent, of a key that has much for other keys.
 */
import type { PriorityClass } from "../domain/request.ts"
import type { Attempt } from "../router/choice.ts"
import { roomOf } from "../router/expected-end.ts"
import type { Plan } from "../router/plan.ts"
import { isCrowded } from "../router/strategy.ts"

// For so long after a request of a class above batch each server keeps a slot free of batches, in milliseconds.
const keepsFreeMs = 600_000

// Keys count as sharing the servers for so long after a request of one came behind that of another, in milliseconds.
const sharedMs = 60_000

// A key that has half of a server leaves this share of all slots to other keys.
const sparedShare = 1 / 16

// Batches leave a slot of each server free, but no more than this share of all slots.
const leftShare = 1 / 8

/** What is left free, by the requests that have come of late. Times in monotonic milliseconds. */
export class SparedSlots {
  private readonly severalKeys: () => boolean
  // When a request of a class above batch came last, with which key, and when one came with another key than that before it.
  private betterAt = performance.now()
  private lastKey: string | undefined
  private sharedAt = -Infinity

  /** `severalKeys` is whether there are keys that share the servers, whether or not they have come. */
  constructor(severalKeys: () => boolean) {
    this.severalKeys = severalKeys
  }

  /** How many slots of each server a request of this class leaves free that has come with this key. */
  leaves(priority: PriorityClass, key: string | undefined, now: number): number {
    if (priority !== "batch") {
      // Nobody is held back for a batch.
      if (key !== this.lastKey && this.lastKey !== undefined) this.sharedAt = now
      this.lastKey = key
      this.betterAt = now
    }
    return priority === "batch" && now - this.betterAt < keepsFreeMs ? 1 : 0
  }

  /** Whether requests of several keys have come of late. */
  isShared(now: number): boolean {
    return now - this.sharedAt < sharedMs
  }

  /**
   * Whether the last free places of all are left by a key that has half of a server to others that have come of late, one at a
   * time: they would wait for an end.
   */
  isLeft({ needs, settings, targets }: Plan, { candidate }: Attempt, now: number): boolean {
    const { key, leaves = 0 } = needs
    if (!settings.waits || key === undefined || leaves > 0 || !this.isShared(now)) return false
    if (!isCrowded(candidate, { key, shares: true })) return false
    const found = roomOf(targets[0]?.candidates ?? [])
    return found !== undefined && found.free > 0 && found.free <= Math.floor(found.slots * sparedShare)
  }

  /** Tells a plan whether keys share the servers; gives that as well. */
  shares(plan: Plan, now: number): boolean {
    const isInUse = this.isShared(now)
    const isShared = isInUse || this.severalKeys()
    plan.shares(isShared, isInUse, this.leftBy(plan))
    return isShared
  }

  // Where each server has few slots, one of each would be more than is needed: those free elsewhere are left as well.
  private leftBy({ needs: { leaves }, targets }: Plan): number | undefined {
    const found = leaves === undefined ? undefined : roomOf(targets[0]?.candidates ?? [])
    return found !== undefined && found.free > Math.ceil(found.slots * leftShare) ? 0 : leaves
  }
}
