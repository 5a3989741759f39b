/**
 * nexus models: what can be served, and where.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Command, Flag } from "effect/cli"
import { contextOf } from "../domain/server.ts"
import { oneSpelling } from "../backend/spelling.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { modelActionCommands } from "./models-change.ts"
import { jsonText, shownTable } from "./output.ts"

/** A model as the command lists it; `context_length` in tokens, null when no backend says. */
export interface ModelRow {
  readonly id: string
  readonly backends: ReadonlyArray<string>
  readonly context_length: number | null
}

const byId = (a: ModelRow, b: ModelRow): number => (a.id < b.id ? -1 : 1)

/** The models of all backends in rotation, each once, sorted by id. */
export const modelRows = (backends: ReadonlyArray<BackendEntry>): ReadonlyArray<ModelRow> => {
  const rows = new Map<string, ModelRow>()
  const listedAs = oneSpelling()
  for (const { name, mode, status, models, type } of backends) {
    if (mode !== "enabled" || status !== "healthy") continue
    for (const model of models) {
      const id = listedAs(type, model.id)
      const row = rows.get(id)
      const known = Math.max(row?.context_length ?? 0, contextOf(model) ?? 0)
      rows.set(id, { id, backends: [...(row?.backends ?? []), name], context_length: known === 0 ? null : known })
    }
  }
  return [...rows.values()].sort(byId)
}

const toTable = (rows: ReadonlyArray<ModelRow>, backends: ReadonlyArray<BackendEntry>): string => {
  const simulated = new Set(backends.filter(({ origin }) => origin === "simulated").map(({ name }) => name))
  const shown = (name: string) => (simulated.has(name) ? `${name} (simulated)` : name)
  return shownTable(
    ["Model", "Backends", "Context Length"],
    rows.map(({ id, backends, context_length }) => [
      id,
      backends.map(shown).join(", "),
      context_length === null ? "-" : String(context_length)
    ])
  )
}

const backend = Flag.String("backend").pipe(
  Flag.withAlias("b"),
  Flag.withMetavar("NAME"),
  Flag.withDescription("Only models of this backend"),
  Flag.optional
)

/** The command. */
export const modelsCommand = Command.make(
  "models",
  { json: flags.json, backend, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { surveyBackends } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const { backends } = yield* surveyBackends({ config: input.config, overrides: flags.addressOverrides(input) })
    const wanted = Option.getOrUndefined(input.backend)
    const chosen = wanted === undefined ? backends : backends.filter(({ name }) => name === wanted)
    if (wanted !== undefined && chosen.length === 0) {
      const names = backends.map(({ name }) => name).join(", ")
      return yield* new CliFailure({
        message: `There is no backend '${wanted}'. ${names === "" ? "There are none" : `Backends: ${names}`}`
      })
    }
    const rows = modelRows(chosen)
    if (input.json) return yield* Console.log(jsonText({ models: rows }))
    yield* rows.length === 0 ? Console.error("No healthy backend serves a model.") : Console.log(toTable(rows, chosen))
  })
).pipe(
  Command.withDescription("List the models that can be used, and the backends that serve them"),
  Command.withExamples([
    { command: "nexus models" },
    { command: "nexus models --backend local-ollama --json", description: "Those of one backend, for a program" }
  ]),
  Command.withSubcommands([...modelActionCommands])
)
