/**
 * What waits to be sent elsewhere, in bytes already: bounded, so that a receiver that is slow or away costs the oldest of it
 * and never memory.
 */
import { ByteWriter } from "./byte-writer.ts"

/** Things that are sent together. */
export interface ExportBatch {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** How many there are. */
  readonly count: number
}

/** How much may wait: things, and those of one batch; a batch is whole as well when it has so many bytes. */
export interface ExportBounds {
  readonly waiting: number
  readonly batch: number
  readonly batchBytes: number
}

/** A bounded queue of batches, the last of which is still written to; what is dropped is counted. */
export class ExportQueue {
  /** Where the next one is written; it counts once {@link added} says that it is there. */
  readonly out = new ByteWriter()
  private whole: Array<ExportBatch> = []
  private open = 0
  private wholes = 0
  private readonly bounds: ExportBounds
  private readonly dropped: (count: number) => void
  private unwritten: (() => void) | undefined
  private wakes: { readonly of: "one" | "batch"; readonly wake: () => void } | undefined

  constructor(bounds: ExportBounds, dropped: (count: number) => void) {
    this.bounds = bounds
    this.dropped = dropped
  }

  /** How many wait. */
  get size(): number {
    this.write()
    return this.wholes + this.open
  }

  /** One more has been written; the oldest go where there is no room. */
  added(): void {
    this.open += 1
    if (this.open >= this.bounds.batch || this.out.at >= this.bounds.batchBytes) this.close()
    if (this.wakes?.of === "one" || this.whole.length > 0) this.wake()
  }

  /** There is something that `write` writes, before anything is taken or counted: many at a time cost less. */
  writeLater(write: () => void): void {
    this.unwritten = write
    if (this.wakes?.of === "one") this.wake()
  }

  /** Takes the oldest batch, whole or not; undefined when nothing waits. */
  take(): ExportBatch | undefined {
    this.write()
    if (this.whole.length === 0 && this.open > 0) this.close()
    const batch = this.whole.shift()
    this.wholes -= batch?.count ?? 0
    return batch
  }

  /** Puts back what was not taken. */
  putBack(batch: ExportBatch): void {
    this.whole.unshift(batch)
    this.wholes += batch.count
    this.bound()
  }

  /** A batch is over: it was sent, or is not to be; its bytes are written over. */
  release(batch: ExportBatch): void {
    this.out.reuse(batch.bytes)
  }

  /** Calls `wake` once there is something, or once there is a whole batch; gives what takes that back. */
  whenAny(of: "one" | "batch", wake: () => void): () => void {
    if (this.whole.length > 0 || (of === "one" && (this.open > 0 || this.unwritten !== undefined))) {
      wake()
      return () => undefined
    }
    const mine = { of, wake }
    this.wakes = mine
    return () => {
      if (this.wakes === mine) this.wakes = undefined
    }
  }

  private write(): void {
    const { unwritten } = this
    this.unwritten = undefined
    unwritten?.()
  }

  private wake(): void {
    const { wakes } = this
    this.wakes = undefined
    wakes?.wake()
  }

  private close(): void {
    this.whole.push({ bytes: this.out.take(), count: this.open })
    this.wholes += this.open
    this.open = 0
    this.bound()
  }

  private bound(): void {
    while (this.wholes > this.bounds.waiting) {
      const oldest = this.whole.shift()
      if (oldest === undefined) return
      this.wholes -= oldest.count
      this.dropped(oldest.count)
    }
  }
}
