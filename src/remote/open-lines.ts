/**
 * A question to a running gateway whose answer is read line by line, as it comes.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Refusal } from "../api/refusal.ts"
import { type OpenAnswer, openAnswer, type OpenQuestion } from "../upstream/open-answer.ts"
import { printable } from "../domain/printable.ts"
import { Transport } from "../upstream/Transport.ts"
import {
  type GatewayAddress,
  GatewayRefused,
  NoGateway,
  type NotDone,
  notNexus,
  Unanswerable
} from "./gateway-client.ts"

const connectMs = 5000

const decodeRefusal = Schema.decodeUnknownOption(Schema.fromJsonString(Refusal))

// Whoever keeps silent for longer than this is gone: the gateway says something every ten seconds.
const silentMs = 60_000

const opened = ({ socket, url }: GatewayAddress, question: OpenQuestion) =>
  socket === undefined
    ? Effect.flatMap(Transport, (transport) => openAnswer(transport, { ...question, url: url + question.url }))
    : Effect.flatMap(
        Effect.promise(() => import("../upstream/ask-socket.ts")),
        ({ openOverSocket }) => openOverSocket(question, socket)
      )

const linesOf = ({ pieces }: OpenAnswer) =>
  pieces.pipe(
    Stream.timeoutOrElse({ duration: silentMs, orElse: () => Stream.fail(gone("it has gone silent")) }),
    Stream.decodeText,
    Stream.splitLines
  )

const gone = (reason: string) => ({ reason })

/** Asks where the gateway is administered; gives the lines of a good answer, empty ones included. */
export const openLines = Effect.fnUntraced(function* (
  asked: GatewayAddress,
  question: Pick<OpenQuestion, "method" | "url" | "body">
): Effect.fn.Return<
  { readonly url: string; readonly lines: Stream.Stream<string, NoGateway> },
  NotDone,
  Scope.Scope | Transport
> {
  const address = { ...asked, ...asked.admin }
  const { key, keyFrom, url } = address
  const lost = (error: object) =>
    new NoGateway({ url, reason: "reason" in error ? String(error.reason) : "no answer in time" })
  const answer = yield* opened(address, {
    ...question,
    headers: {
      ...(question.body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` })
    },
    connectMs
  }).pipe(Effect.mapError(lost))
  if (answer.status === 200) return { url, lines: Stream.mapError(linesOf(answer), lost) }
  const text = yield* linesOf(answer).pipe(Stream.mkString, Effect.mapError(lost))
  const told = Option.getOrUndefined(decodeRefusal(text))
  if (answer.status === 401 || answer.status === 403)
    return yield* new GatewayRefused({
      url,
      status: answer.status,
      keyFrom,
      words: told === undefined ? undefined : printable(told.error.message)
    })
  return yield* told === undefined
    ? new NoGateway({ url, reason: notNexus })
    : new Unanswerable({ message: told.error.message })
})
