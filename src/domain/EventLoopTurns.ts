/**
 * Long work in the middle of everything else: it is done in slices, one slice of one worker a round of the event loop.
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

/** Calls it once all else that is due has had its turn: where the process stood still, what was written has still to go out. */
export const afterTurn = (call: () => void) => (): void => {
  void scheduler.yield().then(call)
}
