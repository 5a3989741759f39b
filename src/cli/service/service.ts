/**
 * nexus service: has systemd or launchd run the gateway.
 */
import { dirname } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner, CommandLine } from "effect/process"
import { type ServiceManager, writtenBy, type Step } from "./job.ts"
import { launchd } from "./launchd.ts"
import { systemd } from "./systemd.ts"
import { CliFailure } from "../exit-failure.ts"
import * as flags from "../flags.ts"
import { findPaths, prepareJob } from "./service-job.ts"

// Bits of the mode that count for everybody else.
const [readable, enterable] = [0o4, 0o1]

const above = (path: string): ReadonlyArray<string> => {
  const parent = dirname(path)
  return parent === path ? [] : [...above(parent), parent]
}

/** The first of these absolute paths, or of the directories above them, that not everybody may read. */
const closedTo = Effect.fnUntraced(function* (paths: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const allows = (path: string, bit: number) =>
    fs.stat(path).pipe(
      Effect.map(({ mode }) => (mode & bit) !== 0),
      Effect.orElseSucceed(() => false)
    )
  for (const path of paths) {
    for (const directory of above(path)) if (!(yield* allows(directory, enterable))) return directory
    if (!(yield* allows(path, readable))) return path
  }
  return undefined
})

const system = flags.onOff("system", "A service of the machine, not of the user who is logged in")
const now = (what: string) => flags.onOff("now", what)
const force = flags.onOff("force", "Also where the file is not one that Nexus wrote").pipe(Flag.withAlias("f"))

const account = Flag.String("run-as").pipe(
  Flag.withMetavar("USER"),
  Flag.filter(
    (name) => /^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/.test(name),
    (name) => `Expected the name of an account, got ${name}`
  ),
  Flag.withDescription("Account of a --system service; one made for it (systemd) or nobody (launchd) when absent"),
  Flag.optional
)

const managerName = Flag.Literals("manager", ["systemd", "launchd"]).pipe(
  Flag.withDescription("What to write for; that of this machine when absent"),
  Flag.optional
)

const managers = { systemd, launchd } as const

const ownManager = Effect.suspend(() => {
  if (process.platform === "linux") return Effect.succeed<ServiceManager>(systemd)
  if (process.platform === "darwin") return Effect.succeed<ServiceManager>(launchd)
  return Effect.fail(
    new CliFailure({ message: `Services are for systemd and launchd, and this is ${process.platform}` })
  )
})

const lineOf = ({ run }: Step): string => CommandLine.display(run)

const shown = (steps: ReadonlyArray<Step>): string =>
  steps.reduce((text, step, at) => {
    const joint = at === 0 ? "" : steps[at - 1]?.mayFail === true ? "; " : " && "
    return text + joint + lineOf(step)
  }, "")

const runAll = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  for (const step of steps) {
    const [program, ...args] = step.run
    yield* Console.log(`$ ${lineOf(step)}`)
    const code = yield* spawner
      .exitCode(ChildProcess.make(program, args, { stdin: "ignore", stdout: "inherit", stderr: "inherit" }))
      .pipe(Effect.mapError(() => new CliFailure({ message: `${program} cannot be run on this machine` })))
    if (code !== 0 && !step.mayFail) return yield* new CliFailure({ message: `${lineOf(step)} failed with ${code}` })
  }
})

/** The text of a file; none when there is no such file. */
const textOf = Effect.fnUntraced(function* (file: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.readFileString(file).pipe(
    Effect.asSome,
    Effect.catchIf(
      ({ reason }) => reason._tag === "NotFound",
      () => Effect.succeedNone
    ),
    Effect.mapError(() => new CliFailure({ message: `${file} cannot be read` }))
  )
})

const refuseForeign = (file: string, text: string, force: boolean) =>
  text.includes(writtenBy) || force
    ? Effect.void
    : Effect.fail(new CliFailure({ message: `${file} was not written by Nexus and is left as it is; see --force` }))

const cannot = (what: string, hint: string) => () => new CliFailure({ message: `${what}${hint}` })

