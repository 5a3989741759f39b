/**
 * nexus requests: what the gateway is at work on now, and the way to end it.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Argument, Command } from "effect/cli"
import type { QueuePlaceEntry, RequestUnderWay } from "../api/admin-api.ts"
import * as flags from "./flags.ts"
import { duration, jsonText, shownTable } from "./output.ts"

const age = (ms: number): string => (ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : duration(Math.floor(ms / 1000)))

const size = (bytes: number): string => (bytes < 10_240 ? `${bytes} B` : `${Math.round(bytes / 1024)} KB`)

/** A place among those that wait, such as `number 3, about 12s`. */
export const placeText = ({ position, seconds }: QueuePlaceEntry): string =>
  `number ${position}${seconds > 0 ? `, about ${age(seconds * 1000)}` : ""}`

const toRow = (request: RequestUnderWay): ReadonlyArray<string> => [
  request.id,
  request.model === "" ? "-" : request.model,
  request.backend === "" ? "-" : request.backend,
  request.queue === undefined ? request.phase : `${request.phase}, ${placeText(request.queue)}`,
  age(request.phase_ms),
  String(request.attempts),
  age(request.age_ms),
  size(request.bytes) + (request.stream ? `, ${request.pieces} ${request.pieces === 1 ? "piece" : "pieces"}` : "")
]

/** The requests as rows of a table, those that came first at the top. */
export const requestRows = (requests: ReadonlyArray<RequestUnderWay>) => ({
  heading: ["Request", "Model", "Backend", "Phase", "For", "Attempts", "Age", "Answer"],
  rows: requests.map(toRow)
})

const options = { json: flags.json, config: flags.config, host: flags.host, port: flags.port }

const cancel = Command.make(
  "cancel",
  {
    request: Argument.String("request").pipe(Argument.withDescription("Its x-request-id, as the table shows it")),
    ...options
  },
  Effect.fnUntraced(function* (input) {
    const { cancelRequest } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const ended = yield* cancelRequest(flags.places(input), input.request)
    if (input.json) return yield* Console.log(jsonText(ended))
    for (const { backend, bytes, id, model, phase } of ended.requests) {
      const where = backend === "" ? "" : ` at ${backend}`
      const so = phase === "committed" ? `after ${size(bytes)} of its answer` : `while ${phase}`
      yield* Console.log(`Cancelled ${id}${model === "" ? "" : ` for ${model}`}${where}, ${so}.`)
    }
  })
).pipe(
  Command.withDescription("End a request under way: its client gets an error, and no backend is held to blame"),
  Command.withExamples([{ command: "nexus requests cancel 68e95496-5d54-4ec4-b0e0-b39928b055ac" }])
)

/** The command. */
export const requestsCommand = Command.make(
  "requests",
  options,
  Effect.fnUntraced(function* (input) {
    const { requestsUnderWay } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const found = yield* requestsUnderWay(flags.places(input))
    if (input.json) return yield* Console.log(jsonText(found))
    if (found.requests.length === 0) return yield* Console.error("No request is under way.")
    const { heading, rows } = requestRows(found.requests)
    yield* Console.log(shownTable(heading, rows))
  })
).pipe(
  Command.withDescription("Show the requests that are under way, and end one"),
  Command.withExamples([{ command: "nexus requests" }, { command: "nexus requests --json" }]),
  Command.withSubcommands([cancel])
)
