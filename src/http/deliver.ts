/**
 * A committed answer on its way to the client.
 */
import type { UpstreamError } from "../domain/upstream.ts"
import { ConnectionLost } from "../domain/upstream.ts"
import type { Evidence, Ticket } from "../registry/live.ts"
import type { Attempt } from "../router/plan.ts"
import type { Answer } from "../upstream/answer.ts"
import { keepAliveSeconds, type Listening } from "./BunServer.ts"
import type { Exchange } from "./exchange.ts"
import { failureOf, reasonOf } from "./failure.ts"
import { bodyOf, formOf } from "./openai-error.ts"
import { type FlowEnd, relay, type Relay } from "./relay.ts"
import { replyHeaders, streamHeaders } from "./reply.ts"

type Flow = Answer & { readonly _tag: "Flow" }

const outcomes = { Complete: "completed", Broken: "truncated", ClientGone: "client_closed" } as const

const stopped = new ConnectionLost({ reason: "the gateway is stopping", answered: true })

/** What the end says of the backend: nothing when the client left, its total ran out or the gateway stops. */
const evidenceOf = (end: FlowEnd): Evidence => {
  if (end._tag === "Complete") return "good"
  if (end._tag === "ClientGone" || end.error === stopped) return "none"
  return end.error._tag === "TimedOut" && end.error.limit === "request" ? "none" : "bad"
}

const plainBytes = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer> // reason: answers never sit on shared memory

/** To whom and within what an answer is delivered. */
export interface Delivery {
  readonly exchange: Exchange
  readonly server: Listening
  readonly respond: (response: Response) => void
  /** `stallMs` is the longest time the client may take nothing, in milliseconds. */
  readonly limits: { readonly stallMs: number }
}

const deliverFlow = (
  { exchange, server, respond, limits }: Delivery,
  attempt: Attempt,
  answer: Flow,
  ticket: Ticket
): Promise<void> =>
  new Promise((resolve) => {
    const { clock, failures } = exchange
    const { backend } = attempt.candidate.state
    const { idleMs } = backend.limits
    const failed = (error: UpstreamError) => ({ backend: backend.name, model: attempt.model, reason: reasonOf(error) })
    const dropSlow = (error: UpstreamError) => {
      failures.push(failed(error))
      flow.drop()
    }
    const awaitBackend = () => clock.arm("idle", idleMs, flow.cut)
    const onEnd = (end: FlowEnd, bytes: number): void => {
      answer.taken()
      exchange.bytesOut = bytes
      exchange.outcome = outcomes[end._tag]
      if (end._tag === "Broken") failures.push(failed(end.error))
      ticket.settle(evidenceOf(end), performance.now())
      server.timeout(exchange.request, keepAliveSeconds)
      resolve()
    }
    const flow: Relay = relay({
      body: answer.head.body,
      attach: answer.attach,
      events: answer.events,
      marked: answer.events && exchange.endpoint !== "embeddings",
      errorText: (error) => bodyOf(formOf(failureOf(error, exchange.model, [...failures, failed(error)]))),
      progress: () => {
        const now = performance.now()
        ticket.progress(now)
        clock.renew(now)
      },
      stalled: () => clock.arm("stall", limits.stallMs, dropSlow),
      resumed: () => {
        answer.taken()
        awaitBackend()
      },
      onEnd
    })
    awaitBackend()
    // Silence is ours to judge from here on, not Bun's.
    server.timeout(exchange.request, 0)
    exchange.cut = () => flow.cut(stopped)
    exchange.drop = flow.drop
    const headers = replyHeaders(answer.head, attempt, exchange.id, exchange.attempts)
    respond(
      new Response(flow.body, {
        status: answer.head.status,
        headers: answer.events ? { ...headers, ...streamHeaders } : headers
      })
    )
  })

/** Sends a committed answer; a promise of its end when it goes on after this call. */
export const deliver = (
  delivery: Delivery,
  attempt: Attempt,
  answer: Answer,
  ticket: Ticket
): Promise<void> | undefined => {
  const { exchange, respond } = delivery
  const now = performance.now()
  exchange.firstByteAt = now
  exchange.status = answer.head.status
  exchange.backend = attempt.candidate.state.backend.name
  ticket.answered(now)
  if (answer._tag === "Flow") return deliverFlow(delivery, attempt, answer, ticket)
  ticket.settle("good", now)
  exchange.outcome = "completed"
  exchange.bytesOut = answer.body.byteLength
  respond(
    new Response(plainBytes(answer.body), {
      status: answer.head.status,
      headers: replyHeaders(answer.head, attempt, exchange.id, exchange.attempts)
    })
  )
  return undefined
}
