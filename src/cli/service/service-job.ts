/**
 * What a service is to run: this program, with the config it would go by now.
 */
import { homedir } from "node:os"
import { resolve } from "node:path"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CliError } from "effect/cli"
import { readConfig } from "../../config/NexusConfig.ts"
import type { ReadConfig } from "../../config/read.ts"
import { printable } from "../../domain/printable.ts"
import type { Job, ServicePaths } from "./job.ts"
import { CliFailure } from "../exit-failure.ts"
import { ownArguments } from "../own-command.ts"

const xdgConfigHome = Config.String("XDG_CONFIG_HOME").pipe(Config.option)

/** Where things are on this machine. */
export const findPaths = Effect.gen(function* () {
  const given = Option.getOrElse(yield* Effect.orElseSucceed(xdgConfigHome, Option.none), () => "")
  const home = homedir()
  const places: ServicePaths = {
    home,
    config: given.startsWith("/") ? given : `${home}/.config`,
    uid: process.getuid?.() ?? 0
  }
  return places
})

/** Which gateway is to be a service. */
export interface ServiceOptions {
  readonly config: Option.Option<string>
  readonly system: boolean
  readonly account: Option.Option<string>
}

/** Variables that this config takes something from; the service has none of this shell's. */
const variablesOf = ({ loaded: { settings }, merged, written }: ReadConfig): ReadonlyArray<string> => {
  const inTexts = written.flatMap(({ text }) => [...text.matchAll(/\$\{(\w+)/g)].map(([, name = ""]) => name))
  const overrides = [...merged.origins.values()].flatMap((origin) => (origin._tag === "variable" ? [origin.name] : []))
  const keys = [
    ...settings.backends.flatMap(({ api_key_env }) => api_key_env ?? []),
    ...settings.auth.keys.flatMap(({ env }) => env ?? [])
  ]
  return [...new Set([...keys, ...inTexts, ...overrides])]
}

/** What the service runs, by this program and its config, and the variables that config uses. */
export const prepareJob = Effect.fnUntraced(function* ({ config, system, account }: ServiceOptions) {
  if (Option.isSome(account) && !system) {
    return yield* new CliError.ValidationError({
      message: "--run-as goes with --system; other services run as yourself"
    })
  }
  const read = yield* readConfig({ path: config, overrides: {}, allowMissing: "any" })
  const { path, settings } = read.loaded
  const serve = ["serve", ...(path === undefined ? [] : ["-c", resolve(path)])]
  const job: Job = {
    command: [process.execPath, ...ownArguments(process, serve)],
    scope: system ? "system" : "user",
    account: Option.getOrUndefined(account),
    graceSeconds: settings.server.shutdown_delay_seconds + settings.server.shutdown_grace_seconds,
    lowPort: settings.server.port > 0 && settings.server.port < 1024
  }
  const odd = job.command.find((each) => printable(each) !== each)
  if (odd !== undefined) {
    return yield* new CliFailure({ message: `A service cannot be told of a path like ${printable(odd)}; rename it` })
  }
  return { job, variables: variablesOf(read) }
})
