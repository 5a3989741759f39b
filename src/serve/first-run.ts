/**
 * What `nexus setup` does beside its file: looks for servers, and tries a config out with one request.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { parseBoundedJson } from "../domain/bounded-json.ts"
import { defaultLimits } from "../config/compile.ts"
import type { HostEntry } from "../config/hosts.ts"
import { type ConfigInvalid, readConfig, readConfigText } from "../config/NexusConfig.ts"
import type { BackendType } from "../backend/all.ts"
import { connectFailure } from "../doctor/reachability.ts"
import { findOnce } from "../discovery/Discovery.ts"
import { makeProbe } from "../health/probe.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import { Transport } from "../upstream/Transport.ts"
import { gatewayUrl } from "../http/address.ts"
import { askHealth } from "../remote/gateway-client.ts"
import { localBackends } from "../remote/local-backends.ts"
import { probed, start } from "./start.ts"
import { withTransport } from "../remote/target.ts"

/** A server that was found, with the names of its models. */
export interface FoundServer {
  readonly name: string
  readonly url: string
  readonly type: BackendType
  readonly models: ReadonlyArray<string>
}

const probeMs = 5000

const probesAtATime = 16

/** Looks once at this machine and at these, and asks what answers for its models. */
export const findServers = (
  hosts: ReadonlyArray<HostEntry>
): Effect.Effect<ReadonlyArray<FoundServer>, ConfigInvalid> =>
  withTransport(
    Effect.gen(function* () {
      const transport = yield* Transport
      const { loaded } = yield* readConfigText(undefined, {})
      const found = yield* findOnce({ limits: defaultLimits(loaded.settings), ownPort: undefined, hosts })
      return yield* Effect.forEach(
        found,
        (backend) =>
          makeProbe(transport, backend, () => probeMs).pipe(
            Effect.flatten,
            Effect.map((outcome) => ({
              name: backend.name,
              url: backend.url,
              type: backend.type,
              models: outcome._tag === "Up" ? (outcome.models ?? []).map(({ id }) => id) : []
            }))
          ),
        { concurrency: probesAtATime }
      )
    })
  )

const firstPort = 8000

const mostPorts = 20

/** Where a new gateway can listen: the wanted port, or the first that no other program has; one that has a gateway is kept. */
export const freePlaceFor = (wanted: number | undefined) =>
  withTransport(
    Effect.gen(function* () {
      const first = wanted ?? firstPort
      for (let port = first; port < first + (wanted === undefined ? mostPorts : 1); port += 1) {
        const taken = port === first ? undefined : first
        const closed = yield* connectFailure("127.0.0.1", port, probeMs)
        if (closed !== undefined) return { port, taken, runs: false }
        const health = askHealth({ url: gatewayUrl("127.0.0.1", port), key: undefined })
        const runs = yield* health.pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.succeed(error._tag === "GatewayRefused"))
        )
        if (runs) return { port, taken, runs }
      }
      return { port: first, taken: undefined, runs: false }
    })
  )

/** What became of the one request. */
export type TrialOutcome =
  | { readonly _tag: "Answered"; readonly backend: string; readonly ms: number; readonly words: string }
  | { readonly _tag: "Failed"; readonly reason: string }

/** A gateway over a config that is tried out. */
export interface Trial {
  /** The backends, each looked at. */
  readonly backends: ReadonlyArray<BackendEntry>
  /** Asks a model one thing; `isBrief` limits the answer in a way that not every server takes. */
  readonly request: (model: string, isBrief: boolean) => Effect.Effect<TrialOutcome>
}

// On a port of its own, in silence, whatever the file says of both.
const overrides = {
  server: { host: "127.0.0.1", port: 0, workers: 1 },
  logging: { level: "error" }
}

/** Backends that have not answered until then are told of as they stand, in milliseconds. */
const settleMs = 10_000

const answerMs = 300_000

const Answer = Schema.Struct({
  choices: Schema.Array(
    Schema.Struct({ message: Schema.Struct({ content: Schema.optionalKey(Schema.NullOr(Schema.String)) }) })
  )
})
const Refusal = Schema.Struct({ error: Schema.Struct({ message: Schema.String }) })

const decodeAnswer = Schema.decodeUnknownOption(Answer)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

/** Starts a gateway over the config of a file for as long as the scope. */
export const startTrial = Effect.fnUntraced(function* (file: string) {
  const from = { path: Option.some(file), overrides }
  const running = yield* start({ read: yield* readConfig(from), from }, false)
  const report = () => localBackends(running.snapshot())
  yield* probed(running.when, settleMs)
  const transport = yield* Transport
  const request: Trial["request"] = (model, isBrief) => {
    const began = performance.now()
    const body = {
      model,
      messages: [{ role: "user", content: "Say hello." }],
      ...(isBrief ? { max_tokens: 32 } : {})
    }
    return transport
      .ask({
        method: "POST",
        url: `${running.url}/v1/chat/completions`,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        timeoutMs: answerMs
      })
      .pipe(
        Effect.map(({ status, headers, text }): TrialOutcome => {
          const json = parseBoundedJson(text)
          const answer = Option.getOrUndefined(decodeAnswer(json))
          if (status === 200 && answer !== undefined) {
            const words = answer.choices[0]?.message.content ?? ""
            const backend = headers.get("x-nexus-backend") ?? ""
            return { _tag: "Answered", backend, ms: performance.now() - began, words }
          }
          const refusal = Option.getOrUndefined(decodeRefusal(json))
          return { _tag: "Failed", reason: refusal?.error.message ?? `status ${status}, and no answer of a model` }
        }),
        Effect.catch((error) =>
          Effect.succeed<TrialOutcome>({
            _tag: "Failed",
            reason: "reason" in error ? error.reason : "no answer in time"
          })
        )
      )
  }
  return { backends: report(), request } satisfies Trial
})
