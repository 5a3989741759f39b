/**
 * nexus cache: the answers that are kept to be given again.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Command } from "effect/cli"
import type { CacheState } from "../api/cache-api.ts"
import * as flags from "./flags.ts"
import { jsonText } from "./output.ts"

const options = { json: flags.json, config: flags.config, host: flags.host, port: flags.port }

const amount = ({ bytes, entries }: CacheState): string =>
  `${entries} ${entries === 1 ? "answer" : "answers"}, ${Math.round(bytes / 1024)} KB`

const late = ({ complete }: CacheState): string => (complete ? "" : " A worker did not answer in time.")

const clear = Command.make(
  "clear",
  options,
  Effect.fnUntraced(function* (input) {
    const { clearCache } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const dropped = yield* clearCache(flags.places(input))
    yield* Console.log(input.json ? jsonText(dropped) : `Dropped ${amount(dropped)}.${late(dropped)}`)
  })
).pipe(
  Command.withDescription("Drop all answers that are kept"),
  Command.withExamples([{ command: "nexus cache clear" }])
)

/** The command. */
export const cacheCommand = Command.make(
  "cache",
  options,
  Effect.fnUntraced(function* (input) {
    const { keptAnswers } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const kept = yield* keptAnswers(flags.places(input))
    yield* Console.log(input.json ? jsonText(kept) : `${amount(kept)} kept.${late(kept)}`)
  })
).pipe(
  Command.withDescription("Show how many answers are kept to be given again, and drop them"),
  Command.withExamples([{ command: "nexus cache" }, { command: "nexus cache clear" }]),
  Command.withSubcommands([clear])
)
