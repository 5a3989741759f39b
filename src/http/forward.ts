/**
 * The attempts of one request: candidate after candidate until one commits. Plain asynchronous code under the one fiber
 * of the request, since a step of an effect costs more here than all the deciding.
 */
import { Result } from "effect"
import type { GatewayError } from "../domain/errors.ts"
import type { Member } from "../domain/roster.ts"
import type { UpstreamError } from "../domain/upstream.ts"
import { Ticket } from "../registry/live.ts"
import type { Registry } from "../registry/Registry.ts"
import { type Blame, verdict } from "../router/failover.ts"
import type { Attempt, Plan } from "../router/plan.ts"
import type { Router } from "../router/Router.ts"
import { Abort } from "../upstream/abort.ts"
import type { Answer } from "../upstream/answer.ts"
import { classify } from "../upstream/classify.ts"
import type { Upstream } from "../upstream/Upstream.ts"
import type { Accounting } from "./Accounting.ts"
import { readBody } from "./body.ts"
import type { Exchange } from "./exchange.ts"
import { failureOf, passOn, reasonOf } from "./failure.ts"
import { readNeeds } from "./needs.ts"
import { render } from "./openai-error.ts"
import { decisionHeaders } from "./reply.ts"
import { replaceModel } from "./splice.ts"

/** What forwarding draws on. */
export interface Forwarding {
  readonly registry: Registry["Service"]
  readonly router: Router["Service"]
  readonly upstream: Upstream["Service"]
  readonly accounting: Accounting["Service"]
  readonly maxRetries: number
  readonly maxBodyBytes: number
  readonly uploadMs: number
  /** Whether one more retry may be spent now. */
  readonly budgetLeft: () => boolean
}

/** One request under way: its record, the ways to answer and to end it, and what must be given back at its end. */
export interface Run extends Member {
  readonly exchange: Exchange
  readonly respond: (response: Response) => void
  /** Sends a committed answer; resolves when it has ended. */
  readonly deliver: (attempt: Attempt, answer: Answer, ticket: Ticket) => Promise<void> | undefined
  readonly noteRefused: (backend: string, reason: string) => void
  abort: Abort
  ticket: Ticket | undefined
  /** Whether the request counts against the retry budget. */
  retrying: boolean
}

/** The attempt that failed last; `pass` when the backend's own answer is for the client to see. */
interface Failed {
  readonly error: UpstreamError
  readonly attempt: Attempt
  readonly pass: boolean
  /** Whether it was not tried again because too much is being tried again already. */
  readonly spent: boolean
}

const isRateLimit = (error: UpstreamError): boolean => error._tag === "ErrorStatus" && error.status === 429

const settle = (run: Run, registry: Registry["Service"], error: UpstreamError, backend: string, blame: Blame): void => {
  const now = performance.now()
  if (blame._tag === "cool") run.ticket?.cool(blame.ms, now)
  if (blame._tag === "count" && blame.coolMs !== undefined) run.ticket?.cool(blame.coolMs, now)
  run.ticket?.settle(blame._tag === "count" || blame._tag === "config" ? "bad" : "none", now)
  run.ticket = undefined
  if (blame._tag === "count" && error._tag === "Unreachable") registry.suspect(backend)
  if (blame._tag === "config") run.noteRefused(backend, reasonOf(error))
}

const answerFailure = ({ exchange, respond }: Run, { error, attempt, pass, spent }: Failed): void => {
  const decision = {
    ...decisionHeaders(attempt, exchange.attempts),
    // By this the client's library knows that it must not multiply what is too much already.
    ...(spent ? { "x-should-retry": "false" } : {})
  }
  const passed = pass && error._tag === "ErrorStatus" ? passOn(error, exchange.id, decision) : undefined
  const response = passed ?? render(failureOf(error, exchange.model, exchange.failures), exchange.id, decision)
  exchange.outcome = passed === undefined ? "failed" : "refused"
  exchange.backend = attempt.candidate.state.backend.name
  exchange.status = response.status
  respond(response)
}

/** Asks candidate after candidate until one commits and has been delivered; gives the last failure when none does. */
const attemptAll = async (
  { registry, upstream, accounting, maxRetries, budgetLeft }: Forwarding,
  run: Run,
  plan: Plan,
  raw: Uint8Array
): Promise<Failed | undefined> => {
  const { exchange } = run
  let retriesLeft = maxRetries
  let attempt = plan.next(performance.now())
  let fresh = false
  let lostBefore = 0
  let last: Failed | undefined
  while (attempt !== undefined) {
    const { backend, live } = attempt.candidate.state
    // A replay on a fresh connection belongs to the attempt it replays.
    if (!fresh) exchange.attempts += 1
    exchange.upstreamModel = attempt.model
    exchange.clock.bound(exchange.started, backend.limits.totalMs)
    const { model } = attempt
    const ticket = new Ticket(live, model, performance.now(), (turn) => accounting.turned(backend.name, model, turn))
    run.ticket = ticket
    let answer: Answer
    try {
      answer = await upstream.call({
        backend,
        endpoint: exchange.endpoint,
        body: attempt.model === plan.requested ? raw : replaceModel(raw, attempt.model),
        clientHeaders: exchange.request.headers,
        requestId: exchange.id,
        stream: exchange.stream,
        clock: exchange.clock,
        fresh,
        abort: run.abort
      })
    } catch (thrown) {
      const error = classify(thrown, false)
      if (exchange.gone) return undefined
      exchange.failures.push({ backend: backend.name, model: attempt.model, reason: reasonOf(error) })
      const mayRetry = budgetLeft()
      const judged = verdict(error, {
        retriesLeft,
        freshTried: fresh || upstream.knowsFresh(backend),
        ownKey: !backend.forwardAuthorization,
        budgetLeft: mayRetry,
        lostBefore
      })
      const spent = retriesLeft > 0 && !mayRetry && judged.next === "fail"
      last = { error, attempt, pass: judged.next === "pass" || isRateLimit(error), spent }
      settle(run, registry, error, backend.name, judged.blame)
      if (judged.next === "pass" || judged.next === "fail") return last
      run.abort = new Abort()
      fresh = judged.next === "retry-fresh"
      if (fresh) continue
      if (error._tag === "ConnectionLost") lostBefore += 1
      retriesLeft -= 1
      run.retrying = true
      // The same candidate is asked again only when there is no other.
      attempt = plan.next(performance.now()) ?? (judged.again ? attempt : undefined)
      continue
    }
    await run.deliver(attempt, answer, ticket)
    return undefined
  }
  return last
}

/** Takes a request from its body to the end of its answer; gives what the gateway itself refuses it for. */
export const forward = async (forwarding: Forwarding, run: Run): Promise<GatewayError | undefined> => {
  const { exchange } = run
  const { registry, router, accounting } = forwarding
  const body = await readBody(exchange.request, exchange.clock, forwarding.maxBodyBytes, forwarding.uploadMs)
  if (!(body instanceof Uint8Array)) return body
  const read = readNeeds(exchange.endpoint, body)
  if (Result.isFailure(read)) return read.failure
  const needs = read.success
  exchange.model = needs.model
  exchange.stream = needs.stream
  const plan = router.route(needs, registry.snapshot(), performance.now())
  if (Result.isFailure(plan)) return plan.failure
  accounting.routed(exchange, plan.success)
  const left = await attemptAll(forwarding, run, plan.success, body)
  if (left !== undefined) answerFailure(run, left)
  return undefined
}
