/**
 * The last requests with what was decided for each of them, so that a person can ask why; nothing of a message is kept.
 */
import { Context, Layer } from "effect"
import { explain } from "../router/explain.ts"
import type { Plan } from "../router/plan.ts"
import type { Witness } from "../router/witness.ts"
import type { Explained, RecentRequest } from "./admin-api.ts"
import type { Exchange } from "./exchange.ts"

/** Requests that are remembered. */
export const remembered = 512

interface Entry extends RecentRequest {
  readonly plan: Plan | undefined
  readonly seen: Witness | undefined
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10

const entryOf = (exchange: Exchange, now: number): Entry => ({
  id: exchange.id,
  at: Math.round(performance.timeOrigin + exchange.started),
  endpoint: exchange.endpoint,
  model: exchange.model,
  stream: exchange.stream,
  outcome: exchange.outcome,
  status: exchange.status,
  backend: exchange.backend,
  upstream_model: exchange.upstreamModel,
  attempts: exchange.attempts,
  failures: exchange.failures,
  first_byte_ms: exchange.firstByteAt === 0 ? null : rounded(exchange.firstByteAt - exchange.started),
  duration_ms: rounded(now - exchange.started),
  plan: exchange.plan,
  seen: exchange.seen
})

const shown = ({ plan: _plan, seen: _seen, ...request }: Entry): RecentRequest => request

/** The memory of requests. */
export class Recent extends Context.Service<
  Recent,
  {
    /** Takes a request that has ended. */
    readonly note: (exchange: Exchange) => void
    /** The last ones, newest first. */
    readonly list: () => ReadonlyArray<RecentRequest>
    /** The newest one with this id, and its decision when there was one to make. */
    readonly find: (id: string) => Explained | undefined
  }
>()("nexus/http/Recent") {
  /** A ring of {@link remembered} requests in memory. */
  static readonly layer = Layer.sync(Recent, () => {
    const ring: Array<Entry> = []
    let next = 0
    const note = (exchange: Exchange): void => {
      ring[next] = entryOf(exchange, performance.now())
      next = (next + 1) % remembered
    }
    const newestFirst = (): ReadonlyArray<Entry> => [...ring.slice(next), ...ring.slice(0, next)].toReversed()
    return Recent.of({
      note,
      list: () => newestFirst().map(shown),
      find: (id) => {
        const entry = newestFirst().find((each) => each.id === id)
        if (entry === undefined) return undefined
        const { plan, seen } = entry
        const decision = plan === undefined || seen === undefined ? null : explain(plan, seen)
        return { request: shown(entry), decision }
      }
    })
  })
}
