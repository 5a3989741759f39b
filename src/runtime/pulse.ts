/**
 * The shortest questions to a running gateway, which it answers without a key.
 */
import { Data, Effect, Option, Schema } from "effect"
import type { ConfigInvalid } from "../config/NexusConfig.ts"
import { Transport } from "../upstream/Transport.ts"
import { NoGateway } from "./client.ts"
import { atGateway, type SurveyOptions } from "./target.ts"

/** The gateway answers, and cannot route now. */
export class NotReady extends Data.TaggedError("NotReady")<{ readonly url: string; readonly reason: string }> {
  override get message(): string {
    return `The gateway at ${this.url} is not ready: ${this.reason}`
  }
}

/** What is asked: whether it runs, or whether it can route. */
export type Pulse = "livez" | "readyz"

// Who asks this does so often, and takes no answer for a bad one.
const timeoutMs = 2000

const decodeReason = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ reason: Schema.String })))

/** Asks the gateway of the config; fails unless the answer is good. */
export const pulse = (
  options: SurveyOptions,
  asked: Pulse
): Effect.Effect<void, ConfigInvalid | NoGateway | NotReady> =>
  atGateway(
    options,
    Effect.fnUntraced(function* ({ url }) {
      const transport = yield* Transport
      const { status, headers, text } = yield* transport
        .ask({ method: "GET", url: `${url}/${asked}`, headers: {}, timeoutMs })
        .pipe(
          Effect.mapError(
            (error) => new NoGateway({ url, reason: "reason" in error ? error.reason : "no answer in time" })
          )
        )
      if (!headers.has("x-nexus-version")) {
        return yield* new NoGateway({ url, reason: "what answers there is not Nexus" })
      }
      if (status === 200) return
      const reason = Option.match(decodeReason(text), {
        onNone: () => `status ${status}`,
        onSome: (said) => said.reason
      })
      return yield* new NotReady({ url, reason })
    })
  )
