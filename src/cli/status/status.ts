/**
 * nexus status: what the running gateway does, once or as a view that is kept up to date.
 */
import { Console, Effect, Latch, type Scope } from "effect"
import { Command, Flag } from "effect/cli"
import type { Stats } from "../../operations/api/stats-api.ts"
import type { GatewayRefused, NoGateway } from "../../remote/gateway-client.ts"
import * as flags from "../flags.ts"
import { jsonText } from "../output.ts"
import { endRequested, writeLine, type Screen, takeScreen } from "../screen.ts"
import { statusLines } from "./status-view.ts"

const watch = Flag.Boolean("watch").pipe(
  Flag.withAlias("w"),
  Flag.withDescription("Keep the view up to date until Ctrl-C"),
  Flag.withoutNegation,
  Flag.withDefault(false)
)

const interval = Flag.Finite("interval").pipe(
  Flag.withAlias("i"),
  Flag.withMetavar("SECONDS"),
  Flag.filter(
    (value) => value >= 0.1 && value <= 3600,
    (value) => `Expected 0.1 to 3600 seconds, got ${value}`
  ),
  Flag.withDescription("Time between two looks with --watch"),
  Flag.withDefault(1)
)

/** One look: the figures, or in words why there are none. */
type Look = { readonly stats: Stats } | { readonly trouble: string }

type Ask<R> = Effect.Effect<Stats, NoGateway | GatewayRefused, R>

const look = <R>(ask: Ask<R>): Effect.Effect<Look, never, R> =>
  ask.pipe(
    Effect.map((stats): Look => ({ stats })),
    Effect.catch(({ message }) => Effect.succeed<Look>({ trouble: message }))
  )

/** Looks again and again; the first look has succeeded. */
const repeat = <R>(
  ask: Ask<R>,
  first: Stats,
  seconds: number,
  show: (look: Look) => Effect.Effect<void>
): Effect.Effect<void, never, R> =>
  Effect.gen(function* () {
    yield* show({ stats: first })
    while (true) {
      yield* Effect.sleep(seconds * 1000)
      yield* show(yield* look(ask))
    }
  })

const drawOn = (screen: Screen, url: string, seen: Look): void => {
  const lines = "stats" in seen ? statusLines(seen.stats, url, screen.size()) : [seen.trouble, "Trying again."]
  screen.draw(lines)
}

/** Draws in place, also when the terminal has changed its size. */
const live = <R>(
  ask: Ask<R>,
  first: Stats,
  url: string,
  seconds: number
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const resized = Latch.makeUnsafe(false)
    const screen = yield* takeScreen(() => resized.openUnsafe())
    let last: Look = { stats: first }
    const redraw = Effect.gen(function* () {
      while (true) {
        yield* resized.await
        resized.closeUnsafe()
        drawOn(screen, url, last)
      }
    })
    const show = (seen: Look) =>
      Effect.sync(() => {
        last = seen
        drawOn(screen, url, seen)
      })
    yield* Effect.raceFirst(repeat(ask, first, seconds, show), redraw)
  })

const line = (seen: Look): string => JSON.stringify("stats" in seen ? seen.stats : { error: seen.trouble })

/** Says each look anew, for whoever reads a pipe or a file. */
const plain = <R>(ask: Ask<R>, first: Stats, url: string, seconds: number, asJson: boolean) =>
  repeat(ask, first, seconds, (seen) =>
    asJson
      ? writeLine(line(seen))
      : "stats" in seen
        ? writeLine(`${statusLines(seen.stats, url, undefined).join("\n")}\n`)
        : Console.error(seen.trouble)
  )

/** The command. */
export const statusCommand = Command.make(
  "status",
  { json: flags.json, watch, interval, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    const { atGateway } = yield* Effect.promise(() => import("../../remote/target.ts"))
    const { askStats } = yield* Effect.promise(() => import("../../remote/gateway-client.ts"))
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    yield* atGateway(
      options,
      Effect.fnUntraced(function* (address) {
        const { url } = address
        const ask = askStats(address)
        const first = yield* ask
        if (!input.watch) {
          return yield* Console.log(input.json ? jsonText(first) : statusLines(first, url, undefined).join("\n"))
        }
        const onTerminal = process.stdout.isTTY === true && !input.json
        const shown = onTerminal
          ? Effect.scoped(live(ask, first, url, input.interval))
          : plain(ask, first, url, input.interval, input.json)
        yield* Effect.raceFirst(shown, endRequested)
      })
    )
  })
).pipe(
  Command.withDescription("Show what the running gateway does: backends, models, rates, first tokens, errors, streams"),
  Command.withExamples([
    { command: "nexus status" },
    { command: "nexus status --watch --interval 2" },
    { command: "nexus status --watch --json", description: "One JSON document a line, for a program" }
  ])
)
