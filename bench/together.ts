/**
 * Streams of several kinds at one time, few enough that the machine is idle most of it: how long a token of each takes. What
 * disturbs the machine disturbs all of them in the same moments, and few of the windows that the time is cut into.
 */
import { median, type Times, timesOf } from "./figures.ts"
import { readStreams, type StreamPlan } from "./streams.ts"

/** How long a token takes from where it is sent to where it is read, in microseconds. */
export type Delay = Pick<Times, "p50" | "p99">

/** One kind of stream: where it is read, and how it is asked for. */
export type Part = Pick<StreamPlan, "port" | "voice">

const streams = 20

// Milliseconds between two tokens of a stream.
const every = 50

const windowMs = 500

// A window that is not nearly full was cut by the beginning or the end.
const fullWindow = 0.9 * streams * (windowMs / every)

/** How long tokens of each part take, as medians over windows in which all parts have theirs; and streams that were not whole. */
export const readTogether = async <Name>(
  parts: ReadonlyMap<Name, Part>,
  seconds: number
): Promise<{ readonly delays: ReadonlyMap<Name, Delay>; readonly lost: number }> => {
  const windows = new Map<number, Map<Name, Array<number>>>()
  const came = (name: Name, sent: number, delay: number): void => {
    const number = Math.floor(sent / 1000 / windowMs)
    const window = windows.get(number) ?? new Map<Name, Array<number>>()
    windows.set(number, window)
    const delays = window.get(name) ?? []
    window.set(name, delays)
    delays.push(delay)
  }
  const loads = await Promise.all(
    [...parts].map(([name, part]) =>
      readStreams({
        ...part,
        streams,
        // One of each kind after the other, so that no kind has moments of its own.
        batch: 1,
        frames: Math.ceil((seconds * 1000) / every),
        every,
        came: (sent, delay) => came(name, sent, delay)
      })
    )
  )
  const full = [...windows.values()].filter((window) =>
    [...parts.keys()].every((name) => (window.get(name)?.length ?? 0) >= fullWindow)
  )
  const middle = (name: Name): Delay => {
    const times = full.map((window) => timesOf(window.get(name) ?? []))
    return { p50: median(times.map(({ p50 }) => p50)), p99: median(times.map(({ p99 }) => p99)) }
  }
  return {
    delays: new Map([...parts.keys()].map((name) => [name, middle(name)])),
    lost: loads.reduce((sum, { broken, lost }) => sum + broken + lost, 0)
  }
}
