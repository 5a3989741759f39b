/**
 * What took how long of one request: its waits for a slot, and each call to a backend from asking it to its last byte.
 */
import type { TimePart } from "../api/admin-api.ts"
import type { RequestClock } from "../upstream/Upstream.ts"

/** A call to a backend; times are monotonic milliseconds. */
export interface PlacedCall {
  readonly backend: string
  readonly model: string
  readonly at: number
  /** Where it is noted when it was connected. */
  readonly clock: Pick<RequestClock, "connectedAt">
  /** Whether it was begun beside another one that was late. */
  readonly isBeside: boolean
}

/** A call that did not give the answer. */
export interface LostCall extends Omit<PlacedCall, "clock"> {
  /** 0 when it never was. */
  readonly connectedAt: number
  readonly to: number
  /** Why it failed; undefined for one that another one was faster than. */
  readonly reason: string | undefined
}

/** What was lost of a call at `to`. */
export const lostCall = (
  { at, backend, clock, isBeside, model }: PlacedCall,
  to: number,
  reason: string | undefined
): LostCall => ({ backend, model, at, connectedAt: clock.connectedAt, isBeside, to, reason })

/** A request as it is drawn; times are monotonic milliseconds, 0 for what has not happened. */
export interface TimedRequest {
  readonly started: number
  /** Its end, or now. */
  readonly to: number
  readonly isOver: boolean
  /** When it began to wait for a slot and when that was over, one after the other. */
  readonly waited: ReadonlyArray<number>
  readonly lost: ReadonlyArray<LostCall>
  /** The call that leads; undefined before there is one. */
  readonly last: Omit<LostCall, "to" | "reason"> | undefined
  readonly firstByteAt: number
}

/** A time as it is told to people. */
export const tenths = (time: number): number => Math.round(time * 10) / 10

/** The parts, in the order in which they began. */
export const timeLineOf = (timed: TimedRequest): ReadonlyArray<TimePart> => {
  const { firstByteAt, isOver, last, lost, started, to, waited } = timed
  const since = (at: number): number => tenths(Math.max(0, at - started))
  const sinceOrNull = (at: number): number | null => (at === 0 ? null : since(at))
  const parts: Array<TimePart> = []
  for (let at = 0; at < waited.length; at += 2)
    parts.push({ part: "queue", from_ms: since(waited[at] ?? 0), to_ms: since(waited[at + 1] ?? to) })
  for (const { at, backend, connectedAt, isBeside, model, reason, to: end } of lost) {
    parts.push({
      part: "attempt",
      backend,
      model,
      from_ms: since(at),
      connected_ms: sinceOrNull(connectedAt),
      first_byte_ms: null,
      to_ms: since(end),
      hedge: isBeside,
      outcome: reason === undefined ? "outrun" : "failed",
      ...(reason === undefined ? {} : { reason })
    })
  }
  if (last !== undefined && !lost.some(({ at, backend }) => at === last.at && backend === last.backend)) {
    parts.push({
      part: "attempt",
      backend: last.backend,
      model: last.model,
      from_ms: since(last.at),
      connected_ms: sinceOrNull(last.connectedAt),
      first_byte_ms: sinceOrNull(firstByteAt),
      to_ms: since(to),
      hedge: last.isBeside,
      outcome: !isOver ? "under_way" : firstByteAt === 0 ? "failed" : "answered"
    })
  }
  return parts.toSorted((a, b) => a.from_ms - b.from_ms)
}
