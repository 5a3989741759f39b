/**
 * How this program is run once more, as a worker or by a service manager.
 */

// A compiled binary finds its own script; `argv[1]` is a path inside it.
const isInside = (script: string): boolean => script.startsWith("/$bunfs/") || /^[A-Za-z]:[\\/]~BUN[\\/]/.test(script)

/** The arguments after the program that make it run `args`; its own script among them when it has one. */
export const ownArguments = (
  { argv, execArgv }: Pick<NodeJS.Process, "argv" | "execArgv">,
  args: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const [, script = ""] = argv
  return isInside(script) ? args : [...execArgv, script, ...args]
}
