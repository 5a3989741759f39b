/**
 * nexus backends add, remove, enable, drain and disable: changes of the running gateway.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, Command, Flag } from "effect/cli"
import { backendTypes } from "../../backend/all.ts"
import { printable } from "../../domain/printable.ts"
import type { BackendChange } from "../../api/control-api.ts"
import { CliFailure } from "../exit-failure.ts"
import * as flags from "../flags.ts"
import { jsonText } from "../output.ts"
import { confirm } from "../prompts.ts"

const address = { json: flags.json, config: flags.config, host: flags.host, port: flags.port }

const save = flags.onOff("save", "Write it to the config file as well; comments stay")

const name = Argument.String("name").pipe(Argument.withDescription("Name of the backend"))

const atGateway = Effect.fnUntraced(function* (input: flags.GatewayFlags) {
  const target = yield* Effect.promise(() => import("../../remote/target.ts"))
  const client = yield* Effect.promise(() => import("../../remote/gateway-client.ts"))
  const found = yield* target.targetGateway({ config: input.config, overrides: flags.addressOverrides(input) })
  return {
    client,
    ask: <A, E>(call: Parameters<typeof target.atGateway<A, E>>[1]) =>
      target.withTransport(target.askGateway(found, call))
  }
})

const report = (asJson: boolean, change: BackendChange, done: string): Effect.Effect<void> => {
  if (asJson) return Console.log(jsonText(change))
  const kept = change.saved === null ? "" : ` Written to ${change.saved}.`
  const note = change.note === null ? "" : ` ${change.note}.`
  return Console.log(`${done}.${kept}${note}`)
}

const optional = <A extends string, B>(key: A, value: Option.Option<B>): { readonly [K in A]?: B } =>
  Option.match(value, { onNone: () => ({}), onSome: (one) => ({ [key]: one }) as { readonly [K in A]: B } }) // reason: the key is the one that was given

const yes = flags.onOff("yes", "Agree to what --save would ask").pipe(Flag.withAlias("y"))

/** What becomes of the gateway when its first config file is made, and of what it has found. */
const firstFile = (found: ReadonlyArray<string>): string =>
  `The gateway runs without a config file. This makes nexus.toml in the directory it was started in, and it goes by that from now on. ${
    found.length === 0 ? "Discovery stays on" : `Discovery stays on: ${found.join(", ")} will still be there`
  }`

const isNear = /^(localhost|[^.:/]+|\[[^\]]+\]|[\d.]+|.*\.(local|lan|internal|home|home\.arpa|test))(:\d+)?(\/|$)/i

/** An address as a URL: what people type is `gpu-box:11434`. */
export const withScheme = (address: string): string => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) return address
  const isPlain = isNear.test(address) || /:(?!443(?:\/|$))\d+(\/|$)/.test(address)
  return `${isPlain ? "http" : "https"}://${address}`
}

const add = Command.make(
  "add",
  {
    ...address,
    save,
    yes,
    url: Argument.String("url").pipe(Argument.withDescription("Base URL, with or without http:// and /v1")),
    name: Flag.String("name").pipe(
      Flag.withDescription("What it is to be called; made from type and place"),
      Flag.optional
    ),
    type: Flag.Literals("type", backendTypes).pipe(
      Flag.withDescription("What kind of server it is; found out by asking it"),
      Flag.optional
    ),
    priority: Flag.Int("priority").pipe(Flag.withDescription("Lower is preferred; 50"), Flag.optional),
    zone: Flag.String("zone").pipe(
      Flag.withDescription("How far away it is: local, lan, cloud or a name of your own; by its address"),
      Flag.optional
    ),
    maxConcurrent: Flag.Int("max-concurrent").pipe(
      Flag.withDescription("Requests it is given at a time; no limit"),
      Flag.optional
    ),
    apiKeyEnv: Flag.String("api-key-env").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("Environment variable of the gateway that holds the key for it"),
      Flag.optional
    ),
    insecureSkipVerify: flags.onOff(
      "insecure-skip-verify",
      "Take any certificate of it; ca_file in the config file trusts one authority instead"
    )
  },
  Effect.fnUntraced(function* (input) {
    const { client, ask } = yield* atGateway(input)
    if (input.save && !input.yes && (yield* ask(client.askConfig)).path === null) {
      const { backends } = yield* ask(client.askBackends)
      const found = backends.filter(({ origin }) => origin === "discovered").map(({ name }) => printable(name))
      yield* confirm(firstFile(found))
    }
    const change = yield* ask((at) =>
      client.askAddBackend(at, {
        url: withScheme(input.url),
        ...optional("name", input.name),
        ...optional("type", input.type),
        ...optional("priority", input.priority),
        ...optional("zone", input.zone),
        ...optional("max_concurrent", input.maxConcurrent),
        ...optional("api_key_env", input.apiKeyEnv),
        ...(input.insecureSkipVerify ? { insecure_skip_verify: true } : {}),
        ...(input.save ? { save: true } : {})
      })
    )
    const models = `${change.models} model${change.models === 1 ? "" : "s"}`
    yield* report(input.json, change, `Added ${change.name} (${change.type}, ${change.status}, ${models})`)
  })
).pipe(
  Command.withDescription("Add a server to the running gateway, at once"),
  Command.withExamples([
    { command: "nexus backends add gpu-box:11434" },
    { command: "nexus backends add https://api.example.com --type openai --api-key-env EXAMPLE_KEY --save" }
  ])
)

