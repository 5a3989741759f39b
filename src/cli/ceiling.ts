/**
 * Bun runs 256 fetches at a time unless its environment says otherwise before it starts, and each forwarded request is
 * one. A gateway that is started without that word starts itself over with it, once, as the same process.
 */

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

/** The call that starts over, or undefined when there is no need to, or no way. */
export const startOver = ({ platform, execPath, argv, execArgv, env }: Self) => {
  const [, script = "", ...args] = argv
  if (platform === "win32" || env[variable] !== undefined || !args.includes("serve")) return undefined
  const self = isInside(script) ? [execPath, ...args] : [execPath, ...execArgv, script, ...args]
  const lifted: Record<string, string | undefined> = { ...env, [variable]: ceiling }
  return { file: execPath, args: self, env: lifted }
}

/** Lifts the ceiling when this is a gateway about to start; does not return when it does. */
export const liftCeiling = (): void => {
  const { platform, execPath, argv, execArgv, env } = process
  const again = startOver({ platform, execPath, argv, execArgv, env })
  if (again !== undefined) process.execve?.(again.file, again.args, again.env)
}
