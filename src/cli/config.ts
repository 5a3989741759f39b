/**
 * nexus config: makes, checks and shows the settings.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { Command, Flag } from "effect/cli"
import example from "../../nexus.example.toml" with { type: "text" }
import { defaultFile, type LoadedConfig, readConfig } from "../config/NexusConfig.ts"
import { jsonSchema, configMarkdown } from "../config/reference.ts"
import { showValue } from "../config/path.ts"
import type { AllowedMissing } from "../config/secrets.ts"
import { shownSettings } from "../config/show.ts"
import { printable } from "../domain/printable.ts"
import { checkOwnFiles } from "../doctor/process-limits.ts"
import { CliFailure } from "./exit-failure.ts"
import { diff, reload } from "./reload.ts"
import * as flags from "./flags.ts"
import { importCommand } from "./import.ts"
import { jsonText, shownTable } from "./output.ts"

const output = Flag.String("output").pipe(
  Flag.withAlias("o"),
  Flag.withMetavar("FILE"),
  Flag.withDescription("File to write"),
  Flag.withDefault(defaultFile)
)

const force = flags.onOff("force", "Write over a file that is there").pipe(Flag.withAlias("f"))

const init = Command.make(
  "init",
  { output, force },
  Effect.fnUntraced(function* (input) {
    const fs = yield* FileSystem.FileSystem
    yield* fs.writeFileString(input.output, example, { flag: input.force ? "w" : "wx" }).pipe(
      Effect.mapError(
        ({ reason }) =>
          new CliFailure({
            message:
              reason._tag === "AlreadyExists"
                ? `${input.output} is there already; --force writes over it`
                : `${input.output} cannot be written: ${reason._tag === "NotFound" ? "there is no such directory" : "the system refuses"}`
          })
      )
    )
    yield* Console.log(`Wrote ${input.output}. Next: edit it, then \`nexus config check -c ${input.output}\`.`)
  })
).pipe(
  Command.withDescription("Write a commented nexus.toml"),
  Command.withExamples([{ command: "nexus config init" }, { command: "nexus config init -o other.toml --force" }])
)

const load = (path: Option.Option<string>, allowMissing: AllowedMissing) =>
  readConfig({ path, overrides: {}, allowMissing })

const tellNotes = ({ notes }: LoadedConfig) =>
  Effect.forEach(notes, (note) => Console.error(`note: ${printable(note)}`), { discard: true })

const check = Command.make(
  "check",
  { config: flags.config },
  Effect.fnUntraced(function* (input) {
    const { loaded } = yield* load(input.config, "none")
    for (const warning of loaded.warnings) yield* Console.error(`warning: ${printable(warning)}`)
    for (const { check: setting, seen, severity } of yield* checkOwnFiles(loaded)) {
      if (severity !== "ok") yield* Console.error(`warning: ${setting}: ${printable(seen)}`)
    }
    yield* tellNotes(loaded)
    const count = loaded.settings.backends.length
    const backends = `${count} backend${count === 1 ? "" : "s"}`
    yield* Console.log(`${loaded.path ?? "No config file, defaults"}: no mistakes, ${backends}`)
  })
).pipe(
  Command.withDescription("Say everything that is wrong with the settings, or that nothing is"),
  Command.withExamples([{ command: "nexus config check -c nexus.toml" }])
)

const show = Command.make(
  "show",
  { config: flags.config, json: flags.json },
  Effect.fnUntraced(function* (input) {
    const read = yield* load(input.config, "any")
    const settings = shownSettings(read)
    if (input.json) return yield* Console.log(jsonText({ settings }))
    yield* Console.log(
      shownTable(
        ["Key", "Value", "From"],
        settings.map(({ key, value, origin }) => [key, showValue(value), origin])
      )
    )
    for (const warning of read.loaded.warnings) yield* Console.error(`warning: ${printable(warning)}`)
    yield* tellNotes(read.loaded)
  })
).pipe(
  Command.withDescription("Show the settings in force and where each comes from; no secret is shown"),
  Command.withExamples([{ command: "nexus config show" }, { command: "nexus config show --json" }])
)

const asMarkdown = flags.onOff("markdown", "Print a table for people instead of JSON Schema")

const schema = Command.make("schema", { markdown: asMarkdown }, (input) =>
  Console.log(input.markdown ? configMarkdown() : jsonText(jsonSchema()))
).pipe(
  Command.withDescription("Print the JSON Schema of nexus.toml, for editors"),
  Command.withExamples([{ command: "nexus config schema > nexus.schema.json" }])
)

/** The command. */
export const configCommand = Command.make("config").pipe(
  Command.withDescription("Make, check, show and take over the settings"),
  Command.withSubcommands([init, check, show, schema, importCommand(force), diff, reload])
)
