/**
 * nexus connect: what to put into a client so that it uses the gateway.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, Command, Flag } from "effect/cli"
import { nearest } from "../config/nearest.ts"
import { type ClientName, clientNamed, clientNames, clients } from "../connect/clients.ts"
import { changeLines } from "../connect/settings-file.ts"
import { chooseModels, chooseModelByName, type ClientModel } from "../connect/suitable-models.ts"
import { clientBaseUrl, keyVariable, type ClientSetup } from "../connect/client-setup.ts"
import { printable } from "../domain/printable.ts"
import type { GatewayForClients } from "../remote/survey.ts"
import { type WrittenSettings, writeSettings } from "./connect-write.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { jsonText, tableText } from "./output.ts"

const client = Argument.Literals("client", clientNames).pipe(
  Argument.withDescription("The client; all are listed when it is left out"),
  Argument.optional
)

const model = Flag.String("model").pipe(
  Flag.withAlias("m"),
  Flag.withMetavar("MODEL"),
  Flag.withDescription("Model or alias to name; one that calls tools when left out"),
  Flag.optional
)

const url = Flag.String("url").pipe(
  Flag.withMetavar("URL"),
  Flag.filter(
    (value) => /^https?:\/\/[^\s/?#]+(\/[^\s?#]*)?$/.test(value),
    (value) => `Expected a URL that begins with http:// or https://, got ${value}`
  ),
  Flag.withDescription("Address by which the client reaches the gateway, when it is another than here"),
  Flag.optional
)

const write = flags.onOff("write", "Put it into the client's own settings file; the file as it was is kept beside it")

/** What stands where a model must be named and none is known. */
const placeholder = "MODEL"

const notServed = (wanted: string, names: ReadonlyArray<string>): CliFailure => {
  const near = nearest(wanted, names)
  const known = names.length === 0 ? "none is served now" : `there are ${names.join(", ")}`
  return new CliFailure({
    message: printable(`No model '${wanted}': ${near === undefined ? known : `did you mean ${near}?`}`)
  })
}

const modelFor = (
  { backends, aliases, problem }: GatewayForClients,
  wanted: string | undefined,
  chat: ReadonlyArray<ClientModel>
): ClientModel | undefined => {
  if (wanted === undefined) return chat[0] ?? { id: placeholder }
  return problem === undefined ? chooseModelByName(backends, aliases, wanted) : { id: wanted }
}

const listing = (): string =>
  tableText(
    ["Client", "For", "Prints", "--write"],
    clientNames.map((name) => {
      const file = clientNamed(name).file
      return [name, clients[name].title, clients[name].format, file === undefined ? "" : `~/${file.home.join("/")}`]
    })
  )

const asJson = (name: ClientName, { baseUrl, keyNeeded, model, embedder }: ClientSetup, settings: string) => ({
  client: name,
  base_url: baseUrl,
  key: { needed: keyNeeded, variable: keyVariable },
  model: model.id,
  embedding_model: embedder ?? null,
  format: clients[name].format,
  settings
})

const writable = clientNames.filter((name) => clientNamed(name).file !== undefined)

/** Writes the settings of a client, and shows what is another value now. */
const writeInto = Effect.fnUntraced(function* (name: ClientName, setup: ClientSetup, json: boolean) {
  const file = clientNamed(name).file
  if (file === undefined) {
    return yield* new CliFailure({
      message: `${clients[name].title} has no settings file that can be edited; --write is for ${writable.join(", ")}`
    })
  }
  if (setup.model.id === placeholder) {
    return yield* new CliFailure({ message: "No model to name: start the gateway first, or name one with --model" })
  }
  const { backup, changes, path }: WrittenSettings = yield* writeSettings(file, setup)
  if (json) {
    const keys = changes.map((change) => change.path)
    return yield* Console.log(jsonText({ client: name, file: path, backup: backup ?? null, changed: keys }))
  }
  for (const line of changeLines(changes)) yield* Console.log(line)
  if (changes.length === 0) yield* Console.error(`${printable(path)} has it all already.`)
  else
    yield* Console.error(
      `Wrote ${printable(path)}${backup === undefined ? "" : `; a copy of what it was is ${printable(backup)}`}.`
    )
  const { besides } = clientNamed(name)
  if (besides !== undefined) yield* Console.error(`${besides}.`)
  else if (setup.keyNeeded)
    yield* Console.error(`The key is taken from ${keyVariable}; set it where the client is started.`)
})

/** The command; only what is to be pasted goes to standard output. */
export const connectCommand = Command.make(
  "connect",
  { client, model, url, write, json: flags.json, config: flags.config, host: flags.host, port: flags.port },
  Effect.fnUntraced(function* (input) {
    if (Option.isNone(input.client)) {
      const rows = clientNames.map((name) => ({
        client: name,
        title: clients[name].title,
        format: clients[name].format
      }))
      return yield* Console.log(input.json ? jsonText({ clients: rows }) : listing())
    }
    const name = input.client.value
    const { describeGateway } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const found = yield* describeGateway({ config: input.config, overrides: flags.addressOverrides(input) })
    const { chat, embedder, names } = chooseModels(found.backends, found.aliases)
    const wanted = Option.getOrUndefined(input.model)
    const chosen = modelFor(found, wanted, chat)
    if (chosen === undefined) return yield* notServed(wanted ?? "", names)
    if (found.problem !== undefined) yield* Console.error(`${found.problem}. Its models are not known.`)
    if (chosen.id === placeholder && !input.write)
      yield* Console.error(`Put the name of a model in place of ${placeholder}.`)
    const setup: ClientSetup = {
      baseUrl: clientBaseUrl(Option.getOrElse(input.url, () => found.url)),
      keyNeeded: found.keyNeeded,
      model: chosen,
      others: chat.filter(({ id }) => id !== chosen.id),
      embedder
    }
    if (input.write) return yield* writeInto(name, setup, input.json)
    const settings = clients[name].settings(setup)
    if (input.json) return yield* Console.log(jsonText(asJson(name, setup, settings)))
    yield* Console.log(settings)
    yield* Console.error(`# ${clients[name].paste}.`)
  })
).pipe(
  Command.withDescription("Print what to put into a client (an editor, a chat, a library) so that it uses the gateway"),
  Command.withExamples([
    { command: "nexus connect" },
    { command: "nexus connect zed" },
    { command: "nexus connect claude-code --write" },
    { command: "nexus connect open-webui --url http://host.docker.internal:8000" }
  ])
)
