/**
 * A terminal that is drawn on in place, and left as it was found whatever ends the command.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { TerminalSize } from "./status/status-view.ts"

const escape = "\u001b["

// The other screen, without cursor and without wrapping of long lines.
const enter = `${escape}?1049h${escape}?25l${escape}?7l`
const leave = `${escape}?7h${escape}?25h${escape}?1049l`

/** What is drawn to take the place of what was there. */
const frame = (lines: ReadonlyArray<string>): string =>
  `${escape}H${lines.map((line) => `${line}${escape}K`).join("\r\n")}${escape}J`

/** Only the lines that are others than before, shown at once where the terminal can do that; all of them where what was there is not known. */
export const frameChanges = (known: ReadonlyArray<string> | undefined, lines: ReadonlyArray<string>): string => {
  const before = known ?? []
  // What was there goes in the same moment, so that nobody sees an empty screen.
  const clear = known === undefined ? `${escape}2J` : ""
  const changed = lines.flatMap((line, at) => (line === before[at] ? [] : [`${escape}${at + 1};1H${line}${escape}K`]))
  const rest = lines.length < before.length ? `${escape}${lines.length + 1};1H${escape}J` : ""
  return changed.length === 0 && rest === "" ? "" : `${escape}?2026h${clear}${changed.join("")}${rest}${escape}?2026l`
}

/** The terminal; undefined when the output is none. */
export interface Screen {
  readonly size: () => TerminalSize
  readonly draw: (lines: ReadonlyArray<string>) => void
  /** Draws what is another than at the last time, or everything. */
  readonly change: (lines: ReadonlyArray<string>, everything: boolean) => void
}

/** Takes over the terminal until the scope closes; `resized` is called when its size has changed. */
export const takeScreen = (resized: () => void): Effect.Effect<Screen, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Screen => {
      process.stdout.write(enter)
      process.stdout.on("resize", resized)
      let last: ReadonlyArray<string> = []
      return {
        // A terminal that does not say how large it is gets what all have.
        size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
        draw: (lines) => {
          process.stdout.write(frame(lines))
        },
        change: (lines, everything) => {
          process.stdout.write(frameChanges(everything ? undefined : last, lines))
          last = lines
        }
      }
    }),
    () =>
      Effect.sync(() => {
        process.stdout.off("resize", resized)
        process.stdout.write(leave)
      })
  )

const named: ReadonlyMap<string, string> = new Map([
  ["\u001b[A", "up"],
  ["\u001b[B", "down"],
  ["\u001bOA", "up"],
  ["\u001bOB", "down"],
  ["\u001b[5~", "pageup"],
  ["\u001b[6~", "pagedown"],
  ["\u001b[H", "home"],
  ["\u001bOH", "home"],
  ["\u001b[1~", "home"],
  ["\u001b[F", "end"],
  ["\u001bOF", "end"],
  ["\u001b[4~", "end"],
  ["\u001b", "escape"],
  ["\u0003", "ctrl-c"],
  ["\t", "tab"],
  ["\r", "enter"],
  ["\n", "enter"]
])

// A key that says more than one character says so after an escape.
// oxlint-disable-next-line no-control-regex -- reason: that is what keys are
const oneKey = /\u001b(?:\[[\d;]*[A-Za-z~]|O[A-Za-z])?|[\s\S]/g

/** The keys that some bytes of a terminal stand for, by their characters or names. */
export const keysIn = (text: string): ReadonlyArray<string> =>
  (text.match(oneKey) ?? []).map((each) => named.get(each) ?? each)

/** Gives each key that is pressed until the scope closes; the terminal then reads lines again as before. */
export const takeKeys = (pressed: (key: string) => void): Effect.Effect<void, never, Scope.Scope> => {
  const onData = (bytes: Buffer): void => keysIn(bytes.toString("utf8")).forEach(pressed)
  return Effect.acquireRelease(
    Effect.sync(() => {
      process.stdin.setRawMode(true)
      process.stdin.on("data", onData)
      process.stdin.resume()
    }),
    () =>
      Effect.sync(() => {
        process.stdin.off("data", onData)
        process.stdin.setRawMode(false)
        process.stdin.pause()
      })
  )
}

/** Says a line through the stream that tells when nobody reads it any more; the console does not. */
export const writeLine = (line: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stdout.write(`${line}\n`)
  })

const ends = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Resolves when the command is asked to end, or nobody reads what it says any more. */
export const endRequested: Effect.Effect<void> = Effect.callback((resume) => {
  const end = (): void => resume(Effect.void)
  for (const signal of ends) process.on(signal, end)
  process.stdout.on("error", end)
  process.stdout.on("close", end)
  return Effect.sync(() => {
    for (const signal of ends) process.off(signal, end)
    process.stdout.off("error", end)
    process.stdout.off("close", end)
  })
})
