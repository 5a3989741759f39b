/**
 * Has a running gateway load, unload or get a model, and hears how far it is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ModelActionEvent } from "../api/lifecycle-api.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type GatewayAddress, NoGateway, type NotDone, notNexus, Unanswerable } from "./gateway-client.ts"
import { openLines } from "./open-lines.ts"

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(ModelActionEvent))

/** Asks for it; `each` is told how far it is, the end included, whichever that is. */
export const askModelAction = (
  asked: GatewayAddress,
  action: ModelActionEvent["action"],
  target: { readonly model: string; readonly backend?: string },
  each: (event: ModelActionEvent) => Effect.Effect<void>
): Effect.Effect<void, NotDone, Transport> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { lines, url } = yield* openLines(asked, {
        method: "POST",
        url: `/admin/v1/models/${action}`,
        body: JSON.stringify(target)
      })
      let ended = false
      yield* lines.pipe(
        Stream.filter((line) => line.trim() !== ""),
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
