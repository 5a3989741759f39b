/**
 * Rounds of the event loop: long work is done in slices, one slice of one worker a round; what goes out at the end of one
 * goes together.
 */
import { scheduler } from "node:timers/promises"

/** Whose turn it is; all who work at length share one. */
export class EventLoopTurns {
  private last: Promise<unknown> = Promise.resolve()

  /** Waits for a turn: everything else has had one since the last, and so has everybody who waited before. */
  next(): Promise<void> {
    const turn = this.last.then(() => scheduler.yield())
    this.last = turn
    return turn
  }
}

// So many wait for the end of a round at most: in the fullest ones the first is not to wait for hundreds of others.
const mostTogether = 32

// After so many rounds with one each, the next ones do not wait: little is under way then, and to wait is what costs.
const lonelyRounds = 8
const apartFor = 64

/** Calls it once all else that is due has had its turn: where the process stood still, what was written has still to go out. */
export const afterTurn = (call: () => void) => (): void => {
  void scheduler.yield().then(call)
}

/**
 * What is done together at the end of a round of the event loop, in its order. Whoever waits for it in another process, a
 * client or a backend, is then woken once for several: to wake one costs as much as all else that the system does for a write.
 */
export class EndOfTurn<A> {
  private waiting: Array<A> = []
  private lonely = 0
  private apart = 0
  private readonly act: (each: A) => void
  private readonly ends = afterTurn(() => this.flush())

  /** `act` does it, and throws nothing. */
  constructor(act: (each: A) => void) {
    this.act = act
  }

  /** One more is to be done before the next round, or at once where few come. */
  add(each: A): void {
    if (this.apart > 0) {
      this.apart -= 1
      return this.act(each)
    }
    const { waiting } = this
    waiting.push(each)
    if (waiting.length >= mostTogether) this.flush()
    else if (waiting.length === 1) this.ends()
  }

  private flush(): void {
    const { waiting } = this
    if (waiting.length === 0) return
    this.waiting = []
    this.lonely = waiting.length > 1 ? 0 : this.lonely + 1
    if (this.lonely === lonelyRounds) {
      this.lonely = 0
      this.apart = apartFor
    }
    for (const each of waiting) this.act(each)
  }
}
