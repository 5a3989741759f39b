/**
 * Flags that several commands share, and the settings they stand for.
 */
import * as Option from "effect/Option"
import { Flag } from "effect/cli"

/** `-c FILE`: the config file. */
export const config = Flag.String("config").pipe(
  Flag.withAlias("c"),
  Flag.withMetavar("FILE"),
  Flag.withDescription("Config file; nexus.toml of this directory when it is there, else defaults"),
  Flag.optional
)

/** `-H ADDRESS`: where the gateway listens. */
export const host = Flag.String("host").pipe(
  Flag.withAlias("H"),
  Flag.withMetavar("ADDRESS"),
  Flag.withDescription("Address the gateway listens on"),
  Flag.optional
)

/** The number of a port. */
export const portCalled = (name: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("PORT"),
    Flag.filter(
      (value) => value >= 0 && value <= 65_535,
      (value) => `Expected a port from 0 to 65535, got ${value}`
    )
  )

/** `-p PORT`: where the gateway listens. */
export const port = portCalled("port").pipe(
  Flag.withAlias("p"),
  Flag.withDescription("Port the gateway listens on"),
  Flag.optional
)

/** `--interval`: how often something is looked at. */
export const interval = (description: string) =>
  Flag.Finite("interval").pipe(
    Flag.withAlias("i"),
    Flag.withMetavar("SECONDS"),
    Flag.filter(
      (value) => value >= 0.1 && value <= 3600,
      (value) => `Expected 0.1 to 3600 seconds, got ${value}`
    ),
    Flag.withDescription(description),
    Flag.withDefault(1)
  )

/** A flag that is there or not. */
export const onOff = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withoutNegation, Flag.withDefault(false))

/** A flag that may be given more than once. */
export const several = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.atLeast(0))

/** `--json`: JSON for programs. */
export const json = onOff("json", "Print JSON instead of a table")

/** `--yes`: what may cost money is done. */
export const yes = onOff("yes", "Ask servers in the cloud as well, whose tokens may cost money").pipe(
  Flag.withAlias("y")
)

/** `--key-env`: where the key is that a server is sent. */
export const keyEnv = Flag.String("key-env").pipe(
  Flag.withMetavar("VARIABLE"),
  Flag.withDescription("With a URL: the environment variable that holds the key to send, as a bearer token"),
  Flag.optional
)

/** A number from 1 up to a bound. */
export const bounded = (name: string, most: number, description: string, usual: number) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (value) => value >= 1 && value <= most,
      (value) => `Expected 1 to ${most}, got ${value}`
    ),
    Flag.withDescription(description),
    Flag.withDefault(usual)
  )

/** Which gateway a command is for. */
export interface GatewayFlags {
  readonly config: Option.Option<string>
  readonly host: Option.Option<string>
  readonly port: Option.Option<number>
}

/** `--host` and `--port` as settings, nested as in the file. */
export const addressOverrides = (given: Pick<GatewayFlags, "host" | "port">): Record<string, unknown> => {
  const server = {
    ...Option.match(given.host, { onNone: () => ({}), onSome: (host) => ({ host }) }),
    ...Option.match(given.port, { onNone: () => ({}), onSome: (port) => ({ port }) })
  }
  return Object.keys(server).length === 0 ? {} : { server }
}

/** The gateway that a command is for. */
export const places = (input: GatewayFlags) => ({ config: input.config, overrides: addressOverrides(input) })

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of a time such as 1h; undefined when it is none. */
export const durationMs = (text: string): number | undefined => {
  const [, count = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const each = units[unit]
  return each === undefined ? undefined : Number(count) * each
}
