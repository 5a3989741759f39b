/**
 * nexus replay: a recording, served in place of the server that it was made of, or sent to another one.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { printable } from "../domain/printable.ts"
import type { Recording } from "../recording/recording-format.ts"
import type { ReplayRow, SentAgain } from "../recording/recording-sender.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { figure, jsonText, shownTable, thousands } from "./output.ts"
import { textOfFile } from "./read-file.ts"
import { endRequested, writeLine } from "./screen.ts"

/** The speed of a flag such as 2 or max; undefined when it is none. */
const speedOf = (text: string): number | undefined => {
  if (text === "max") return Number.POSITIVE_INFINITY
  const speed = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : 0
  return speed > 0 ? speed : undefined
}

const input = {
  file: Argument.String("file").pipe(Argument.withDescription("A file of nexus record")),
  serve: flags.onOff(
    "serve",
    "Serve what was recorded: a request gets what the same one got, else what another one for its model got"
  ),
  to: Flag.String("to").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Send the requests there, at the times of the recording, and compare what comes of them"),
    Flag.optional
  ),
  speed: Flag.String("speed").pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (value) => speedOf(value) !== undefined,
      (value) => `Expected a number such as 2 or 0.5, or max, got ${value}`
    ),
    Flag.withDescription("How many times as fast as it was; max waits for nothing"),
    Flag.withDefault("1")
  ),
  concurrency: flags.bounded(
    "concurrency",
    10_000,
    "With --to: requests that are under way at a time; further ones are late",
    64
  ),
  keyEnv: flags.keyEnv,
  yes: flags.yes,
  json: flags.json,
  port: flags.port.pipe(Flag.withDescription("With --serve: port it listens on; 8800 when absent, a free one for 0"))
}

const usualPort = 8800

const readFile = Effect.fnUntraced(function* (
  path: string
): Effect.fn.Return<Recording, CliFailure, FileSystem.FileSystem> {
  const { readRecording } = yield* Effect.promise(() => import("../recording/recording-format.ts"))
  const recording = readRecording(yield* textOfFile(path))
  if (Result.isFailure(recording)) return yield* new CliFailure({ message: `${path}: ${recording.failure}` })
  if (recording.success.torn) yield* Console.error(`warning: ${path}: its last line is not whole, and is left out`)
  if (recording.success.exchanges.length === 0)
    return yield* new CliFailure({ message: `${path}: the recording holds no exchange` })
  return recording.success
})

const said = {
  exact: "as recorded",
  model: "what another request for its model got; this one is not in the recording",
  none: "nothing like it is in the recording"
} as const

const serveFile = Effect.fnUntraced(function* ({ exchanges }: Recording, speed: number, port: number) {
  const { isServable, serveRecording } = yield* Effect.promise(() => import("../recording/recording-server.ts"))
  const { listen } = yield* Effect.promise(() => import("../http/listen.ts"))
  const { Dialects } = yield* Effect.promise(() => import("../dialect/all.ts"))
  const servable = exchanges.filter(isServable)
  if (servable.length === 0)
    return yield* new CliFailure({ message: "The recording holds no answer that could be served" })
  const fetch = yield* serveRecording({
    exchanges,
    dialects: yield* Dialects,
    speed,
    onAnswer: ({ match, model, operation }) => writeLine(printable(`${operation} ${model}: ${said[match]}`))
  })
  const listening = yield* listen({ hostname: "127.0.0.1", port, fetch }).pipe(
    Effect.catchTag("ListenFailed", ({ reason }) =>
      Effect.fail(new CliFailure({ message: `Cannot listen on port ${port}: ${reason}; -p names another port` }))
    )
  )
  const left = exchanges.length - servable.length
  yield* Console.log(
    printable(
      `The recording is served on http://127.0.0.1:${listening.port}: ${servable.length} answers of ${[...new Set(servable.map(({ model }) => model))].join(", ")}.`
    )
  )
  if (left > 0) yield* Console.log(`${left} whose client had left, or which nobody answered, are left out.`)
  yield* endRequested
}, Effect.scoped)

const change = (
  { before, now }: { readonly before: number | null; readonly now: number | null },
  unit: string
): string => (before === null && now === null ? "-" : `${figure(before)} -> ${figure(now)}${unit}`)

const replayTable = (rows: ReadonlyArray<ReplayRow>): string =>
  shownTable(
    ["Operation", "Model", "Requests", "Same status", "Others", "First token", "Tokens/s"],
    rows.map((row) => [
      row.operation,
      row.model,
      String(row.requests),
      String(row.same_status),
      Object.entries(row.changed)
        .map(([words, count]) => `${words}: ${count}`)
        .join(", ") || "-",
      change(row.first_token_ms, " ms"),
      change(row.tokens_per_second, "")
    ]),
    2
  )

