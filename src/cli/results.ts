/**
 * Results on standard output, by the stream that tells when they could not be written; the console of the runtime does not.
 */
import { format } from "node:util"
import type { Console } from "effect"

/** A console for results, and why one of them was lost. */
export interface Results {
  readonly console: Console.Console
  /** The system's code, such as `ENOSPC`; undefined when all was written, or its reader has gone. */
  readonly lost: () => string | undefined
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown")

/** Makes one over the console of the runtime. */
export const resultsOn = (stream: NodeJS.WriteStream, under: Console.Console): Results => {
  let lost: string | undefined
  const note = (error: unknown): void => {
    // A reader that has gone away, as in `nexus models | head`, is no failure.
    if (error !== null && error !== undefined && codeOf(error) !== "EPIPE") lost ??= codeOf(error)
  }
  stream.on("error", note)
  const log = (...parts: ReadonlyArray<unknown>): void => {
    if (lost === undefined) stream.write(`${format(...parts)}\n`, note)
  }
  return { console: Object.assign(Object.create(under), { log }), lost: () => lost }
}
