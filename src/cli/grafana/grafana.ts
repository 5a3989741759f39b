/**
 * nexus grafana: a dashboard for Grafana and alert rules for Prometheus, of the metrics of this version.
 */
import { join } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { Command, Flag } from "effect/cli"
import { CliFailure } from "../exit-failure.ts"
import * as flags from "../flags.ts"

const names = { dashboard: "nexus-dashboard.json", alerts: "nexus-alerts.yaml" } as const

const output = Flag.String("output").pipe(
  Flag.withAlias("o"),
  Flag.withMetavar("DIRECTORY"),
  Flag.withDescription("Where they are written; made where it is not there"),
  Flag.withDefault(".")
)

const force = flags.onOff("force", "Write over files that are there")

/** The command. */
export const grafanaCommand = Command.make(
  "grafana",
  { output, force },
  Effect.fnUntraced(function* (input) {
    const fs = yield* FileSystem.FileSystem
    const { default: files } = yield* Effect.promise(() => import("./files.json"))
    const texts = [
      [names.dashboard, `${JSON.stringify(files.dashboard, undefined, 2)}\n`],
      [names.alerts, files.alerts.join("\n")]
    ] as const
    yield* Effect.mapError(
      fs.makeDirectory(input.output, { recursive: true }),
      () => new CliFailure({ message: `${input.output} is no directory, and cannot be made one` })
    )
    for (const [name, text] of texts) {
      const path = join(input.output, name)
      yield* fs.writeFileString(path, text, { flag: input.force ? "w" : "wx" }).pipe(
        Effect.mapError(
          ({ reason }) =>
            new CliFailure({
              message:
                reason._tag === "AlreadyExists"
                  ? `${path} is there already; --force writes over it`
                  : `${path} cannot be written: the system refuses`
            })
        )
      )
      yield* Console.log(`Wrote ${path}.`)
    }
    yield* Console.log(
      `Next: Dashboards, New, Import in Grafana takes ${names.dashboard}; rule_files in prometheus.yml names ${names.alerts}.`
    )
  })
).pipe(
  Command.withDescription("Write a dashboard for Grafana and alert rules for Prometheus"),
  Command.withExamples([{ command: "nexus grafana" }, { command: "nexus grafana -o monitoring --force" }])
)
