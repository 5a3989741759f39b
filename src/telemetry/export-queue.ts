/**
 * What waits to be sent elsewhere: bounded, so that a receiver that is slow or away costs the oldest of it and never memory.
 */

/** A bounded queue; what is dropped is counted. */
export class ExportQueue<A> {
  private waiting: Array<A> = []
  private readonly most: number
  private readonly batch: number
  private readonly dropped: (count: number) => void
  private wakes: { readonly wanted: number; readonly wake: () => void } | undefined

  /** Holds `most` at a time; whoever takes them is woken when there are `batch`. */
  constructor(most: number, batch: number, dropped: (count: number) => void) {
    this.most = most
    this.batch = batch
    this.dropped = dropped
  }

  /** How many wait. */
  get size(): number {
    return this.waiting.length
  }

  /** Adds one; the oldest goes where there is no room. */
  push(item: A): void {
    this.waiting.push(item)
    // Looked after a tenth too many, so that not each one moves all others.
    if (this.waiting.length > this.most * 1.1) this.bound()
    if (this.wakes !== undefined && this.waiting.length >= this.wakes.wanted) {
      const { wake } = this.wakes
      this.wakes = undefined
      wake()
    }
  }

  /** Takes the oldest ones, a batch at most. */
  take(): ReadonlyArray<A> {
    this.bound()
    return this.waiting.splice(0, this.batch)
  }

  /** Puts back what was not taken. */
  putBack(items: ReadonlyArray<A>): void {
    this.waiting = [...items, ...this.waiting]
    this.bound()
  }

  /** Calls `wake` once there is something, or once there is a whole batch; gives what takes that back. */
  whenAny(of: "one" | "batch", wake: () => void): () => void {
    const wanted = of === "one" ? 1 : this.batch
    if (this.waiting.length >= wanted) {
      wake()
      return () => undefined
    }
    const mine = { wanted, wake }
    this.wakes = mine
    return () => {
      if (this.wakes === mine) this.wakes = undefined
    }
  }

  private bound(): void {
    const tooMany = this.waiting.length - this.most
    if (tooMany <= 0) return
    this.waiting.splice(0, tooMany)
    this.dropped(tooMany)
  }
}
