/**
 * The shortest questions to a running gateway, which it answers without a key.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Transport } from "../upstream/Transport.ts"
import { type GatewayAddress, NoGateway, notNexus } from "./gateway-client.ts"
import { askGateway, targetWithoutKey, type SurveyOptions, withTransport } from "./target.ts"

/** The gateway answers, and cannot route now. */
export class NotReady extends Data.TaggedError("NotReady")<{ readonly url: string; readonly reason: string }> {
  override get message(): string {
    return `The gateway at ${this.url} is not ready: ${this.reason}`
  }
}

/** What is asked: whether it runs, or whether it can route. */
export type PingKind = "livez" | "readyz"

// Who asks this does so often, and takes no answer for a bad one.
const timeoutMs = 2000

const decodeReason = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ reason: Schema.String })))

const askFor = (asked: PingKind) =>
  Effect.fnUntraced(function* ({ url }: GatewayAddress) {
    const transport = yield* Transport
    const { status, headers, text } = yield* transport
      .ask({ method: "GET", url: `${url}/${asked}`, headers: {}, timeoutMs })
      .pipe(
        Effect.mapError(
          (error) => new NoGateway({ url, reason: "reason" in error ? error.reason : "no answer in time" })
        )
      )
    if (!headers.has("x-nexus-version")) {
      return yield* new NoGateway({ url, reason: notNexus })
    }
    if (status === 200) return
    const reason = Option.match(decodeReason(text), {
      onNone: () => `status ${status}`,
      onSome: (said) => said.reason
    })
    return yield* new NotReady({ url, reason })
  })

/** Asks the gateway of the config, whatever is wrong with that; fails unless the answer is good. */
export const ping = (options: SurveyOptions, asked: PingKind): Effect.Effect<void, NoGateway | NotReady> =>
  withTransport(Effect.flatMap(targetWithoutKey(options), (target) => askGateway(target, askFor(asked))))
