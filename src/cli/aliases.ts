/**
 * nexus aliases: the names that stand for models, and what may answer in a model's place.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Command } from "effect/cli"
import type { AliasList } from "../api/catalogue-api.ts"
import * as flags from "./flags.ts"
import { jsonText, shownTable } from "./output.ts"

const servers = (backends: ReadonlyArray<string>): string => (backends.length === 0 ? "nobody" : backends.join(", "))

/** The tables of the command. */
const toTables = ({ aliases, fallbacks, groups }: AliasList): ReadonlyArray<string> => [
  ...(aliases.length === 0
    ? []
    : [
        shownTable(
          ["Alias", "Model", "Via", "Served by"],
          aliases.map(({ alias, chain, model, backends }) => [
            alias,
            model,
            chain.length > 2 ? chain.slice(1, -1).join(", ") : "-",
            servers(backends)
          ])
        )
      ]),
  ...(groups.length === 0
    ? []
    : [
        shownTable(
          ["Group", "Model", "Served by"],
          groups.flatMap(({ group, models }) =>
            models.map((each, at) => [at === 0 ? group : "", each.model, servers(each.backends)])
          ),
          2
        )
      ]),
  ...(fallbacks.length === 0
    ? []
    : [
        shownTable(
          ["Model", "Fallback", "Served by"],
          fallbacks.flatMap(({ model, fallbacks }) =>
            fallbacks.map((each, at) => [at === 0 ? model : "", each.model, servers(each.backends)])
          ),
          2
        )
      ])
]

/** The command. */
export const aliasesCommand = Command.make(
  "aliases",
  { json: flags.json, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { inspectAliases } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const list = yield* inspectAliases({ config: input.config, overrides: flags.addressOverrides(input) })
    if (input.json) return yield* Console.log(jsonText(list))
    const tables = toTables(list)
    yield* tables.length === 0
      ? Console.error("There are no aliases, groups or fallbacks.")
      : Console.log(tables.join("\n\n"))
  })
).pipe(
  Command.withDescription("List the names that stand for models, groups and fallbacks, with who serves them"),
  Command.withExamples([
    { command: "nexus aliases" },
    { command: "nexus aliases --json", description: "For a program" }
  ])
)
