/**
 * Runs the command line: what goes to which stream, and which exit code it ends with.
 */
import { readFileSync } from "node:fs"
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { ConfigInvalid } from "../config/NexusConfig.ts"
import { version } from "../domain/version.ts"
import { type ResultOutput, resultOutputOn } from "./result-output.ts"
import { CliFailure } from "./exit-failure.ts"

// Bun takes variables from `.env` files of the directory when it runs a program from source, a `$` in them replaced. The
// built program takes none; here they are forgotten, so that both do the same.
const dotenvFiles = [
  "",
  ".local",
  ...["development", "production", "test"].flatMap((mode) => [`.${mode}`, `.${mode}.local`])
]

/** What the process was started with, which nothing in it changes; undefined where the system does not tell. */
const started = "/proc/self/environ"

const textOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** Names that the text of a `.env` file sets. */
const namesIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*[=:]/gm)].map(([, name = ""]) => name)

/** Takes out of the environment what came from `.env` files alone; one that was named on the command line stays. */
const forgetDotenv = ({ env, execArgv }: Pick<NodeJS.Process, "env" | "execArgv">): void => {
  if (execArgv.some((each) => each.startsWith("--env-file"))) return
  const names = dotenvFiles.flatMap((file) => namesIn(textOf(`.env${file}`) ?? ""))
  if (names.length === 0) return
  const given = textOf(started)
  if (given === undefined) return
  const kept = new Set(given.split("\0").map((pair) => pair.slice(0, pair.indexOf("="))))
  for (const name of names) if (!kept.has(name)) delete env[name]
}

const Platform = Layer.mergeAll(NodeStdio.layer, NodeTerminal.layer, NodeChildProcessSpawner.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer))
)

const Flags = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })

const inWords = (error: CliError.CliError): string =>
  error.message
    .replace(
      /\s*Did you mean [^?]*\?\s*(\S.*)$/su,
      (_, names: string) => `; did you mean ${names.trim().split(/\s+/).join(" or ")}?`
    )
    .replace("a string representing a finite number", "a number")
    .replace(/\s+/g, " ")
    .trim()

// Standard output is for results alone. `nexus` by itself asks for help; `nexus backends` has left out what to do.
const Presenter = CliOutput.layerPresenter({
  present: Effect.fnUntraced(function* (event) {
    if (event._tag === "InvalidInvocation") {
      const lines = event.errors.map((error) => `error: ${inWords(error)}`)
      return yield* Console.error([...lines, `See \`${event.commandPath.join(" ")} --help\`.`].join("\n"))
    }
    if (event._tag === "Help" && event.reason === "Implicit" && event.commandPath.length > 1) {
      const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
      return yield* Console.error(CliOutput.defaultFormatter({ colors: canColor }).formatHelpDoc(event.helpDoc))
    }
    if (event._tag === "Version") return yield* Console.log(`${event.name} ${event.version}`)
    yield* CliOutput.defaultPresenter.present(event)
  })
})

const isBareCall = (error: CliError.CliError): boolean =>
  error._tag === "ShowHelp" && error.errors.length === 0 && error.commandPath.length === 1

const messageOf = (error: unknown): string => {
  if (error instanceof ConfigInvalid && (error.excerpt ?? "") !== "") return `${error.message}\n${error.excerpt}`
  return error instanceof Error && error.message !== "" ? error.message : String(error)
}

/** Says what went wrong, once and without a stack, and gives the exit code: 1 failed, 2 wrong usage. */
const report = (cause: Cause.Cause<unknown>): Effect.Effect<number> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.succeed(130)
  const error = Cause.squash(cause)
  // What came of reading the command line has been said already; a command may find more.
  if (CliError.isCliError(error) && error._tag === "ShowHelp") return Effect.succeed(isBareCall(error) ? 0 : 2)
  if (CliError.isCliError(error)) {
    return Effect.as(Console.error(`error: ${inWords(error)}`), error._tag === "UserError" ? 1 : 2)
  }
  const mild = error instanceof CliFailure && error.mild === true
  const head = Cause.hasDies(cause) ? "error: unexpected failure: " : mild ? "" : "error: "
  const code = error instanceof CliFailure ? (error.code ?? 1) : 1
  return Effect.as(Console.error(head + messageOf(error)), code)
}

const written = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write("", () => resolve())
  })

const exit = async (code: number, results: ResultOutput): Promise<void> => {
  await Promise.all([written(process.stdout), written(process.stderr)])
  const lost = results.lost()
  if (lost !== undefined) {
    process.stderr.write(
      `error: standard output cannot be written${lost === "ENOSPC" ? ": no space left" : ` (${lost})`}\n`
    )
    await written(process.stderr)
  }
  process.exit(lost === undefined || code !== 0 ? code : 1)
}

const runMain = (results: ResultOutput) =>
  Runtime.makeRunMain(({ fiber }) =>
    fiber.addObserver(
      (done) => void exit(Exit.isSuccess(done) && typeof done.value === "number" ? done.value : 1, results)
    )
  )

/** The arguments in the words of the commands: `nexus version`, `nexus help serve` and `nexus init` are what people type first. */
const plainly = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [first, ...rest] = args
  if (first === "help") return plainly([...rest, "--help"])
  if (first === "init") return ["config", "init", ...rest]
  return first === "version" && rest.length === 0 ? ["--version"] : args
}

/** Runs the command that the arguments name; a gateway is started without all that the other ones are made of. */
const runCommand = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  if (args[0] === "serve") {
    const { serveCommand } = yield* Effect.promise(() => import("./serve.ts"))
    return yield* Command.runWith(Command.make("nexus").pipe(Command.withSubcommands([serveCommand])), { version })(
      args
    )
  }
  const { nexus } = yield* Effect.promise(() => import("./command.ts"))
  yield* Command.runWith(nexus, { version })(args)
})

/** Runs `nexus` with these arguments, and ends the process with its exit code. */
export const run = (args: ReadonlyArray<string>): void => {
  const results = resultOutputOn(process, globalThis.console)
  forgetDotenv(process)
  runCommand(plainly(args)).pipe(
    Effect.as(0),
    Effect.catchCause(report),
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: this is the entry point
    Effect.provide(Layer.mergeAll(Platform, Flags, Presenter)),
    // Until a gateway runs, nothing is logged: results and failures are all a command says.
    Effect.provideService(Logger.CurrentLoggers, new Set()),
    Effect.provideService(Console.Console, results.console),
    runMain(results)({ disableErrorReporting: true })
  )
}
