/**
 * nexus status: what the running gateway does, once or as a view that is kept up to date.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Command, Flag } from "effect/cli"
import type { Stats } from "../../api/stats-api.ts"
import type { GatewayRefused, NoGateway } from "../../remote/gateway-client.ts"
import * as flags from "../flags.ts"
import { jsonText, terminalRoom } from "../output.ts"
import { endRequested, writeLine, type Screen, takeScreen } from "../screen.ts"
import { statusLines } from "./status-view.ts"

const watch = flags.onOff("watch", "Keep the view up to date until Ctrl-C").pipe(Flag.withAlias("w"))

const interval = flags.interval(
  "Longest time between two looks with --watch; a backend that changes, and a gateway that goes, is shown at once"
)

/** One look: the figures, or in words why there are none. */
type Look = { readonly stats: Stats } | { readonly trouble: string }

type Ask<R> = Effect.Effect<Stats, NoGateway | GatewayRefused, R>

/** What is looked at, how its changes are followed, and how often it is looked at without one. */
interface Watched<R> {
  readonly ask: Ask<R>
  readonly askState: (since: string | undefined) => Effect.Effect<string, NoGateway | GatewayRefused, R>
  /** The state before the first look, where the gateway could tell. */
  readonly state: string | undefined
  readonly seconds: number
}

const look = <R>(ask: Ask<R>): Effect.Effect<Look, never, R> =>
  ask.pipe(
    Effect.map((stats): Look => ({ stats })),
    Effect.catch(({ message }) => Effect.succeed<Look>({ trouble: message }))
  )

/** Between two questions about changes: a backend that comes and goes all the time is shown ten times a second at most. */
const breath = "100 millis"

/** Between two questions to a gateway that has gone, in seconds, however seldom it is looked at. */
const comesBack = 1

/** Opens the latch when a backend has changed, the gateway has gone or is back; one that never told is looked at by the clock alone. */
const follow = <E, R>(
  askState: (since: string | undefined) => Effect.Effect<string, E, R>,
  changed: Latch.Latch,
  first: string | undefined,
  seconds: number
): Effect.Effect<never, never, R> =>
  Effect.gen(function* () {
    let seen = first
    let tells = first !== undefined
    while (true) {
      const state = yield* Effect.option(askState(seen))
      if (Option.isNone(state)) {
        if (seen !== undefined) changed.openUnsafe()
        seen = undefined
        yield* Effect.sleep((tells ? Math.min(comesBack, seconds) : seconds) * 1000)
        continue
      }
      if (tells && state.value !== seen) changed.openUnsafe()
      seen = state.value
      tells = true
      yield* Effect.sleep(breath)
    }
  })

/** Looks again and again, at the latest after the interval; the first look has succeeded. */
const repeat = <R>(
  { ask, askState, seconds, state }: Watched<R>,
  first: Stats,
  show: (look: Look) => Effect.Effect<void>
): Effect.Effect<void, never, R> =>
  Effect.gen(function* () {
    const changed = Latch.makeUnsafe(false)
    const looks = Effect.gen(function* () {
      yield* show({ stats: first })
      while (true) {
        yield* Effect.raceFirst(Effect.sleep(seconds * 1000), changed.await)
        changed.closeUnsafe()
        yield* show(yield* look(ask))
      }
    })
    return yield* Effect.raceFirst(looks, follow(askState, changed, state, seconds))
  })

const drawOn = (screen: Screen, url: string, seen: Look): void => {
  const lines = "stats" in seen ? statusLines(seen.stats, url, screen.size()) : [seen.trouble, "Trying again."]
  screen.draw(lines)
}

/** Draws in place, also when the terminal has changed its size. */
const live = <R>(watched: Watched<R>, first: Stats, url: string): Effect.Effect<void, never, R | Scope.Scope> =>
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
    yield* Effect.raceFirst(repeat(watched, first, show), redraw)
  })

const line = (seen: Look): string => JSON.stringify("stats" in seen ? seen.stats : { error: seen.trouble })

/** Says each look anew, for whoever reads a pipe or a file. */
const plain = <R>(watched: Watched<R>, first: Stats, url: string, asJson: boolean) =>
  repeat(watched, first, (seen) =>
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
    const { askChanges, askStats } = yield* Effect.promise(() => import("../../remote/gateway-client.ts"))
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    yield* atGateway(
      options,
      Effect.fnUntraced(function* (address) {
        const { url } = address
        const ask = askStats(address)
        const askState = (since: string | undefined) => askChanges(address, since)
        const state = input.watch ? Option.getOrUndefined(yield* Effect.option(askState(undefined))) : undefined
        const first = yield* ask
        if (!input.watch) {
          return yield* Console.log(
            input.json ? jsonText(first) : statusLines(first, url, undefined, terminalRoom()).join("\n")
          )
        }
        const watched = {
          ask,
          askState,
          state,
          seconds: input.interval
        }
        const onTerminal = process.stdout.isTTY === true && !input.json
        const shown = onTerminal ? Effect.scoped(live(watched, first, url)) : plain(watched, first, url, input.json)
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
