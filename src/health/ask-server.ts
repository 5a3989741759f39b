/**
 * Asking one backend short questions: what an answer means for its health before anything in it is read.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { kindNamed } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { TlsFault, UpstreamError } from "../domain/upstream-errors.ts"
import { reachOf } from "../upstream/perimeter.ts"
import { prepareBackend, userAgentOf } from "../upstream/endpoint.ts"
import { tlsUnreachable, speaksTls } from "../wire/tls.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type ParsedAnswer, ProbeEnd } from "../backend/talk.ts"
import { decodeJson } from "../backend/lenient.ts"
import { isLoading } from "../backend/fingerprint.ts"

/** A question below the backend's base URL; with a `body` it is a POST. */
export interface ServerQuestion {
  readonly path: string
  /** Where what is below `/v1` is looked for; where the base URL says when it is absent. */
  readonly apiPath?: ApiPath
  readonly body?: unknown
  /** Time for the answer, in milliseconds. */
  readonly timeoutMs: number
  /** True asks over a new connection. */
  readonly fresh?: boolean
}

/** Model lists larger than this are refused, in bytes. */
const maxBytes = 32 * 1024 * 1024

const down = (reason: string) => new ProbeEnd({ outcome: { _tag: "Down", reason } })

const seconds = (ms: number): string => `${Number((ms / 1000).toFixed(2))} s`

/** Words for an error that hold no address. */
const wordsFor = (error: UpstreamError): string =>
  error._tag === "TimedOut"
    ? `no answer within ${seconds(error.afterMs)}`
    : error._tag === "ErrorStatus"
      ? `answered with status ${error.status}`
      : error.reason

// nginx, Apache and servers in Go tell by a page with status 400 what other servers tell by the handshake.
const pages: ReadonlyArray<readonly [page: RegExp, fault: TlsFault]> = [
  [/No required SSL certificate was sent/i, "client_wanted"],
  [/The SSL certificate error/i, "client_refused"],
  [/plain HTTP request was sent to HTTPS port/i, "tls_here"],
  [/speaking plain HTTP to an SSL-enabled server/i, "tls_here"],
  [/sent an HTTP request to an HTTPS server/i, "tls_here"]
]

const pageBytes = 4096

const tlsIn = (text: string): TlsFault | undefined => {
  const page = text.slice(0, pageBytes)
  return pages.find(([words]) => words.test(page))?.[1]
}

/** Asks with the backend's own key and nothing else of value; any status is an answer. */
export const askServer = (
  transport: Transport["Service"],
  backend: Backend,
  question: ServerQuestion
): Effect.Effect<ParsedAnswer, UpstreamError> => {
  const { authHeaders, trust } = prepareBackend(backend)
  return Effect.map(
    transport.ask({
      method: question.body === undefined ? "GET" : "POST",
      url: kindNamed(backend.type).url(backend, question.path, question.apiPath ?? backend.apiPath ?? "/v1"),
      headers: {
        accept: "application/json",
        "user-agent": userAgentOf(backend),
        ...(question.body === undefined ? {} : { "content-type": "application/json" }),
        ...authHeaders
      },
      ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
      ...(trust === undefined ? {} : { trust }),
      reach: reachOf(backend),
      timeoutMs: question.timeoutMs,
      fresh: question.fresh === true,
      maxBytes
    }),
    ({ status, headers, text }) => {
      const fault = status === 400 ? tlsIn(text) : undefined
      const body = Option.getOrUndefined(decodeJson(text))
      const answer = { status, headers, body, ...(body === undefined ? { text } : {}) }
      return fault === undefined ? answer : { ...answer, fault }
    }
  )
}

