/**
 * The requests that are under way: for those who count them, look at them, and end them.
 */
import * as Effect from "effect/Effect"
import type { ExplainedUnderWay, QueuePlaceEntry, RequestUnderWay, TimePart } from "../api/admin-api.ts"
import { IntrusiveSet } from "../domain/intrusive-set.ts"
import { explainPlan } from "../router/decision.ts"
import type { Router } from "../router/Router.ts"
import type { RequestRecord, Interruption, UnderWay } from "./record.ts"
import type { QueuePlace } from "./slot-queue.ts"
import { tenths, timeLineOf } from "./time-line.ts"

/** What is told of a second backend that was asked. */
export const toldHedge = ({ hedge }: Pick<RequestRecord, "hedge">): Pick<RequestUnderWay, "hedge"> =>
  hedge === undefined ? {} : { hedge: { ...hedge, outcome: hedge.outcome ?? null } }

/** What is told of what hooks have made of it, and of an answer that was kept. */
export const toldHooks = ({
  cache,
  hooks
}: Pick<RequestRecord, "cache" | "hooks">): Pick<RequestUnderWay, "cache" | "hooks"> => ({
  ...(hooks.length === 0 ? {} : { hooks: hooks.map((note) => Object.assign({}, note, { ms: tenths(note.ms) })) }),
  ...(cache === undefined ? {} : { cache })
})

/** What is told of a model that had to be loaded first. */
export const toldLoad = (loadMs: number | undefined): Pick<RequestUnderWay, "load_ms"> =>
  loadMs === undefined ? {} : { load_ms: tenths(loadMs) }

/** Where a request stands in the queue, as people count. */
export const placeEntry = ({ before, seconds }: QueuePlace): QueuePlaceEntry => ({
  position: before + 1,
  seconds: tenths(seconds)
})

/** How a request stands at `now`, in monotonic milliseconds; `ahead` is what the wall clock shows beyond that. */
const described = (record: RequestRecord, now: number, aheadMs: number): RequestUnderWay => {
  const { asked, committed, passed, queued, started } = record
  return {
    id: record.id,
    at: Math.round(started + aheadMs),
    endpoint: record.endpoint,
    model: record.model,
    stream: record.stream,
    ...(record.key === undefined ? {} : { key: record.key }),
    phase: record.phase,
    ...(queued === undefined ? {} : { queue: placeEntry(queued) }),
    phase_ms: tenths(now - record.since),
    age_ms: tenths(now - started),
    backend: asked?.backend ?? "",
    upstream_model: asked?.model ?? "",
    attempts: record.attempts,
    failures: [...record.failures],
    ...toldHedge(record),
    ...toldHooks(record),
    ...toldLoad(asked?.loadMs),
    first_byte_ms: committed === undefined ? null : tenths(committed.at - started),
    bytes: passed.bytes,
    pieces: passed.pieces
  }
}

const timeLineNow = (record: RequestRecord, now: number): ReadonlyArray<TimePart> => {
  const { asked, committed, lost, phase, since, started, waited } = record
  return timeLineOf({
    started,
    to: now,
    isOver: false,
    // It has not been noted how long the wait is that goes on.
    waited: phase === "queued" ? [...waited, since, now] : waited,
    lost,
    last: asked && { ...asked, connectedAt: asked.clock.connectedAt },
    firstByteAt: committed?.at ?? 0
  })
}

/** All of them in this process. */
export class RequestsUnderWay {
  private readonly all = new IntrusiveSet<UnderWay>()
  private readonly router: Router["Service"]
  private readonly aheadMs: (now: number) => number

  /** `aheadMs` is what the wall clock shows beyond the monotonic one. */
  constructor(router: Router["Service"], aheadMs: (now: number) => number) {
    this.router = router
    this.aheadMs = aheadMs
  }

  /** How many there are. */
  get size(): number {
    return this.all.size
  }

  /** Waits until there is none. */
  readonly none: Effect.Effect<void> = Effect.callback((resume) => {
    const takeBack = this.all.whenEmpty(() => resume(Effect.void))
    return Effect.sync(takeBack)
  })

  /** Takes in one that has come. */
  add(request: UnderWay): void {
    this.all.add(request)
  }

  /** Lets one go that has ended. */
  delete(request: UnderWay): void {
    this.all.delete(request)
  }

  /** Ends all of them. */
  interrupt(why: Interruption): void {
    this.all.each((request) => request.interrupt(why))
  }

  /** How each of them stands. */
  list(): ReadonlyArray<RequestUnderWay> {
    return this.described(this.where(() => true))
  }

  /** Those with this id, a client's own may be there twice, and why they went where they are. */
  find(id: string): ReadonlyArray<ExplainedUnderWay> {
    const now = performance.now()
    return this.where((record) => record.id === id).map(({ record }) => {
      const { decided, seen } = record
      const decision =
        decided === undefined || seen === undefined ? null : explainPlan(this.router.again(decided), seen)
      return { request: described(record, now, this.aheadMs(now)), decision, time_line: timeLineNow(record, now) }
    })
  }

  /** Ends those with this id that are not at their end already; gives how they stood. */
  cancel(id: string): ReadonlyArray<RequestUnderWay> {
    const found = this.where((record) => record.id === id && record.end === undefined)
    const stood = this.described(found)
    for (const request of found) request.interrupt("cancelled")
    return stood
  }

  private where(isMeant: (record: RequestRecord) => boolean): ReadonlyArray<UnderWay> {
    const found: Array<UnderWay> = []
    this.all.each((request) => {
      if (isMeant(request.record)) found.push(request)
    })
    return found
  }

  private described(requests: ReadonlyArray<UnderWay>): ReadonlyArray<RequestUnderWay> {
    const now = performance.now()
    const aheadMs = this.aheadMs(now)
    return requests.map(({ record }) => described(record, now, aheadMs))
  }
}
