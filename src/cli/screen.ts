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

/** The terminal; undefined when the output is none. */
export interface Screen {
  readonly size: () => TerminalSize
  readonly draw: (lines: ReadonlyArray<string>) => void
}

/** Takes over the terminal until the scope closes; `resized` is called when its size has changed. */
export const takeScreen = (resized: () => void): Effect.Effect<Screen, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Screen => {
      process.stdout.write(enter)
      process.stdout.on("resize", resized)
      return {
        // A terminal that does not say how large it is gets what all have.
        size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
        draw: (lines) => {
          process.stdout.write(frame(lines))
        }
      }
    }),
    () =>
      Effect.sync(() => {
        process.stdout.off("resize", resized)
        process.stdout.write(leave)
      })
  )

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