/** What a status says of the backend's health; undefined when the answer may be read on. */
const verdictOf = (backend: Backend, answer: ParsedAnswer): ProbeEnd | undefined => {
  const { fault, status } = answer
  if (fault !== undefined) return down(tlsUnreachable(fault).reason)
  if (status === 401 || status === 403) {
    const reason =
      backend.apiKey === undefined
        ? `asks for a key, and none is configured (status ${status})`
        : `refuses the key it is given (status ${status})`
    return new ProbeEnd({ outcome: { _tag: "Refused", reason } })
  }
  if (status === 503 && isLoading(answer.body)) return down("loading model")
  if (status >= 500 && status !== 501) return down(`answered with status ${status}`)
  if (status >= 300 && status < 400) return down(`answered with a redirect (status ${status})`)
  return undefined
}

const lookMs = 1000

// Whether a port speaks TLS is told by asking it so, without the key: a TLS server ends plain requests without a word, and
// many a plain one waits without end for the rest of a TLS greeting.
const faultOf = (
  transport: Transport["Service"],
  backend: Backend,
  timeoutMs: number
): Effect.Effect<TlsFault | undefined> => {
  const { url } = backend
  const secure = /^https:/i.test(url)
  const other = secure ? url.replace(/^https:/i, "http:") : url.replace(/^http:/i, "https:")
  const asked = {
    method: "GET",
    url: `${other}/v1/models`,
    headers: { "user-agent": userAgentOf(backend) },
    reach: reachOf(backend),
    timeoutMs: Math.min(timeoutMs, lookMs)
  } as const
  return Effect.match(transport.ask(asked), {
    onSuccess: () => (secure ? "not_tls" : "tls_here"),
    onFailure: (error) =>
      !secure && error._tag === "Unreachable" && speaksTls(error.tls) ? ("tls_here" as const) : undefined
  })
}

const orFault =
  (transport: Transport["Service"], backend: Backend, { timeoutMs }: ServerQuestion) =>
  (error: UpstreamError): Effect.Effect<never, ProbeEnd> => {
    const open = error._tag === "ConnectionLost" || error._tag === "BadAnswer"
    const fault = open && /^http:/i.test(backend.url) ? faultOf(transport, backend, timeoutMs) : Effect.undefined
    return Effect.flatMap(fault, (found) =>
      Effect.fail(down(found === undefined ? wordsFor(error) : tlsUnreachable(found).reason))
    )
  }

/** Fails when a port that keeps silent to a TLS greeting answers plain http; waits without end otherwise. */
const silentOne = (transport: Transport["Service"], backend: Backend, { timeoutMs }: ServerQuestion) =>
  Effect.sleep(timeoutMs / 2).pipe(
    Effect.andThen(faultOf(transport, backend, timeoutMs / 4)),
    Effect.flatMap((fault) => (fault === undefined ? Effect.never : Effect.fail(down(tlsUnreachable(fault).reason))))
  )

/** A question the probe depends on: no answer, or one that speaks against the backend, ends the probe. */
export const askRequired = (
  transport: Transport["Service"],
  backend: Backend,
  question: ServerQuestion
): Effect.Effect<ParsedAnswer, ProbeEnd> =>
  askServer(transport, backend, question).pipe(
    Effect.catch(orFault(transport, backend, question)),
    (asked) =>
      question.fresh === true && /^https:/i.test(backend.url)
        ? Effect.raceFirst(asked, silentOne(transport, backend, question))
        : asked,
    Effect.filterOrFail(
      (answer) => verdictOf(backend, answer) === undefined,
      (answer) => verdictOf(backend, answer) ?? down("no verdict")
    )
  )

/** The answer to a question, whatever its status; undefined where there is none. */
export const askAnything = (
  transport: Transport["Service"],
  backend: Backend,
  question: ServerQuestion
): Effect.Effect<ParsedAnswer | undefined> =>
  Effect.orElseSucceed(askServer(transport, backend, question), () => undefined)

/** A question that only adds to what is known: undefined unless it was answered with a 2xx. */
export const askOptional = (
  transport: Transport["Service"],
  backend: Backend,
  question: ServerQuestion
): Effect.Effect<ParsedAnswer | undefined> =>
  askServer(transport, backend, question).pipe(
    Effect.map((answer) => (answer.status >= 200 && answer.status < 300 ? answer : undefined)),
    Effect.orElseSucceed(() => undefined)
  )
