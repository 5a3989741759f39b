/**
 * nexus models load, unload and pull: what backends have in memory and on their disks.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Option from "effect/Option"
import type { ModelActionEvent } from "../api/lifecycle-api.ts"
import * as flags from "./flags.ts"
import { progressLine, shareOf } from "./progress-bar.ts"
import { printable } from "../domain/printable.ts"
import { writeLine } from "./screen.ts"

const model = Argument.String("model").pipe(
  Argument.withDescription("Its name; MODEL@BACKEND is the one at that backend")
)

const backend = Flag.String("backend").pipe(
  Flag.withAlias("b"),
  Flag.withMetavar("NAME"),
  Flag.withDescription("At which backend, where several could be meant"),
  Flag.optional
)

const json = flags.onOff("json", "Print a JSON value a line as it goes on, instead of words")

const write = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stdout.write(text)
  })

const clearLine = "\r\u001b[K"

/** Draws in place. */
const drawn = (event: ModelActionEvent): Effect.Effect<void> =>
  event.done === true || event.error !== undefined
    ? write(clearLine)
    : write(clearLine + progressLine(event, (process.stdout.columns || 80) - 1))

// A line for each tenth of the way, and for each thing that it is at.
const said = () => {
  let last = ""
  return (event: ModelActionEvent): Effect.Effect<void> => {
    const share = shareOf(event)
    const stage = `${event.status} ${share === undefined ? "" : Math.floor(share * 10)}`
    if (stage === last || event.done === true || event.error !== undefined) return Effect.void
    last = stage
    return writeLine(progressLine(event, Infinity).replace(/ {2}\[[= ]*\]/, ""))
  }
}

const did = { load: "is loaded", unload: "is no longer loaded", pull: "is there" } as const

const action = (name: ModelActionEvent["action"], description: string, examples: ReadonlyArray<string>) =>
  Command.make(
    name,
    { model, backend, json, config: flags.config, host: flags.host, port: flags.port },
    Effect.fnUntraced(function* (input) {
      const { atGateway } = yield* Effect.promise(() => import("../remote/target.ts"))
      const { askModelAction } = yield* Effect.promise(() => import("../remote/ask-model-action.ts"))
      const target = {
        model: input.model,
        ...Option.match(input.backend, { onNone: () => ({}), onSome: (one) => ({ backend: one }) })
      }
      const show = input.json
        ? (event: ModelActionEvent) => writeLine(printable(JSON.stringify(event)))
        : process.stdout.isTTY === true
          ? drawn
          : said()
      const end = (event: ModelActionEvent): Effect.Effect<void> =>
        event.done === true && !input.json
          ? Console.log(
              `${printable(event.model)} ${did[name]} at ${event.backend}, after ${event.seconds.toFixed(1)} s.`
            )
          : Effect.void
      yield* atGateway({ config: input.config, overrides: flags.addressOverrides(input) }, (address) =>
        askModelAction(address, name, target, (event) => Effect.andThen(show(event), end(event)))
      )
    })
  ).pipe(Command.withDescription(description), Command.withExamples(examples.map((command) => ({ command }))))

/** The commands. */
export const modelActionCommands = [
  action("load", "Have a backend load a model into memory, and show how far it is", [
    "nexus models load llama3:70b --backend gpu-box"
  ]),
  action("unload", "Have a backend take a model out of memory", ["nexus models unload llama3:70b"]),
  action("pull", "Have a backend get a model onto its disk, and show how far it is", [
    "nexus models pull qwen3:8b --backend local-ollama"
  ])
] as const
