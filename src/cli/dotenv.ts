/**
 * Variables that Bun takes from `.env` files of the directory when it runs a program from source, a `$` in them replaced. The
 * built program takes none; here they are forgotten, so that both do the same.
 */
import { readFileSync } from "node:fs"

const files = ["", ".local", ...["development", "production", "test"].flatMap((mode) => [`.${mode}`, `.${mode}.local`])]

/** What the process was started with, which nothing in it changes; undefined where the system does not tell. */
const started = "/proc/self/environ"

const textOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}

/** Names that the text of a `.env` file sets. */
const namesIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*[=:]/gm)].map(([, name = ""]) => name)

/** Takes out of the environment what came from `.env` files alone; one that was named on the command line stays. */
export const forgetFiles = ({ env, execArgv }: Pick<NodeJS.Process, "env" | "execArgv">): void => {
  if (execArgv.some((each) => each.startsWith("--env-file"))) return
  const names = files.flatMap((file) => namesIn(textOf(`.env${file}`) ?? ""))
  if (names.length === 0) return
  const given = textOf(started)
  if (given === undefined) return
  const kept = new Set(given.split("\0").map((pair) => pair.slice(0, pair.indexOf("="))))
  for (const name of names) if (!kept.has(name)) delete env[name]
}
