/**
 * The record of one proxied request: filled as it goes, accounted for exactly once when it ends.
 */
import type { AttemptFailure } from "../domain/errors.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { Outcome } from "../domain/request.ts"
import type { CutPrompt } from "../router/cut.ts"
import type { Plan } from "../router/plan.ts"
import type { LiveFigures } from "../router/live-figures.ts"
import type { Meter } from "../telemetry/meter.ts"
import type { RequestClock } from "../upstream/Upstream.ts"

/** One request on its way; times are monotonic milliseconds. */
export interface Exchange {
  readonly id: string
  /** What is asked, in which dialect. */
  readonly route: DialectRoute
  /** The name of that. */
  readonly endpoint: string
  readonly request: Request
  readonly started: number
  readonly clock: RequestClock
  /** Ends the request from outside, as when the gateway stops. */
  cut: () => void
  /** Drops an answer that is on its way. */
  drop: () => void
  /** Whether nobody waits for the answer any more. */
  gone: boolean
  model: string
  stream: boolean
  status: number
  outcome: Outcome
  backend: string
  upstreamModel: string
  /** The model that the answer is by, when it is neither the one asked for nor any that the backend lists. */
  answeredModel: string | undefined
  /** What the backend has read of a prompt that it has cut. */
  cutPrompt: CutPrompt | undefined
  attempts: number
  firstByteAt: number
  bytesOut: number
  readonly failures: Array<AttemptFailure>
  /** What others took of its time before the answer began: the client to send it, backends to answer. */
  awaitedMs: number
  /** Where the attempt under way is counted; undefined before the first one. */
  meter: Meter | undefined
  /** What was decided, and the figures it was decided by; undefined before. */
  decided: Plan | undefined
  seen: LiveFigures | undefined
}

const nothing = (): void => undefined

/** A request that has just arrived. */
export const arrived = (
  id: string,
  route: DialectRoute,
  request: Request,
  started: number,
  clock: RequestClock
): Exchange => ({
  id,
  route,
  endpoint: route.operation.name,
  request,
  started,
  clock,
  cut: nothing,
  drop: nothing,
  gone: false,
  model: "",
  stream: false,
  status: 0,
  outcome: "failed",
  backend: "",
  upstreamModel: "",
  answeredModel: undefined,
  cutPrompt: undefined,
  attempts: 0,
  firstByteAt: 0,
  bytesOut: 0,
  failures: [],
  awaitedMs: 0,
  meter: undefined,
  decided: undefined,
  seen: undefined
})