const sendFile = Effect.fnUntraced(function* (
  { exchanges }: Recording,
  url: string,
  given: {
    readonly speed: number
    readonly concurrency: number
    readonly keyEnv: Option.Option<string>
    readonly yes: boolean
    readonly json: boolean
  }
) {
  const { askedBase, isBeyondHome } = yield* Effect.promise(() => import("../load/asked-url.ts"))
  const target = askedBase(url)
  if (target === undefined)
    return yield* new CliError.ValidationError({ message: "--to takes a URL that begins with http:// or https://" })
  const { replayRows, sendRecording } = yield* Effect.promise(() => import("../recording/recording-sender.ts"))
  const { withTransport } = yield* Effect.promise(() => import("../remote/target.ts"))
  const { keyInVariable } = yield* Effect.promise(() => import("../config/NexusConfig.ts"))
  const { Transport } = yield* Effect.promise(() => import("../upstream/Transport.ts"))
  const { Dialects } = yield* Effect.promise(() => import("../dialect/all.ts"))
  const { isFull, summary } = plannedWork(exchanges)
  yield* Console.error(`Sends ${summary} to ${target}.`)
  if (isBeyondHome(target) && !given.yes)
    return yield* new CliFailure({
      message: `${target} is beyond this machine and its networks, where tokens may cost money; --yes sends them`
    })
  if (!isFull) yield* Console.error("Of some the recording holds no tokens; they come on top.")
  const key = Option.isNone(given.keyEnv) ? undefined : yield* keyInVariable(given.keyEnv.value)
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` }
  const sent: Array<SentAgain> = []
  const sending = Effect.gen(function* () {
    const { concurrency, speed } = given
    const transport = yield* Transport
    const onAnswer = (each: SentAgain): void => void sent.push(each)
    yield* sendRecording({
      transport,
      dialects: yield* Dialects,
      exchanges,
      target,
      headers,
      speed,
      concurrency,
      onAnswer
    })
    return true
  })
  const isWhole = yield* withTransport(Effect.raceFirst(sending, Effect.as(endRequested, false)))
  const rows = replayRows(sent)
  const late = sent.filter(({ lateMs }) => lateMs > 100).length
  if (given.json)
    yield* Console.log(jsonText({ target, whole: isWhole, sent: sent.length, recorded: exchanges.length, late, rows }))
  else if (rows.length > 0) yield* Console.log(replayTable(rows))
  if (!isWhole) yield* Console.error(`Ended early: ${sent.length} of ${exchanges.length} were answered.`)
  if (late > 0 && Number.isFinite(given.speed))
    yield* Console.error(
      `${late} were sent more than 100 ms late: --concurrency, or this machine, was too small for them.`
    )
  const others = rows.reduce((sum, row) => sum + row.requests - row.same_status, 0)
  if (others > 0)
    return yield* new CliFailure({ message: `${others} of ${sent.length} got another status than in the recording` })
})

/** What a recording asks for, in words, and whether all of it is known. */
const plannedWork = (exchanges: Recording["exchanges"]): { readonly summary: string; readonly isFull: boolean } => {
  const length = exchanges.reduce((sum, { request }) => sum + (request.body?.length ?? 0), 0)
  const isFull = exchanges.every(({ request }) => request.body !== undefined)
  const words = exchanges.length === 1 ? "1 request" : `${thousands(exchanges.length)} requests`
  return { summary: `${words}, about ${thousands(Math.ceil(length / 4))} tokens of prompts,`, isFull }
}

/** The command. */
export const replayCommand = Command.make(
  "replay",
  input,
  Effect.fnUntraced(function* (given) {
    if (given.serve === Option.isSome(given.to))
      return yield* new CliError.ValidationError({ message: "Give one of --serve and --to URL" })
    const recording = yield* readFile(given.file)
    const speed = speedOf(given.speed) ?? 1
    if (Option.isSome(given.to)) return yield* sendFile(recording, given.to.value, { ...given, speed })
    return yield* serveFile(
      recording,
      speed,
      Option.getOrElse(given.port, () => usualPort)
    )
  })
).pipe(
  Command.withDescription(
    "Serve a recording of nexus record in place of the server that it was made of, or send its requests to another one and compare"
  ),
  Command.withExamples([
    { command: "nexus replay session.jsonl --serve --speed max" },
    { command: "nexus replay session.jsonl --to http://127.0.0.1:8000" }
  ])
)
