/**
 * nexus captures: the prompts and answers that are stored.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Argument, Command } from "effect/cli"
import type { CaptureList } from "../api/captures-api.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { jsonText, printableLines, shownTable } from "./output.ts"

const options = { json: flags.json, config: flags.config, host: flags.host, port: flags.port }

const id = Argument.Int("id").pipe(Argument.withDescription("Its number, as the list shows it"))

const rowOf = ({ at, bytes, facts, id }: CaptureList["captures"][number]): ReadonlyArray<string> => [
  String(id),
  new Date(at).toISOString(),
  facts === null ? "sealed with another key" : facts.model,
  facts?.key ?? "-",
  facts === null ? "-" : `${facts.outcome}, ${facts.status}`,
  `${Math.ceil(bytes / 1024)} KB`
]

const list = Command.make(
  "list",
  options,
  Effect.fnUntraced(function* (input) {
    const { listCaptures } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const found = yield* listCaptures(flags.places(input))
    if (input.json) return yield* Console.log(jsonText(found))
    if (found.captures.length === 0) return yield* Console.log("Nothing is stored.")
    yield* Console.log(shownTable(["Capture", "At", "Model", "Key", "Outcome", "Size"], found.captures.map(rowOf)))
  })
).pipe(Command.withDescription("List the prompts and answers that were stored last, without their texts"))

const show = Command.make(
  "show",
  { id, ...options },
  Effect.fnUntraced(function* (input) {
    const { showCapture } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const found = yield* showCapture(flags.places(input), input.id)
    const { answer, request } = found
    yield* Console.log(input.json ? jsonText(found) : printableLines(`Request:\n${request}\n\nAnswer:\n${answer}`))
  })
).pipe(
  Command.withDescription("Show one, with its texts"),
  Command.withExamples([{ command: "nexus captures show 12" }])
)

const remove = Command.make(
  "delete",
  {
    id: id.pipe(Argument.optional),
    all: flags.onOff("all", "Delete all of them"),
    ...options
  },
  Effect.fnUntraced(function* (input) {
    const { deleteCaptures } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const one = input.id._tag === "Some" ? input.id.value : undefined
    if ((one === undefined) !== input.all) return yield* new CliFailure({ message: "Give the number of one, or --all" })
    const found = yield* deleteCaptures(flags.places(input), one)
    yield* Console.log(input.json ? jsonText(found) : `Deleted ${found.deleted}.`)
  })
).pipe(
  Command.withDescription("Delete one, or all"),
  Command.withExamples([{ command: "nexus captures delete 12" }, { command: "nexus captures delete --all" }])
)

/** The command. */
export const capturesCommand = Command.make("captures").pipe(
  Command.withDescription("List, show and delete the prompts and answers that [capture] has stored"),
  Command.withSubcommands([list, show, remove])
)
