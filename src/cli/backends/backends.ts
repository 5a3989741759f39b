/**
 * nexus backends: the servers behind the gateway.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Command, Flag } from "effect/cli"
import { healthStatuses } from "../../domain/backend-health.ts"
import type { BackendEntry } from "../../api/backend-entry.ts"
import { backendChanges } from "./backend-changes.ts"
import * as flags from "../flags.ts"
import { jsonText, milliseconds, shownTable } from "../output.ts"
import { slotsText } from "../../api/slots-text.ts"

const circuits = ({ circuits, cooling_ms }: BackendEntry): ReadonlyArray<string> => [
  ...(cooling_ms > 0 ? [`cooling for ${Math.ceil(cooling_ms / 1000)} s`] : []),
  ...circuits
    .filter(({ state }) => state !== "closed")
    .map(({ model, state }) => `circuit ${state === "open" ? "open" : "half open"} for ${model}`)
]

/** Why a backend is not asked, or not for everything, in words for a person; empty when there is nothing to say. */
export const reasonsOf = (entry: BackendEntry): string =>
  [...(entry.reason === "" ? [] : [entry.reason]), ...circuits(entry)].join("; ")

const slotsIn = ({ models }: BackendEntry) =>
  models.flatMap(({ id, slots, slots_from: from }) =>
    slots === undefined || from === undefined ? [] : [{ model: id, slots, from }]
  )

const toRow = (entry: BackendEntry, slots: boolean): ReadonlyArray<string> => [
  entry.name,
  entry.url,
  entry.origin === "config" ? entry.type : `${entry.type} (${entry.origin})`,
  entry.zone ?? "-",
  entry.mode === "enabled" ? entry.status : entry.mode,
  String(entry.models.length),
  ...(slots ? [slotsText(slotsIn(entry)) || "-"] : []),
  milliseconds(entry.latency_ms),
  reasonsOf(entry)
]

const dialectRows = ({ dialects = [], name }: BackendEntry): ReadonlyArray<ReadonlyArray<string>> =>
  dialects.map((each) => [
    name,
    each.name,
    each.native ? "natively" : each.name.includes("/") ? "estimated" : "translated",
    each.reason,
    each.source
  ])

/** The JSON form of a backend; `models` are ids, times in milliseconds. */
export const toJson = (entry: BackendEntry) => {
  const { name, url, type, origin, zone, priority, mode, status, reason, models, latency_ms, in_flight } = entry
  return {
    name,
    url,
    backend_type: type,
    mode,
    status,
    models: models.map(({ id }) => id),
    slots: slotsIn(entry),
    avg_latency_ms: latency_ms,
    reason,
    origin,
    ...(zone === undefined ? {} : { zone }),
    priority,
    in_flight,
    kept_warm: entry.kept_warm ?? [],
    cooling_ms: entry.cooling_ms,
    circuits: entry.circuits,
    dialects: entry.dialects ?? []
  }
}

const status = Flag.Literals("status", healthStatuses).pipe(
  Flag.withAlias("s"),
  Flag.withDescription("Only backends in this state"),
  Flag.optional
)

const dialects = flags.onOff("dialects", "Which APIs they have, whether they are asked in them, and why not")

const list = Command.make(
  "list",
  { json: flags.json, status, dialects, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { surveyBackends } = yield* Effect.promise(() => import("../../remote/survey.ts"))
    const { backends } = yield* surveyBackends({ config: input.config, overrides: flags.addressOverrides(input) })
    const wanted = Option.getOrUndefined(input.status)
    const chosen = wanted === undefined ? backends : backends.filter((each) => each.status === wanted)
    if (input.json) return yield* Console.log(jsonText({ backends: chosen.map(toJson) }))
    if (chosen.length === 0) {
      return yield* Console.error(wanted === undefined ? "There are no backends." : `No backend is ${wanted}.`)
    }
    if (input.dialects) {
      return yield* Console.log(
        shownTable(["Name", "API", "Asked", "Why not natively", "Known by"], chosen.flatMap(dialectRows), 2)
      )
    }
    const slots = chosen.some((entry) => slotsIn(entry).length > 0)
    const heading = [
      "Name",
      "URL",
      "Type",
      "Zone",
      "Status",
      "Models",
      ...(slots ? ["Slots"] : []),
      "Latency",
      "Reason"
    ]
    const rows = chosen.map((entry) => toRow(entry, slots))
    yield* Console.log(shownTable(heading, rows))
  })
).pipe(
  Command.withDescription("List the backends with their state, models, slots and latency"),
  Command.withExamples([
    { command: "nexus backends list" },
    { command: "nexus backends list --status unhealthy" },
    { command: "nexus backends list --dialects" }
  ])
)

/** The command. */
export const backendsCommand = Command.make("backends").pipe(
  Command.withDescription("The servers behind the gateway"),
  Command.withSubcommands([list, ...backendChanges])
)
