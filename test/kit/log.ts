/**
 * What a gateway in this process writes to its log, as the records of its JSON lines.
 */

import type { LoggingSettings } from "../../src/telemetry/logging.ts"

/** Settings of the log with everything else as it is by default. */
export const logsAt = (
  level: LoggingSettings["level"],
  format: LoggingSettings["format"] = "json"
): LoggingSettings => ({
  level,
  format,
  names: "nexus",
  access_log: false,
  access_log_share: 1
})

/** One line of a JSON log. */
export type LogLine = Readonly<Record<string, unknown>>

/** The log from when it was taken until it is given back. */
export interface Log extends Disposable {
  readonly lines: () => ReadonlyArray<LogLine>
  readonly text: () => string
}

const parsed = (line: string): ReadonlyArray<LogLine> => {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}

/** Takes all that is written to standard error. */
export const takeLog = (): Log => {
  const { stderr } = process
  const { write } = stderr
  let text = ""
  stderr.write = (piece: string | Uint8Array, ...rest: ReadonlyArray<unknown>) => {
    text += typeof piece === "string" ? piece : new TextDecoder().decode(piece)
    const done = rest.at(-1)
    if (typeof done === "function") queueMicrotask(() => void done())
    return true
  }
  return {
    lines: () => text.split("\n").flatMap(parsed),
    text: () => text,
    [Symbol.dispose]: () => {
      stderr.write = write
    }
  }
}
