/**
 * nexus serve: runs the gateway until a signal.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Command, Flag } from "effect/cli"
import { needsKeys } from "../config/compile.ts"
import { version } from "../domain/version.ts"
import { localBackends } from "../remote/local-backends.ts"
import { type ReadyGateway, serve, type WorkerPart } from "../serve/start.ts"
import { jsonLine } from "../telemetry/log-line.ts"
import { type LogNaming, logNamings } from "../telemetry/log-names.ts"
import { banner, bannerLine, type BannerFacts } from "./banner.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { ownArguments } from "./own-command.ts"

const logLevel = Flag.Literals("log-level", ["error", "warn", "info", "debug", "trace"]).pipe(
  Flag.withAlias("l"),
  Flag.withDescription("Least severe level that is logged"),
  Flag.optional
)

const port = flags.port.pipe(Flag.withDescription("Port the gateway listens on; 0 takes any free one"))

const workers = Flag.String("workers").pipe(
  Flag.withMetavar("N"),
  Flag.filter(
    (value) => value === "auto" || /^([1-9]|[1-5]\d|6[0-4])$/.test(value),
    (value) => `Expected a number from 1 to 64 or auto, got ${value}`
  ),
  Flag.map((value) => (value === "auto" ? 0 : Number(value))),
  Flag.withDescription("Processes that share the port (Linux); auto is one for each core"),
  Flag.optional
)

// How the supervisor starts its workers; nobody else has a use for it.
const asWorker = Flag.String("as-worker").pipe(Flag.withHidden, Flag.optional)

const partOf = (text: string): WorkerPart | undefined => {
  const [number = 0, of = 0, port = 0, since = 0, ageMs = 0] = text.split(":").map(Number)
  return number > 0 && of > 0 ? { number, of, port, since, ageMs } : undefined
}

const workerCommand = ({ number, of, port, since, ageMs }: WorkerPart): ReadonlyArray<string> =>
  ownArguments(process, [...process.argv.slice(2), "--as-worker", [number, of, port, since, ageMs].join(":")])

const switches = {
  noDiscovery: flags.onOff("no-discovery", "Do not look for LLM servers on this machine"),
  noHealthCheck: flags.onOff("no-health-check", "Probe each backend once, then take it to be healthy"),
  demo: flags.onOff("demo", "Add simulated backends, to see Nexus work without any LLM"),
  insecure: flags.onOff("insecure", "Allow an address beyond loopback without keys"),
  strict: flags.onOff("strict", "Do not start while the key of a backend is not set")
}

interface Given {
  readonly host: Option.Option<string>
  readonly port: Option.Option<number>
  readonly workers: Option.Option<number>
  readonly logLevel: Option.Option<string>
  readonly noDiscovery: boolean
  readonly noHealthCheck: boolean
  readonly insecure: boolean
}

/** The settings that the flags stand for, nested and spelled as in the file. */
export const overridesOf = (given: Given): Record<string, unknown> => {
  const { server = {} } = flags.addressOverrides(given) as { readonly server?: object } // reason: it makes no other key
  const settings = {
    server: {
      ...server,
      ...Option.match(given.workers, { onNone: () => ({}), onSome: (count) => ({ workers: count }) }),
      ...(given.insecure ? { insecure: true } : {})
    },
    discovery: given.noDiscovery ? { enabled: false } : {},
    health_check: given.noHealthCheck ? { enabled: false } : {},
    logging: Option.match(given.logLevel, { onNone: () => ({}), onSome: (level) => ({ level }) })
  }
  return Object.fromEntries(Object.entries(settings).filter(([, section]) => Object.keys(section).length > 0))
}

const factsOf = ({ url, config, snapshot }: ReadyGateway): BannerFacts => ({
  version,
  url,
  configPath: config.path,
  keysNeeded: needsKeys(config.settings),
  discovering: config.discovery,
  backends: localBackends(snapshot()),
  warnings: config.warnings
})

// Standard output is a person's, unless the log was asked to be JSON: then every line is.
const announcer = () => {
  let naming: LogNaming | undefined
  return {
    onReady: (running: ReadyGateway) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const { format, names } = running.config.settings.logging
        naming = format === "json" ? logNamings[names] : undefined
        const facts = factsOf(running)
        return Console.log(naming === undefined ? banner(facts) : bannerLine(facts, now, naming))
      }),
    onStop: (signal: string) =>
      Effect.flatMap(Clock.currentTimeMillis, (time) =>
        Console.log(
          naming === undefined
            ? `${signal}: stopping; requests under way may finish, a second signal ends at once`
            : jsonLine({ time, level: "info", message: "stopping", fields: { signal } }, naming)
        )
      )
  }
}

/** The command. */
export const serveCommand = Command.make(
  "serve",
  { config: flags.config, host: flags.host, port, workers, asWorker, logLevel, ...switches },
  (given) =>
    serve({
      config: given.config,
      overrides: overridesOf(given),
      demo: given.demo,
      strict: given.strict,
      asWorker: Option.getOrUndefined(Option.map(given.asWorker, partOf)),
      workerCommand,
      ...announcer()
    }).pipe(
      Effect.scoped,
      Effect.catchTag("ListenFailed", ({ hostname, port, reason }) =>
        Effect.fail(
          new CliFailure({
            message: `Cannot listen on ${hostname.startsWith("/") ? hostname : `${hostname} port ${port}`}: ${reason}`
          })
        )
      ),
      Effect.catchTag("WorkersFailed", ({ reason }) => Effect.fail(new CliFailure({ message: reason })))
    )
).pipe(
  Command.withDescription("Run the gateway"),
  Command.withExamples([
    {
      command: "nexus serve",
      description: "With nexus.toml of this directory if there is one, and what is found on this machine"
    },
    { command: "nexus serve --demo", description: "With simulated backends" },
    { command: "nexus serve -c nexus.toml --port 9000" }
  ])
)
