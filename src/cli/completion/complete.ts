/**
 * nexus complete: names for the completion scripts, from the running gateway; what cannot be told is left out in silence.
 */
import { homedir } from "node:os"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, Command } from "effect/cli"
import { printable } from "../../domain/printable.ts"
import { modelRows } from "../models.ts"

/** What names are of. */
export type NameKind = "models" | "backends" | "requests"

/** Nobody waits longer than this for a completion, in milliseconds. */
const patienceMs = 1000

/** A word as the shell would hand it on: without its quotes, `~/` as the home directory. */
const unquoted = (word: string, home: string): string =>
  (word.startsWith("~/") ? home : "") +
  word
    .replace(/^~(?=\/)/, "")
    .replace(/'([^']*)'|"((?:\\.|[^"\\])*)"?|\\(.)/g, (_, single?: string, double?: string, escaped?: string) =>
      single === undefined ? (double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? "") : single
    )

/** The value of a flag in a line of words; the last one counts. */
const valueIn = (words: ReadonlyArray<string>, ...spellings: ReadonlyArray<string>): string | undefined =>
  words
    .flatMap((word, at) => {
      const spelling = spellings.find((each) => word === each || word.startsWith(`${each}=`))
      if (spelling === undefined) return []
      return word === spelling ? words.slice(at + 1, at + 2) : [word.slice(spelling.length + 1)]
    })
    .at(-1)

/** Which gateway a command line is about, by its flags as they were typed. */
export const gatewayFlagsIn = (line: ReadonlyArray<string>, home: string) => {
  const words = line.map((word) => unquoted(word, home))
  const host = valueIn(words, "--host", "-H")
  const port = valueIn(words, "--port", "-p")
  const server = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port: Number(port) }) }
  return {
    config: Option.fromUndefinedOr(valueIn(words, "--config", "-c")),
    overrides: Object.keys(server).length === 0 ? {} : { server }
  }
}

// One name a line: one that would take two, or that a terminal must not see, cannot be completed.
const plain = (name: string): boolean => name !== "" && printable(name) === name

const names = Effect.fnUntraced(function* (kind: NameKind, words: ReadonlyArray<string>) {
  const { knownIds, knownNames } = yield* Effect.promise(() => import("../../remote/survey.ts"))
  const gateway = gatewayFlagsIn(words, homedir())
  if (kind === "requests") return (yield* knownIds(gateway)).filter(plain)
  const { backends, aliases } = yield* knownNames(gateway)
  const found =
    kind === "backends" ? backends.map(({ name }) => name) : [...modelRows(backends).map(({ id }) => id), ...aliases]
  return [...new Set(found)].filter(plain)
})

/** The command; for the completion scripts alone. */
export const completeCommand = Command.make(
  "complete",
  {
    kind: Argument.Literals("kind", ["models", "backends", "requests"]),
    words: Argument.String("words").pipe(Argument.variadic())
  },
  ({ kind, words }) =>
    names(kind, words).pipe(
      Effect.timeout(patienceMs),
      Effect.flatMap((found) => (found.length === 0 ? Effect.void : Console.log(found.join("\n")))),
      Effect.ignore
    )
).pipe(Command.unlisted)
