/**
 * Files that a command is given.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { CliFailure } from "./exit-failure.ts"

/** The text of a file, or why it cannot be read. */
export const textOfFile = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.readFileString(path).pipe(
    Effect.mapError(({ reason }) => {
      const why = reason._tag === "NotFound" ? "there is no such file" : "it cannot be read"
      return new CliFailure({ message: `${path}: ${why}` })
    })
  )
})
