/**
 * Time that passes only from one event to the next: an hour of the servers takes as long as what is done in it.
 */
import type { SimClock } from "./sim-clock.ts"

interface Event {
  readonly at: number
  readonly serial: number
  call: (() => void) | undefined
}

// To a server that has been there for ever 0 is long ago; to those who note times it means never.
const start = 100

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.serial < b.serial)

/** A clock whose hands are moved by {@link VirtualClock.runUntil}. */
export class VirtualClock implements SimClock {
  readonly speed: number
  // A heap: each comes before the two at twice its place and one or two more.
  readonly #events: Array<Event> = []
  #now = start
  #serial = 0

  /** A gateway that goes by it takes its own times to be `speed` times as long as they are. */
  constructor(speed: number) {
    this.speed = speed
  }

  readonly now = (): number => this.#now

  readonly at = (second: number, call: () => void): (() => void) => {
    const event: Event = { at: Math.max(second, this.#now), serial: (this.#serial += 1), call }
    this.#push(event)
    return () => {
      event.call = undefined
    }
  }

  readonly sleep = (seconds: number): Promise<void> =>
    new Promise((done) => {
      this.at(this.#now + seconds, done)
    })

  /** Lets events happen, each with all that follows from it at once, until something is over. */
  async runUntil(isOver: () => boolean): Promise<void> {
    await allDone()
    while (!isOver()) {
      const next = this.#shift()
      if (next === undefined) throw new Error("nothing is left that could happen, and it is not over")
      if (next.call === undefined) continue
      this.#now = next.at
      next.call()
      await allDone()
    }
  }

  #push(event: Event): void {
    const events = this.#events
    let at = events.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = events[parent]
      if (above === undefined || !isBefore(event, above)) break
      events[at] = above
      at = parent
    }
    events[at] = event
  }

  #shift(): Event | undefined {
    const events = this.#events
    const [first] = events
    const last = events.pop()
    if (last === undefined || events.length === 0) return first
    let at = 0
    for (;;) {
      const [left, right] = [events[2 * at + 1], events[2 * at + 2]]
      const next = right !== undefined && left !== undefined && isBefore(right, left) ? right : left
      if (next === undefined || !isBefore(next, last)) break
      events[at] = next
      at = 2 * at + (next === left ? 1 : 2)
    }
    events[at] = last
    return first
  }
}

// Promises first, then what the fibers of Effect have put off, and what promises come of that.
const allDone = (): Promise<void> => new Promise((done) => setImmediate(() => setImmediate(done)))
