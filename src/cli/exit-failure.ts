/**
 * The one failure of commands.
 */
import * as Data from "effect/Data"

/** A command could not do its work; `message` is all that is shown, and the exit code is 1 unless it says another. */
export class CliFailure extends Data.TaggedError("CliFailure")<{
  readonly message: string
  readonly code?: number
  /** Shown without `error:` before it: the exit code is all that speaks of failure. */
  readonly mild?: boolean
}> {}
