/**
 * nexus top: backends and requests under way, kept up to date, with keys that act on them.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { Command } from "effect/cli"
import { CliFailure } from "../exit-failure.ts"
import { requestText } from "../explain.ts"
import * as flags from "../flags.ts"
import { endRequested, takeKeys, takeScreen } from "../screen.ts"
import { linesAtATime, press, type TopAction, topLines, topState, withLook } from "./top-view.ts"

type Event = { readonly key: string } | "resized" | "looked"

/** The command. */
export const topCommand = Command.make(
  "top",
  { interval: flags.interval("Time between two looks"), config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    if (process.stdout.isTTY !== true || process.stdin.isTTY !== true) {
      return yield* new CliFailure({ message: "nexus top needs a terminal; nexus status says the same once" })
    }
    const { atGateway } = yield* Effect.promise(() => import("../../remote/target.ts"))
    const client = yield* Effect.promise(() => import("../../remote/gateway-client.ts"))
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    const inColour = (process.stdout.getColorDepth?.() ?? 1) > 1
    yield* atGateway(
      options,
      Effect.fnUntraced(function* (address) {
        const look = Effect.all([client.askStats(address), client.askUnderWay(address)])
        const [stats, { requests }] = yield* look
        let state = topState(stats, requests)
        const events = yield* Queue.unbounded<Event>()
        const tell = (event: Event): void => void Queue.offerUnsafe(events, event)
        const looks = look.pipe(
          Effect.match({
            onFailure: ({ message }) => {
              state = { ...state, trouble: message }
            },
            onSuccess: ([now, { requests: underWay }]) => {
              state = withLook(state, now, underWay)
            }
          }),
          Effect.andThen(Effect.sync(() => tell("looked")))
        )
        const perform = (action: TopAction) => {
          switch (action._tag) {
            case "Cancel":
              return Effect.as(client.askCancel(address, action.id), `Cancelled ${action.id}.`)
            case "SetMode":
              return Effect.map(
                client.askSetMode(address, action.name, action.mode),
                ({ mode, name }) => `${name} is ${mode} now.`
              )
            case "Explain":
              return Effect.map(client.askOneUnderWay(address, action.id), (explained) => {
                state = { ...state, page: { lines: requestText(explained).split("\n"), from: 0 } }
                return ""
              })
          }
        }
        const does = (action: TopAction) =>
          perform(action).pipe(
            Effect.match({ onFailure: ({ message }) => message, onSuccess: (told) => told }),
            Effect.map((told) => {
              state = { ...state, told }
            }),
            Effect.andThen(looks)
          )
        const shown = Effect.gen(function* () {
          const screen = yield* takeScreen(() => tell("resized"))
          yield* takeKeys((key) => tell({ key }))
          yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(input.interval * 1000), looks)))
          screen.change(topLines(state, address.url, screen.size(), inColour), true)
          while (true) {
            const event = yield* Queue.take(events)
            if (typeof event === "object") {
              const pressed = press(state, event.key, linesAtATime(state, address.url, screen.size().rows))
              ;({ state } = pressed)
              if (pressed.does === "quit") return
              if (pressed.does !== undefined) yield* Effect.forkScoped(does(pressed.does))
            }
            screen.change(topLines(state, address.url, screen.size(), inColour), event === "resized")
          }
        })
        yield* Effect.raceFirst(Effect.scoped(shown), endRequested)
      })
    )
  })
).pipe(
  Command.withDescription("Watch backends and requests under way, and cancel, drain or explain with a key"),
  Command.withExamples([{ command: "nexus top" }, { command: "nexus top --interval 0.5" }])
)
