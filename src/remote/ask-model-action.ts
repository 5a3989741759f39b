/**
 * Has a running gateway load, unload or get a model, and hears how far it is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ModelActionEvent } from "../api/lifecycle-api.ts"
import { Refusal } from "../api/refusal.ts"
import { type OpenAnswer, openAnswer, type OpenQuestion } from "../upstream/open-answer.ts"
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

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(ModelActionEvent))
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
    Stream.splitLines,
    Stream.filter((line) => line.trim() !== "")
  )

const gone = (reason: string) => ({ reason })

/** Asks for it; `each` is told how far it is, the end included, whichever that is. */
export const askModelAction = (
  asked: GatewayAddress,
  action: ModelActionEvent["action"],
  target: { readonly model: string; readonly backend?: string },
  each: (event: ModelActionEvent) => Effect.Effect<void>
): Effect.Effect<void, NotDone, Transport> => {
  const address = { ...asked, ...asked.admin }
  const { key, keyFrom, url } = address
  const lost = (error: object) =>
    new NoGateway({ url, reason: "reason" in error ? String(error.reason) : "no answer in time" })
  return Effect.scoped(
    Effect.gen(function* () {
      const answer = yield* opened(address, {
        method: "POST",
        url: `/admin/v1/models/${action}`,
        headers: {
          "content-type": "application/json",
          ...(key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` })
        },
        body: JSON.stringify(target),
        connectMs
      }).pipe(Effect.mapError(lost))
      if (answer.status !== 200) {
        const text = yield* linesOf(answer).pipe(Stream.mkString, Effect.mapError(lost))
        const told = Option.getOrUndefined(decodeRefusal(text))
        if (answer.status === 401 || answer.status === 403)
          return yield* new GatewayRefused({ url, status: answer.status, keyFrom })
        return yield* told === undefined
          ? new NoGateway({ url, reason: notNexus })
          : new Unanswerable({ message: told.error.message })
      }
      let ended = false
      yield* linesOf(answer).pipe(
        Stream.mapError(lost),
        Stream.runForEach((line): Effect.Effect<void, NotDone> => {
          const event = Option.getOrUndefined(decodeEvent(line))
          if (event === undefined) return Effect.fail(new NoGateway({ url, reason: notNexus }))
          ended = event.done === true || event.error !== undefined
          const failed = event.error === undefined ? Effect.void : Effect.fail(new Unanswerable(event.error))
          return Effect.andThen(each(event), failed)
        })
      )
      if (!ended) return yield* new NoGateway({ url, reason: "it has gone before the end" })
    })
  )
}
