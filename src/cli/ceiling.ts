/**
 * Bun runs 256 fetches at a time unless its environment says otherwise before it starts. Probes are fetches: a gateway
 * that may need more starts itself over with that word, once, as the same process.
 */
import type { Loaded } from "../config/NexusConfig.ts"

const variable = "BUN_CONFIG_MAX_HTTP_REQUESTS"

/** The highest number Bun takes; anything above it means 256 again. */
const ceiling = "65535"

/** What must be known of the process, so that it can be a made-up one. */
export interface Self {
  readonly platform: string
  readonly execPath: string
  readonly argv: ReadonlyArray<string>
  readonly execArgv: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string | undefined>>
}

// A compiled binary finds its own script; `argv[1]` is a path inside it.
const isInside = (script: string): boolean => script.startsWith("/$bunfs/") || /^[A-Za-z]:[\\/]~BUN[\\/]/.test(script)

/** The arguments after the program that make it run `args`; its own script among them when it has one. */
export const argumentsOf = (
  { argv, execArgv }: Pick<Self, "argv" | "execArgv">,
  args: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const [, script = ""] = argv
  return isInside(script) ? args : [...execArgv, script, ...args]
}

/** The call that starts over, or undefined when there is no need to, or no way. */
export const startOver = ({ platform, execPath, argv, execArgv, env }: Self) => {
  const [, , ...args] = argv
  if (platform === "win32" || env[variable] !== undefined || !args.includes("serve")) return undefined
  const lifted: Record<string, string | undefined> = { ...env, [variable]: ceiling }
  return { file: execPath, args: [execPath, ...argumentsOf({ argv, execArgv }, args)], env: lifted }
}

// Probes of so many backends at a time leave room below the ceiling.
const manyBackends = 100

/** Whether a gateway with this config may come to need more fetches at a time than Bun runs by itself. */
export const needsMore = ({ backends }: Pick<Loaded, "backends">): boolean => backends.length > manyBackends

/** Lifts the ceiling for a gateway that needs it; does not return when it does. */
export const liftCeiling = (config: Loaded): void => {
  if (!needsMore(config)) return
  const { platform, execPath, argv, execArgv, env } = process
  const again = startOver({ platform, execPath, argv, execArgv, env })
  if (again !== undefined) process.execve?.(again.file, again.args, again.env)
}
