/**
 * nexus config import: makes a nexus.toml of the settings of another gateway.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { Argument, Command, Flag } from "effect/cli"
import { importFormats } from "../config/import/import-formats.ts"
import { CliFailure } from "./exit-failure.ts"
import { textOfFile } from "./read-file.ts"

const file = Argument.String("FILE").pipe(Argument.withDescription("Settings of another gateway"))

const from = Flag.Literals("from", importFormats).pipe(
  Flag.withDescription("Whose settings they are; told from the content when absent"),
  Flag.optional
)

const output = Flag.String("output").pipe(
  Flag.withAlias("o"),
  Flag.withMetavar("FILE"),
  Flag.withDescription("File to write; standard output when absent"),
  Flag.optional
)

const reasons: Readonly<Record<string, string>> = {
  AlreadyExists: "is there already; --force writes over it",
  NotFound: "cannot be written: there is no such directory"
}

const save = Effect.fnUntraced(function* (path: string, text: string, force: boolean) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(path, text, { flag: force ? "w" : "wx" }).pipe(
    Effect.mapError(({ reason }) => {
      const why = reasons[reason._tag] ?? "cannot be written: the system refuses"
      return new CliFailure({ message: `${path} ${why}` })
    })
  )
})

const summary = (count: number): string => {
  if (count === 0) return "Every setting is carried over."
  return count === 1
    ? "1 setting is not carried over, or not as it was."
    : `${count} settings are not carried over, or not as they were.`
}

/** The command. */
export const importCommand = (force: Flag.Flag<boolean>) =>
  Command.make(
    "import",
    { file, from, output, force },
    Effect.fnUntraced(function* (input) {
      const text = yield* textOfFile(input.file)
      const { convertSettings } = yield* Effect.promise(() => import("../config/import/convert.ts"))
      const result = convertSettings(input.file, text, Option.getOrUndefined(input.from))
      const { toml, left, todo } = yield* Effect.fromResult(result).pipe(
        Effect.mapError((message) => new CliFailure({ message }))
      )
      if (Option.isSome(input.output)) yield* save(input.output.value, toml, input.force)
      else yield* Console.log(toml.trimEnd())
      for (const line of [...left, ...todo, summary(left.length)]) yield* Console.error(line)
      if (Option.isSome(input.output)) {
        yield* Console.error(`Wrote ${input.output.value}. Next: \`nexus config check -c ${input.output.value}\`.`)
      }
    })
  ).pipe(
    Command.withDescription(
      "Make a nexus.toml of the settings of LiteLLM, Olla, llama-swap, Bifrost or the Rust Nexus"
    ),
    Command.withExamples([
      { command: "nexus config import config.yaml -o nexus.toml" },
      { command: "nexus config import config.yaml --from olla" }
    ])
  )