const remove = Command.make(
  "remove",
  { ...address, save, name },
  Effect.fnUntraced(function* (input) {
    const { client, ask } = yield* atGateway(input)
    const change = yield* ask((at) => client.askRemoveBackend(at, input.name, input.save))
    yield* report(input.json, change, `Removed ${change.name}`)
  })
).pipe(
  Command.withDescription("Take a backend out of the running gateway; its requests under way finish"),
  Command.withExamples([{ command: "nexus backends remove gpu-box --save" }])
)

const act = (action: "enable" | "disable", done: string, description: string) =>
  Command.make(
    action,
    { ...address, name },
    Effect.fnUntraced(function* (input) {
      const { client, ask } = yield* atGateway(input)
      const change = yield* ask((at) => client.askSetMode(at, input.name, action))
      yield* report(input.json, change, `${change.name} ${done}`)
    })
  ).pipe(Command.withDescription(description))

const requests = (count: number): string => `${count} request${count === 1 ? " has" : "s have"}`

const lookEvery = "200 millis"

const waitFlag = (description: string, usual: number) =>
  Flag.Int("wait").pipe(
    Flag.withMetavar("SECONDS"),
    Flag.filter(
      (value) => value >= 0,
      (value) => `Expected 0 or more seconds, got ${value}`
    ),
    Flag.withDescription(description),
    Flag.withDefault(usual)
  )

const drain = Command.make(
  "drain",
  {
    ...address,
    name,
    wait: waitFlag("How long to wait for its requests under way to finish; 0 does not wait", 300)
  },
  Effect.fnUntraced(function* (input) {
    const { client, ask } = yield* atGateway(input)
    const change = yield* ask((at) => client.askSetMode(at, input.name, "drain"))
    const inFlight = Effect.map(
      ask((at) => client.askBackends(at)),
      ({ backends }) => backends.find((each) => each.name === input.name)?.in_flight ?? 0
    )
    if (input.wait > 0) {
      const empty = Effect.sleep(lookEvery).pipe(
        Effect.andThen(inFlight),
        Effect.repeat({ while: (count) => count > 0 })
      )
      yield* Effect.timeoutOption(empty, `${input.wait} seconds`)
    }
    const left = yield* inFlight
    yield* report(
      input.json,
      { ...change, in_flight: left },
      `${change.name} gets no new requests, ${left} ${left === 1 ? "is" : "are"} under way`
    )
    if (left > 0 && input.wait > 0) {
      return yield* new CliFailure({ message: `${requests(left)} not finished within ${input.wait} s` })
    }
  })
).pipe(
  Command.withDescription("Give a backend no new requests, and wait until those under way have finished"),
  Command.withExamples([{ command: "nexus backends drain gpu-box --wait 60" }])
)

const wake = Command.make(
  "wake",
  {
    ...address,
    name,
    wait: waitFlag("How long to wait for it to answer; 0 does not wait", 120)
  },
  Effect.fnUntraced(function* (input) {
    const { client, ask } = yield* atGateway(input)
    const change = yield* ask((at) => client.askSetMode(at, input.name, "wake"))
    const look = Effect.map(
      ask((at) => client.askBackends(at)),
      ({ backends }) => backends.find((each) => each.name === input.name)
    )
    const answered = Effect.sleep(lookEvery).pipe(
      Effect.andThen(look),
      Effect.repeat({ while: (entry) => entry?.status === "waking" })
    )
    if (input.wait > 0 && change.status === "waking") yield* Effect.timeoutOption(answered, `${input.wait} seconds`)
    const entry = yield* look
    const status = entry?.status ?? change.status
    const words = status === "waking" ? "has been woken and has not answered yet" : `is ${status}`
    yield* report(input.json, { ...change, status, note: null }, `${change.name} ${words}`)
    if (input.wait > 0 && status !== "healthy") {
      return yield* new CliFailure({ message: `${input.name} is not there: ${entry?.reason ?? status}` })
    }
  })
).pipe(
  Command.withDescription("Wake a backend over the network (Wake-on-LAN), and wait until it answers"),
  Command.withExamples([{ command: "nexus backends wake gpu-box" }])
)

/** The commands. */
export const backendChanges = [
  add,
  remove,
  act("enable", "gets requests", "Give a backend requests again"),
  drain,
  wake,
  act("disable", "gets no requests and is not probed", "Give a backend no requests, and leave it alone")
] as const