const asRoot = (system: boolean): string => (system ? "; a --system service is root's to change" : "")

const print = Command.make(
  "print",
  { config: flags.config, system, account, manager: managerName },
  Effect.fnUntraced(function* (input) {
    const { text } = Option.isSome(input.manager) ? managers[input.manager.value] : yield* ownManager
    const { job } = yield* prepareJob(input)
    yield* Console.log(text(job, yield* findPaths).trimEnd())
  })
).pipe(
  Command.withDescription("Print what install would write, and change nothing"),
  Command.withExamples([{ command: "nexus service print" }, { command: "nexus service print --manager launchd" }])
)

const install = Command.make(
  "install",
  { config: flags.config, system, account, force, now: now("Start it as well") },
  Effect.fnUntraced(function* (input) {
    const fs = yield* FileSystem.FileSystem
    const [manager, places] = [yield* ownManager, yield* findPaths]
    const { job, variables } = yield* prepareJob(input)
    if (input.system && Option.isNone(input.account)) {
      const closed = yield* closedTo(job.command.filter((each) => each.startsWith("/")))
      if (closed !== undefined) {
        return yield* new CliFailure({
          message: `${closed} is not readable for every account: move it to where it is, such as /usr/local/bin or /etc/nexus, or name an account with --run-as`
        })
      }
    }
    const file = manager.file(job.scope, places)
    const before = yield* textOf(file)
    if (Option.isSome(before)) yield* refuseForeign(file, before.value, input.force)
    const write = Effect.andThen(
      fs.makeDirectory(dirname(file), { recursive: true }),
      fs.writeFileString(file, manager.text(job, places), { mode: 0o644 })
    )
    yield* write.pipe(Effect.mapError(cannot(`${file} cannot be written`, asRoot(input.system))))
    yield* Console.log(`Wrote ${file}.`)
    if (variables.length > 0) {
      const where = manager.environment(job.scope, places)
      yield* Console.error(
        `note: the service does not see the variables of this shell. This config uses ${variables.join(", ")}: ` +
          (where === undefined
            ? "put the values into the config, and keys into files (api_key_file)."
            : `put NAME=value into ${where}.`)
      )
    }
    const steps = manager.start(job.scope, places, Option.isSome(before))
    if (input.now) yield* runAll(steps)
    else yield* Console.log(`Next: ${shown(steps)}`)
    for (const hint of manager.hints(job.scope, places)) yield* Console.log(hint)
  })
).pipe(
  Command.withDescription("Have systemd or launchd run the gateway from now on"),
  Command.withExamples([
    { command: "nexus service install -c nexus.toml --now" },
    { command: "sudo nexus service install --system -c /etc/nexus/nexus.toml" }
  ])
)

const uninstall = Command.make(
  "uninstall",
  { system, force, now: now("End it as well") },
  Effect.fnUntraced(function* (input) {
    const fs = yield* FileSystem.FileSystem
    const [manager, places] = [yield* ownManager, yield* findPaths]
    const scope = input.system ? "system" : "user"
    const file = manager.file(scope, places)
    const before = yield* textOf(file)
    if (Option.isNone(before)) return yield* new CliFailure({ message: `There is no ${file}: nothing is installed` })
    yield* refuseForeign(file, before.value, input.force)
    for (const each of [...manager.links(scope, places), file]) {
      yield* fs
        .remove(each, { force: true })
        .pipe(Effect.mapError(cannot(`${each} cannot be removed`, asRoot(input.system))))
    }
    yield* Console.log(`Removed ${file}.`)
    const steps = manager.end(scope, places)
    yield* input.now ? runAll(steps) : Console.log(`Next, when it runs: ${shown(steps)}`)
  })
).pipe(Command.withDescription("Undo install"), Command.withExamples([{ command: "nexus service uninstall --now" }]))

/** The command. */
export const serviceCommand = Command.make("service").pipe(
  Command.withDescription("Run the gateway as a service of systemd or launchd"),
  Command.withSubcommands([install, uninstall, print])
)
