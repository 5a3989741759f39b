/**
 * The means by which a kind has something done by one of its servers: calls without an end in time, but none without a word.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { kindNamed } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import { decodeJson } from "../backend/lenient.ts"
import { ActionFailed, type ActionQuestion, type Errand } from "../backend/model-actions.ts"
import type { ParsedAnswer } from "../backend/talk.ts"
import type { ApiPath } from "../domain/base-url.ts"
import { parseBoundedJson } from "../domain/bounded-json.ts"
import { TimedOut, type UpstreamError } from "../domain/upstream-errors.ts"
import { type OpenAnswer, openAnswer, type OpenQuestion } from "../upstream/open-answer.ts"
import { reachOf } from "../upstream/perimeter.ts"
import { prepareBackend, userAgentOf } from "../upstream/endpoint.ts"
import type { Transport } from "../upstream/Transport.ts"

/** Longest silence of a server that loads or gets a model, in milliseconds. */
const silentMs = 30 * 60_000

// Of a whole answer, and of one line.
const mostBytes = 4 * 1024 * 1024

const tooLarge = new ActionFailed({ fault: "refused", reason: "its answer is too large" })

const unreachable = (error: UpstreamError): ActionFailed => {
  if (error._tag === "TimedOut") {
    const after = `${Math.round(error.afterMs / 1000)} s`
    const reason = error.limit === "connect" ? `no connection within ${after}` : `no word for ${after}`
    return new ActionFailed({ fault: "unreachable", reason })
  }
  const reason = error._tag === "ErrorStatus" ? `answered with status ${error.status}` : error.reason
  return new ActionFailed({ fault: "unreachable", reason })
}

const questionFor = (backend: Backend, shown: ApiPath | undefined, { body, path }: ActionQuestion): OpenQuestion => {
  const { authHeaders, trust } = prepareBackend(backend)
  const { connectMs } = backend.limits
  return {
    method: body === undefined ? "GET" : "POST",
    url: kindNamed(backend.type).url(backend, path, shown ?? backend.apiPath ?? "/v1"),
    headers: {
      accept: "*/*",
      "user-agent": userAgentOf(backend),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...authHeaders
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    trust,
    reach: reachOf(backend),
    connectMs: connectMs > 0 ? connectMs : 30_000
  }
}

const pieces = ({ pieces: all }: OpenAnswer): Stream.Stream<Uint8Array, ActionFailed> =>
  all.pipe(
    Stream.timeoutOrElse({
      duration: silentMs,
      orElse: () => Stream.fail(new TimedOut({ limit: "idle", afterMs: silentMs }))
    }),
    Stream.mapError(unreachable)
  )

const wholeOf = (answer: OpenAnswer): Effect.Effect<ParsedAnswer, ActionFailed> => {
  const decoder = new TextDecoder()
  let text = ""
  return pieces(answer).pipe(
    Stream.runForEach((piece) => {
      text += decoder.decode(piece, { stream: true })
      return text.length > mostBytes ? Effect.fail(tooLarge) : Effect.void
    }),
    Effect.map(() => ({
      status: answer.status,
      headers: answer.headers,
      body: Option.getOrUndefined(decodeJson(text + decoder.decode()))
    }))
  )
}

/** Cuts text into lines, however it comes. */
const lineCutter = () => {
  const decoder = new TextDecoder()
  let rest = ""
  return {
    lines: (piece: Uint8Array): ReadonlyArray<string> => {
      const all = (rest + decoder.decode(piece, { stream: true })).split(/\r?\n/)
      rest = all.pop() ?? ""
      return all
    },
    rest: () => rest
  }
}

/** The value of a line: JSON as it is, or the data of an event. */
const valueOf = (line: string): unknown => parseBoundedJson(line.replace(/^data: ?/, ""))

const enough = Symbol("enough")

/** What a kind has to have something done by this backend; `tell` hears how far it is. */
export const errandTo = (
  transport: Transport["Service"],
  backend: Backend,
  shown: ApiPath | undefined,
  tell: Errand["tell"]
): Errand => {
  const open = (question: ActionQuestion) =>
    openAnswer(transport, questionFor(backend, shown, question)).pipe(
      Effect.timeoutOrElse({
        duration: silentMs,
        orElse: () => Effect.fail(new TimedOut({ limit: "first_byte", afterMs: silentMs }))
      }),
      Effect.mapError(unreachable)
    )
  const follow: Errand["follow"] = (question, each) =>
    Effect.scoped(
      Effect.gen(function* () {
        const answer = yield* open(question)
        if (answer.status >= 300) return yield* wholeOf(answer)
        const cutter = lineCutter()
        const take = (line: string) => {
          const value = valueOf(line)
          return value === undefined ? Effect.succeed(false) : each(value)
        }
        const all = pieces(answer).pipe(
          Stream.runForEach((piece) =>
            Effect.gen(function* () {
              for (const line of cutter.lines(piece)) if (yield* take(line)) return yield* Effect.fail(enough)
              if (cutter.rest().length > mostBytes) return yield* tooLarge
            })
          ),
          Effect.andThen(Effect.suspend(() => take(cutter.rest())))
        )
        yield* Effect.catchIf(
          all,
          (error) => error === enough,
          () => Effect.void
        )
        return { status: answer.status, headers: answer.headers, body: undefined }
      })
    )
  return { tell, ask: (question) => Effect.scoped(Effect.flatMap(open(question), wholeOf)), follow }
}
