/**
 * What commands say, by the streams themselves: the console of the runtime does not tell when a result could not be written, and
 * paints all of standard error red on a terminal.
 */
import type * as Console from "effect/Console"

/** A console for results, and why one of them was lost. */
export interface ResultOutput {
  readonly console: Console.Console
  /** The system's code, such as `ENOSPC`; undefined when all was written, or its reader has gone. */
  readonly lost: () => string | undefined
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")

// Most of what is said is one text; the formatter takes its time to load.
const textOf = (parts: ReadonlyArray<unknown>): string => {
  const [only] = parts
  return parts.length === 1 && typeof only === "string" ? only : process.getBuiltinModule("node:util").format(...parts)
}

/** Makes one over the console of the runtime. */
export const resultOutputOn = (
  { stdout, stderr }: Pick<NodeJS.Process, "stdout" | "stderr">,
  under: Console.Console
): ResultOutput => {
  let lost: string | undefined
  const note = (error: unknown): void => {
    // A reader that has gone away, as in `nexus models | head`, is no failure.
    if (error !== null && error !== undefined && codeOf(error) !== "EPIPE") lost ??= codeOf(error)
  }
  stdout.on("error", note)
  stderr.on("error", () => undefined)
  const log = (...parts: ReadonlyArray<unknown>): void => {
    if (lost === undefined) stdout.write(`${textOf(parts)}\n`, note)
  }
  const error = (...parts: ReadonlyArray<unknown>): void => {
    stderr.write(`${textOf(parts)}\n`)
  }
  return { console: Object.assign(Object.create(under), { log, error }), lost: () => lost }
}
