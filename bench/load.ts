/**
 * The load generator: closed loop (as many requests at a time as told) and open loop (as many a second as told).
 */
import { microseconds } from "./clock.ts"
import { type Times, timesOf } from "./figures.ts"
import { connect, type Wire } from "./wire.ts"

/** What a run of requests gave; times in microseconds. */
export interface Load {
  readonly done: number
  readonly failed: number
  readonly seconds: number
  readonly perSecond: number
  readonly latency: Times
  /** How much later than planned requests were sent; of an open loop only. */
  readonly late: Times
  /** Answers by status. */
  readonly statuses: Readonly<Record<number, number>>
  /** Time to the answer of those that were refused (429, 503). */
  readonly refusals: Times
}

class Tally {
  readonly latencies: Array<number> = []
  readonly lateness: Array<number> = []
  readonly refused: Array<number> = []
  readonly statuses: Record<number, number> = {}
  failed = 0

  note(status: number, took: number): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
    if (status === 429 || status === 503) this.refused.push(took)
    else if (status === 200) this.latencies.push(took)
    else this.failed += 1
  }

  result(seconds: number): Load {
    return {
      done: this.latencies.length,
      failed: this.failed,
      seconds,
      perSecond: this.latencies.length / seconds,
      latency: timesOf(this.latencies),
      late: timesOf(this.lateness),
      statuses: this.statuses,
      refusals: timesOf(this.refused)
    }
  }
}

const openAll = (port: number, count: number): Promise<Array<Wire>> =>
  Promise.all(Array.from({ length: count }, () => connect(port)))

interface Told {
  readonly note: (status: number, took: number) => void
  failed: number
}

/** Keeps requests under way, one on each wire, for as long as it goes on. */
const keepAsking = (
  port: number,
  request: Uint8Array,
  wires: Array<Wire>,
  tally: Told,
  goesOn: () => boolean
): Promise<unknown> => {
  const drive = (wire: Wire): Promise<void> =>
    new Promise((done) => {
      let current = wire
      const again = (): void => {
        if (!goesOn()) return done()
        if (current.usable()) return once()
        void connect(port).then((fresh) => {
          current = fresh
          once()
        }, done)
      }
      const once = (): void => {
        const sent = performance.now()
        current.send(request, {
          end: (status) => {
            tally.note(status, (performance.now() - sent) * 1000)
            again()
          },
          broken: () => {
            tally.failed += 1
            again()
          }
        })
      }
      wires.push(current)
      once()
    })
  return Promise.all([...wires].map(drive))
}

/** Keeps `concurrency` requests under way for `seconds`, each on a connection of its own. */
export const closedLoop = async (
  port: number,
  request: Uint8Array,
  concurrency: number,
  seconds: number
): Promise<Load> => {
  const wires = await openAll(port, concurrency)
  const tally = new Tally()
  const start = performance.now()
  const until = start + seconds * 1000
  await keepAsking(port, request, wires, tally, () => performance.now() < until)
  const took = (performance.now() - start) / 1000
  for (const wire of wires) wire.close()
  return tally.result(took)
}

/** A load that goes on while readings are taken; how many answers there were so far. */
export interface SteadyLoad {
  readonly done: () => number
  readonly failed: () => number
  readonly end: () => Promise<void>
}

/** Keeps `concurrency` requests under way, each on a connection of its own, until it is ended. */
export const steadyLoad = async (port: number, request: Uint8Array, concurrency: number): Promise<SteadyLoad> => {
  const wires = await openAll(port, concurrency)
  let [done, goesOn] = [0, true]
  const tally = {
    failed: 0,
    note: (status: number): void => {
      if (status === 200) done += 1
      else tally.failed += 1
    }
  }
  const over = keepAsking(port, request, wires, tally, () => goesOn)
  return {
    done: () => done,
    failed: () => tally.failed,
    end: async () => {
      goesOn = false
      await over
      for (const wire of wires) wire.close()
    }
  }
}

/**
 * Sends `rate` requests a second for `seconds`, whether answers come or not. Latency counts from the moment of sending;
 * how far that was behind the plan is told apart.
 */
export const openLoop = async (
  port: number,
  request: Uint8Array,
  rate: number,
  seconds: number,
  connections = 64
): Promise<Load> => {
  const idle = await openAll(port, connections)
  const all = [...idle]
  const tally = new Tally()
  const total = Math.floor(rate * seconds)
  const begin = microseconds() + 5000
  let planned = 0
  let ended = 0
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const settle = (): void => {
    ended += 1
    if (ended === total) resolve(undefined)
  }
  const fire = (wire: Wire, due: number): void => {
    const sent = microseconds()
    tally.lateness.push(sent - due)
    wire.send(request, {
      end: (status) => {
        tally.note(status, microseconds() - sent)
        if (wire.usable()) idle.push(wire)
        settle()
      },
      broken: () => {
        tally.failed += 1
        settle()
      }
    })
  }
  const next = (due: number): void => {
    let wire = idle.pop()
    while (wire !== undefined && !wire.usable()) wire = idle.pop()
    if (wire !== undefined) return fire(wire, due)
    void connect(port).then(
      (fresh) => {
        all.push(fresh)
        fire(fresh, due)
      },
      () => {
        tally.failed += 1
        settle()
      }
    )
  }
  const timer = setInterval(() => {
    const now = microseconds()
    while (planned < total && begin + (planned * 1e6) / rate <= now) {
      next(begin + (planned * 1e6) / rate)
      planned += 1
    }
  }, 1)
  const stuck = setTimeout(resolve, (seconds + 10) * 1000, undefined)
  await promise
  clearInterval(timer)
  clearTimeout(stuck)
  tally.failed += total - ended
  for (const wire of all) wire.close()
  return tally.result((microseconds() - begin) / 1e6)
}
