/**
 * Questions to a person at a terminal.
 */
import { isatty } from "node:tty"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Prompt } from "effect/cli"
import { CliFailure } from "./exit-failure.ts"

/** Whether somebody can be asked. */
export const isAttended = (): boolean => isatty(0) && isatty(1)

/** The answer to a question; one that is left by Ctrl-C, or by the end of the input, ends the command. */
export const promptUser = <A>(prompt: Prompt.Prompt<A>) =>
  Effect.mapError(Prompt.run(prompt), () => new CliFailure({ message: "Nothing was changed", code: 130, mild: true }))

/** Says what is about to happen and asks for a yes; without a terminal there is nobody to ask, and it fails. */
export const confirm = Effect.fnUntraced(function* (what: string) {
  if (!isAttended()) return yield* new CliFailure({ message: `${what}. --yes agrees to it` })
  yield* Console.error(`${what}.`)
  if (!(yield* promptUser(Prompt.Confirm({ message: "Go on?", initial: true })))) {
    return yield* new CliFailure({ message: "Nothing was changed" })
  }
})
