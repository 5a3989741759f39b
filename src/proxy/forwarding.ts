/**
 * What a forwarded request draws on beside itself.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { CacheNeeds } from "./cached-answer.ts"
import type { Captures } from "../capture/Captures.ts"
import type { Hooks } from "../hooks/Hooks.ts"
import type { KeyBounds } from "../router/zoned-targets.ts"
import type { DialectList } from "../dialect/all.ts"
import type { ModelRefusal } from "../dialect/refused-fields.ts"
import type { ReadRequest } from "../dialect/Dialect.ts"
import type { GatewayError } from "../domain/errors.ts"
import type { Work } from "../fleet/running.ts"
import type { RequestRun } from "./request-run.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Ruling } from "../domain/routing.ts"
import type { LearnedRefusals } from "../registry/learned-refusals.ts"
import type { ListDrift } from "../registry/list-drift.ts"
import type { Registry } from "../registry/Registry.ts"
import type { Router } from "../router/Router.ts"
import type { Deadlines } from "../upstream/Deadlines.ts"
import type { Upstream } from "../upstream/Upstream.ts"
import type { DialingBounds } from "../upstream/perimeter.ts"
import type { Accounting } from "./Accounting.ts"
import type { Hedging } from "./hedging.ts"
import type { RequestLimiter } from "./limited.ts"
import type { RequestRecord } from "./record.ts"
import type { SpendingNeeds } from "./spending.ts"
import type { SlotQueue, SlotSeeker } from "./slot-queue.ts"

/** What forwarding draws on. */
export interface Forwarding {
  readonly dialects: DialectList
  readonly registry: Registry["Service"]
  readonly router: Router["Service"]
  readonly upstream: Upstream["Service"]
  /** What bounds where sockets may be opened to, and where it is noted that they were. */
  readonly dialing: DialingBounds
  readonly accounting: Accounting["Service"]
  readonly spending: SpendingNeeds
  readonly turns: EventLoopTurns
  readonly deadlines: Deadlines["Service"]
  /** Realtime sessions under way. */
  readonly sessions: Set<RequestRun>
  readonly hedging: Hedging
  readonly newcomers: ListDrift
  readonly limits: RequestLimiter
  readonly refusals: LearnedRefusals<ModelRefusal>
  /** Those who refuse to tell the tokens of a stream. */
  readonly wishRefusals: LearnedRefusals<"usage">
  /** Called once the body of a request is there; says why it may not go on. */
  readonly taken: (run: RequestRun) => GatewayError | undefined
  /** The smallest context, in tokens, of those who may answer for a model now. */
  readonly leastContext: (model: string) => number
  /** The model that is meant where none is named. */
  readonly standIn: (usual: string | undefined, key?: KeyBounds) => string | undefined
  /** Whether one more retry may be spent now. */
  readonly budgetLeft: () => boolean
  /** Where requests wait for a slot. */
  readonly queue: SlotQueue
  /** How long they may, in milliseconds; 0 is no limit. */
  readonly queueMs: () => number
  /** Who a request is that waits. */
  readonly seeks: (record: RequestRecord) => Pick<SlotSeeker, "key" | "priority" | "session">
  /** How many slots of each server it leaves free. */
  readonly leaves: (record: RequestRecord, now: number) => number
  /** Its prompt as a chain, whose tools servers are told in an order of their own or not; taken in as one of its conversation. */
  readonly chainOf: (record: RequestRecord, body: Uint8Array, sorts: boolean) => NonNullable<Work["chain"]>
  /** Called when a slot may have become free. */
  readonly freed: () => void
  /** Sees to it that the client of a stream does not wait in silence. */
  readonly keepAlive: (run: RequestRun) => void
  /** Sends a copy of a request where its rule wants one. */
  readonly shadow: (run: RequestRun, read: ReadRequest, body: Uint8Array, ruling: Ruling) => void
  /** Who judges requests and answers outside of the gateway. */
  readonly hooks: Hooks["Service"]
  /** What is stored of prompts and answers. */
  readonly captures: Captures["Service"]
  /** Which answers are given again. */
  readonly caching: CacheNeeds
  /** Starts what goes on beside a request. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Called once for a request that is tried again. */
  readonly retried: () => void
}
