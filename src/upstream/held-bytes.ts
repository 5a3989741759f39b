/**
 * How much is held back of all answers together, while they are checked or wait for slow clients.
 */

/** Answers up to this size are not counted. */
const smallBytes = 64 * 1024

/** The bytes held back of all answers, and how many there may be. */
export class HeldBytes {
  private held = 0
  private readonly most: () => number

  constructor(most: () => number) {
    this.most = most
  }

  /** Counts one answer that has come to `size` bytes, `counted` of which are counted; gives what is counted now. */
  grow(counted: number, size: number): number {
    if (size <= smallBytes) return 0
    this.held += size - counted
    return size
  }

  /** Whether an answer of which so much is counted is to be passed on as it comes. */
  isTooMuch(counted: number): boolean {
    return counted > 0 && this.held > this.most()
  }

  /** Counts no longer what was counted. */
  release(counted: number): void {
    this.held -= counted
  }
}
