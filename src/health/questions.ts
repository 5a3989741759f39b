/**
 * Asking one backend short questions: what an answer means for its health before anything in it is read.
 */
import { Data, Effect, Option, Redacted } from "effect"
import type { Backend } from "../domain/backend.ts"
import type { ProbeOutcome } from "../domain/health.ts"
import type { UpstreamError } from "../domain/upstream.ts"
import type { Transport } from "../upstream/Transport.ts"
import { parseJson } from "./lenient.ts"
import { isLoading } from "./llamacpp.ts"

/** An answer whose body has been parsed; undefined when it is no JSON. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

/** Ends a probe early with what is then known. */
export class Verdict extends Data.TaggedError("Verdict")<{ readonly outcome: ProbeOutcome }> {}

/** A question below the backend's base URL; with a `body` it is a POST. */
export interface Question {
  readonly path: string
  readonly body?: unknown
  /** Time for the answer, in milliseconds. */
  readonly timeoutMs: number
}

/** Model lists larger than this are refused, in bytes. */
const maxBytes = 32 * 1024 * 1024

const down = (reason: string) => new Verdict({ outcome: { _tag: "Down", reason } })

const seconds = (ms: number): string => `${Number((ms / 1000).toFixed(2))} s`

/** Words for an error that hold no address. */
const wordsFor = (error: UpstreamError): string =>
  error._tag === "TimedOut"
    ? `no answer within ${seconds(error.afterMs)}`
    : error._tag === "ErrorStatus"
      ? `answered with status ${error.status}`
      : error.reason

/** Asks with the backend's own key and nothing else of value; any status is an answer. */
export const ask = (
  transport: Transport["Service"],
  backend: Backend,
  question: Question
): Effect.Effect<Answer, UpstreamError> =>
  Effect.map(
    transport.ask({
      method: question.body === undefined ? "GET" : "POST",
      url: backend.url + question.path,
      headers: {
        accept: "application/json",
        ...(question.body === undefined ? {} : { "content-type": "application/json" }),
        ...(backend.apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(backend.apiKey)}` })
      },
      ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
      timeoutMs: question.timeoutMs,
      maxBytes
    }),
    ({ status, headers, text }) => ({ status, headers, body: Option.getOrUndefined(parseJson(text)) })
  )

/** What a status says of the backend's health; undefined when the answer may be read on. */
const verdictOf = (backend: Backend, answer: Answer): Verdict | undefined => {
  const { status } = answer
  if (status === 401 || status === 403) {
    const reason =
      backend.apiKey === undefined
        ? `asks for a key, and none is configured (status ${status})`
        : `refuses the key it is given (status ${status})`
    return new Verdict({ outcome: { _tag: "Refused", reason } })
  }
  if (status === 503 && isLoading(answer.body)) return down("loading model")
  if (status >= 500 && status !== 501) return down(`answered with status ${status}`)
  if (status >= 300 && status < 400) return down(`answered with a redirect (status ${status})`)
  return undefined
}

/** A question the probe depends on: no answer, or one that speaks against the backend, ends the probe. */
export const need = (
  transport: Transport["Service"],
  backend: Backend,
  question: Question
): Effect.Effect<Answer, Verdict> =>
  ask(transport, backend, question).pipe(
    Effect.mapError((error) => down(wordsFor(error))),
    Effect.filterOrFail(
      (answer) => verdictOf(backend, answer) === undefined,
      (answer) => verdictOf(backend, answer) ?? down("no verdict")
    )
  )

/** A question that only adds to what is known: undefined unless it was answered with a 2xx. */
export const want = (
  transport: Transport["Service"],
  backend: Backend,
  question: Question
): Effect.Effect<Answer | undefined> =>
  ask(transport, backend, question).pipe(
    Effect.map((answer) => (answer.status >= 200 && answer.status < 300 ? answer : undefined)),
    Effect.orElseSucceed(() => undefined)
  )
