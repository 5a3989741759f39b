/**
 * nexus health: whether the running gateway is well.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { CliError, Command } from "effect/cli"
import type { BackendEntry } from "../api/backend-entry.ts"
import type { GatewayHealth } from "../remote/gateway-client.ts"
import type { PingKind } from "../remote/ping.ts"
import type { SurveyOptions } from "../remote/target.ts"
import { reasonsOf } from "./backends/backends.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { duration, jsonText, shownTable } from "./output.ts"

const marks = { healthy: "✓", unhealthy: "✗", config_error: "✗", waking: "…", unknown: "?" } as const

const configWords = ({ generation, loaded_at, path, needs_restart, failure }: GatewayHealth["config"]): string =>
  [
    `${path ?? "no file"}, generation ${generation}, in force since ${DateTime.formatIso(DateTime.makeUnsafe(loaded_at))}`,
    ...(needs_restart.length === 0 ? [] : [`waiting for the next start: ${needs_restart.join(", ")}`]),
    ...(failure === null ? [] : [`last reload refused: ${failure.message.replaceAll("\n", "; ")}`])
  ].join("; ")

const toText = (health: GatewayHealth, version: string, backends: ReadonlyArray<BackendEntry>): string =>
  [
    shownTable(
      ["Status:", health.status],
      [
        ["Version:", version],
        ["Uptime:", duration(health.uptime_seconds)],
        ["Backends:", `${health.backends.healthy}/${health.backends.total} healthy`],
        ["Models:", String(health.models)],
        ["Config:", configWords(health.config)]
      ]
    ),
    ...(backends.length === 0
      ? []
      : [
          "",
          shownTable(
            ["", "Backend", "Status", "Reason"],
            backends.map((entry) => [
              entry.mode === "enabled" ? marks[entry.status] : "-",
              entry.name,
              entry.mode === "enabled" ? entry.status : entry.mode,
              reasonsOf(entry)
            ]),
            2
          )
        ])
  ].join("\n")

const live = flags.onOff("live", "Ask only whether it runs; needs no key")
const ready = flags.onOff("ready", "Ask only whether it can route; needs no key")

const takePulse = Effect.fnUntraced(function* (options: SurveyOptions, asked: PingKind, asJson: boolean) {
  const { ping } = yield* Effect.promise(() => import("../remote/ping.ts"))
  const say = (status: string, reason?: string) =>
    Console.log(asJson ? jsonText({ status, ...(reason === undefined ? {} : { reason }) }) : status)
  yield* ping(options, asked).pipe(Effect.tapError((error) => (asJson ? say("unknown", error.message) : Effect.void)))
  yield* say(asked === "livez" ? "alive" : "ready")
})

/** The command; it fails unless the gateway is healthy. */
export const healthCommand = Command.make(
  "health",
  { json: flags.json, live, ready, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    if (input.live && input.ready) {
      return yield* new CliError.ValidationError({ message: "Give either --live or --ready" })
    }
    if (input.live || input.ready) return yield* takePulse(options, input.ready ? "readyz" : "livez", input.json)
    const { inspectGateway } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const asked = inspectGateway(options)
    const { url, health, version, backends } = yield* input.json
      ? Effect.tapError(asked, (error) => Console.log(jsonText({ status: "unknown", reason: error.message })))
      : asked
    const { status, uptime_seconds, backends: counts, models, config } = health
    yield* Console.log(
      input.json
        ? jsonText({ status, version, uptime_seconds, backends: counts, models: { total: models }, config })
        : toText(health, version, backends)
    )
    if (status !== "healthy") return yield* new CliFailure({ message: `The gateway at ${url} is ${status}` })
  })
).pipe(
  Command.withDescription("Show the health of the running gateway; exit code 0 when it is healthy, 1 otherwise"),
  Command.withExamples([
    { command: "nexus health" },
    { command: "nexus health --json" },
    { command: "nexus health --live" }
  ])
)
