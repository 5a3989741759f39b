/**
 * Follows what changes in a running gateway.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type LiveEvent, liveEvents } from "../api/events-api.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type GatewayAddress, NoGateway, type NotDone, notNexus } from "./gateway-client.ts"
import { openLines } from "./open-lines.ts"

/** An event with the id by which it can be gone on from. */
export type FollowedEvent = LiveEvent & { readonly id: string }

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Calls `each` with every event until the gateway ends, which is a failure; `after` is the id of the last one that is known. */
export const followEvents = (
  asked: GatewayAddress,
  after: string | undefined,
  each: (event: FollowedEvent) => Effect.Effect<void>
): Effect.Effect<never, NotDone, Transport> =>
  Effect.scoped(
    Effect.gen(function* () {
      const query = after === undefined ? "" : `?after=${encodeURIComponent(after)}`
      const { lines, url } = yield* openLines(asked, { method: "GET", url: `/admin/v1/events${query}` })
      const fields = { id: "", event: "", data: "" }
      yield* lines.pipe(
        Stream.runForEach((line): Effect.Effect<void, NotDone> => {
          const field = /^(id|event|data): (.*)$/.exec(line)
          if (field !== null) {
            const [, key = "", value = ""] = field
            if (key === "id" || key === "event" || key === "data") fields[key] = value
            return Effect.void
          }
          if (line !== "" || fields.event === "") return Effect.void
          const { event, id } = fields
          const data = decodeJson(fields.data)
          fields.event = ""
          if (!Object.hasOwn(liveEvents, event) || Option.isNone(data))
            return Effect.fail(new NoGateway({ url, reason: notNexus }))
          return each({ id, event, data: data.value } as FollowedEvent) // reason: the contract says what an event of this name tells
        })
      )
      return yield* new NoGateway({ url, reason: "it has ended" })
    })
  )
