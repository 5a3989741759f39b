/**
 * Whether files can be read by an account that owns nothing.
 */
import { dirname } from "node:path"
import { Effect, FileSystem } from "effect"

// Bits of the mode that count for everybody else.
const [readable, enterable] = [0o4, 0o1]

const above = (path: string): ReadonlyArray<string> => {
  const parent = dirname(path)
  return parent === path ? [] : [...above(parent), parent]
}

/** The first of these absolute paths, or of the directories above them, that not everybody may read. */
export const closedTo = Effect.fnUntraced(function* (paths: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const allows = (path: string, bit: number) =>
    fs.stat(path).pipe(
      Effect.map(({ mode }) => (mode & bit) !== 0),
      Effect.orElseSucceed(() => false)
    )
  for (const path of paths) {
    for (const directory of above(path)) if (!(yield* allows(directory, enterable))) return directory
    if (!(yield* allows(path, readable))) return path
  }
  return undefined
})
