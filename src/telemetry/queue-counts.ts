/**
 * What waits for slots, by model and class, and how long those have waited that wait no more.
 */
import { priorityClasses, type PriorityClass } from "../domain/request.ts"
import { addTo, histogramSize, observe } from "./histogram.ts"
import { queueSeconds } from "./metrics.ts"

/** The figures of one model and class, as they are told. */
export interface QueueFigures {
  readonly model: string
  readonly priority: PriorityClass
  readonly waiting: number
  /** How long the one has waited that came first of them, in milliseconds. */
  readonly longestMs: number
  /** How long those waited that wait no more, as a histogram. */
  readonly waits: ReadonlyArray<number>
}

/** One that waits; times in monotonic milliseconds. */
interface Waiter {
  readonly since: number
}

interface Line {
  readonly model: string
  readonly priority: PriorityClass
  // In the order of their coming.
  readonly waiting: Set<Waiter>
  readonly waits: Float64Array
}

// Models come and go; what comes beyond is counted together.
const mostModels = 400

/** The figures of the queue of a process. */
export class QueueCounts {
  private readonly lines = new Map<string, ReadonlyArray<Line>>()
  private readonly others: string

  /** `others` stands for all models that have no figures of their own. */
  constructor(others: string) {
    this.others = others
  }

  /** One begins to wait. */
  enters(model: string, priority: PriorityClass, waiter: Waiter): void {
    this.line(model, priority)?.waiting.add(waiter)
  }

  /** It waits no more, whatever has become of it; what never had to wait is not counted. */
  leaves(model: string, priority: PriorityClass, waiter: Waiter, now: number): void {
    const line = this.line(model, priority)
    if (line?.waiting.delete(waiter) !== true || now <= waiter.since) return
    observe(line.waits, 0, queueSeconds.bounds, (now - waiter.since) / 1000)
  }

  /** All of them, of those models that anything has waited for. */
  figures(now: number): ReadonlyArray<QueueFigures> {
    return [...this.lines.values()].flat().map(({ model, priority, waiting, waits }) => {
      const [first] = waiting
      return {
        model,
        priority,
        waiting: waiting.size,
        longestMs: first === undefined ? 0 : now - first.since,
        waits: [...waits]
      }
    })
  }

  private line(model: string, priority: PriorityClass): Line | undefined {
    const known = this.lines.get(model)
    const isTooMuch = known === undefined && this.lines.size >= mostModels && model !== this.others
    if (isTooMuch) return this.line(this.others, priority)
    return (known ?? this.make(model)).find((line) => line.priority === priority)
  }

  private make(model: string): ReadonlyArray<Line> {
    const made = priorityClasses.map((priority) => ({
      model,
      priority,
      waiting: new Set<Waiter>(),
      waits: new Float64Array(histogramSize(queueSeconds.bounds))
    }))
    this.lines.set(model, made)
    return made
  }
}

/** What the queues of several processes come to. */
export const sumQueues = (all: Iterable<ReadonlyArray<QueueFigures>>): ReadonlyArray<QueueFigures> => {
  const sums = new Map<string, QueueFigures>()
  for (const each of [...all].flat()) {
    const key = `${each.priority} ${each.model}`
    const known = sums.get(key)
    if (known === undefined) {
      sums.set(key, each)
      continue
    }
    const waits = Float64Array.from(known.waits)
    addTo(waits, each.waits)
    sums.set(key, {
      ...known,
      waiting: known.waiting + each.waiting,
      longestMs: Math.max(known.longestMs, each.longestMs),
      waits: [...waits]
    })
  }
  return [...sums.values()]
}

/** What stays of them when their process has ended. */
export const lastingQueues = (all: ReadonlyArray<QueueFigures>): ReadonlyArray<QueueFigures> =>
  all.map((each) => ({ ...each, waiting: 0, longestMs: 0 }))
