/**
 * nexus mock: an LLM server without a model, for people who test their own programs.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { CliError, Command, Flag } from "effect/cli"
import { clientBaseUrl } from "../connect/client-setup.ts"
import { curl } from "../connect/settings.ts"
import { printable } from "../domain/printable.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { textOfFile } from "./read-file.ts"
import { endRequested, writeLine } from "./screen.ts"

const amount = (name: string, description: string) =>
  Flag.Finite(name).pipe(Flag.withMetavar("N"), Flag.withDescription(description), Flag.optional)

const input = {
  model: flags
    .several("model", "NAME", "A model that it has; may be given again (mock-model when absent)")
    .pipe(Flag.withAlias("m")),
  answer: flags.several(
    "answer",
    "TEXT",
    "What it says; given again, what it says in the second turn of a conversation, and so on"
  ),
  tokens: amount("tokens", "How many tokens an answer has for which no text is told"),
  prefill: amount("prefill", "How many tokens of a prompt it reads in a second; at once when absent"),
  speed: amount("speed", "How many tokens it writes in a second; at once when absent"),
  slots: amount("slots", "How many requests a model works on at a time, while others wait"),
  fault: flags.several(
    "fault",
    "RULE",
    "What goes wrong, such as 'delay=2s', 'status=429 retry-after=3s every=2', 'cut=5 model=small*', 'garbage probability=0.1'; may be given again"
  ),
  script: Flag.String("script").pipe(
    Flag.withAlias("s"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("A TOML file with [[models]], [[answers]] and [[faults]]"),
    Flag.optional
  ),
  seed: Flag.String("seed").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("What chance goes by: the same text, the same faults"),
    Flag.optional
  ),
  quiet: flags.onOff("quiet", "Print no line for each request").pipe(Flag.withAlias("q")),
  host: Flag.String("host").pipe(
    Flag.withAlias("H"),
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription("Address it listens on"),
    Flag.withDefault("127.0.0.1")
  ),
  port: flags.port.pipe(Flag.withDescription("Port it listens on; 8800 when absent, a free one for 0"))
}

const usualPort = 8800

const usualModel = "mock-model"

/** The words of a mistake, with the flag in place of the table that it stands for. */
const invalid = (lines: ReadonlyArray<string>) => new CliError.ValidationError({ message: lines.join("\nerror: ") })

interface Given {
  readonly model: ReadonlyArray<string>
  readonly answer: ReadonlyArray<string>
  readonly tokens: Option.Option<number>
  readonly prefill: Option.Option<number>
  readonly speed: Option.Option<number>
  readonly slots: Option.Option<number>
  readonly fault: ReadonlyArray<string>
}

const flagOf: Readonly<Record<string, string>> = {
  name: "--model",
  text: "--answer",
  answer_tokens: "--tokens",
  prefill_tokens_per_second: "--prefill",
  tokens_per_second: "--speed",
  slots: "--slots"
}

/** What the flags say, as a file would. */
const fromFlags = Effect.fnUntraced(function* (given: Given, hasModels: boolean) {
  const { readFault } = yield* Effect.promise(() => import("../mock/fault-rules.ts"))
  const { scriptFrom } = yield* Effect.promise(() => import("../mock/read-script.ts"))
  const faults: Array<unknown> = []
  for (const text of given.fault) {
    const read = readFault(text)
    if (Result.isFailure(read)) return yield* invalid([`--fault '${printable(text)}': ${read.failure}`])
    faults.push(read.success)
  }
  const some = (key: string, value: Option.Option<number>) =>
    Option.match(value, { onNone: () => ({}), onSome: (number) => ({ [key]: number }) })
  const speeds = {
    ...some("answer_tokens", given.tokens),
    ...some("prefill_tokens_per_second", given.prefill),
    ...some("tokens_per_second", given.speed),
    ...some("slots", given.slots)
  }
  if (hasModels && (given.model.length > 0 || Object.keys(speeds).length > 0))
    return yield* invalid(["the file of --script has models: their names and speeds stand there"])
  const names = given.model.length === 0 ? [usualModel] : given.model
  const tree = {
    ...(hasModels ? {} : { models: names.map((name) => Object.assign({ name }, speeds)) }),
    // The last one is said from then on.
    answers: given.answer.map((text, at) => ({ text, ...(at === given.answer.length - 1 ? {} : { turn: at + 1 }) })),
    faults
  }
  const script = scriptFrom(tree, ([table, at, key]) => {
    if (table === "faults") return `--fault '${given.fault[Number(at)] ?? ""}': `
    return `${flagOf[String(key)] ?? `--${String(table)}`}: `
  })
  return Result.isFailure(script) ? yield* invalid(script.failure) : script.success
})

const fromFile = Effect.fnUntraced(function* (path: string) {
  const { readScript } = yield* Effect.promise(() => import("../mock/read-script.ts"))
  const script = readScript(path, yield* textOfFile(path))
  return Result.isFailure(script) ? yield* new CliFailure({ message: script.failure.join("\n") }) : script.success
})

const speedWords = (model: {
  readonly prefill_tokens_per_second?: number
  readonly tokens_per_second?: number
  readonly slots?: number
}): string => {
  const { prefill_tokens_per_second: prefill, slots, tokens_per_second: speed } = model
  const words = [
    ...(prefill === undefined ? [] : [`reads ${prefill} tokens/s`]),
    ...(speed === undefined ? [] : [`writes ${speed} tokens/s`]),
    ...(slots === undefined ? [] : [`${slots} at a time`])
  ]
  return words.length === 0 ? "" : ` (${words.join(", ")})`
}

/** The command. */
export const mockCommand = Command.make(
  "mock",
  input,
  Effect.fnUntraced(function* (given) {
    const file = Option.isSome(given.script) ? yield* fromFile(given.script.value) : undefined
    const ofFlags = yield* fromFlags(given, (file?.models.length ?? 0) > 0)
    const script = {
      models: file === undefined || file.models.length === 0 ? ofFlags.models : file.models,
      answers: [...ofFlags.answers, ...(file?.answers ?? [])],
      faults: [...ofFlags.faults, ...(file?.faults ?? [])]
    }
    const { makeMock } = yield* Effect.promise(() => import("../mock/mock-server.ts"))
    const { faultWords, meantWords } = yield* Effect.promise(() => import("../mock/mock-script.ts"))
    const { listen } = yield* Effect.promise(() => import("../http/listen.ts"))
    const { Dialects } = yield* Effect.promise(() => import("../dialect/all.ts"))
    const { gatewayUrl } = yield* Effect.promise(() => import("../http/address.ts"))
    const making = makeMock({
      name: "nexus mock",
      owner: "nexus-mock",
      script,
      dialects: yield* Dialects,
      onAnswer: ({ fault, model, operation, stream, tokens }) =>
        given.quiet
          ? Effect.void
          : writeLine(
              printable(
                `${operation} ${model}${stream ? ", streamed" : ""}: ${fault === undefined ? `${tokens} tokens` : `fault: ${fault}`}`
              )
            )
    })
    const fetch = yield* Option.isSome(given.seed) ? Random.withSeed(making, given.seed.value) : making
    const port = Option.getOrElse(given.port, () => usualPort)
    const listening = yield* listen({ hostname: given.host, port, fetch }).pipe(
      Effect.catchTag("ListenFailed", ({ hostname, port: wanted, reason }) =>
        Effect.fail(
          new CliFailure({ message: `Cannot listen on ${hostname} port ${wanted}: ${reason}; -p names another port` })
        )
      )
    )
    const url = gatewayUrl(given.host, listening.port)
    const [first] = script.models
    yield* Console.log(
      [
        `The mock listens on ${url}: no model runs here, all that it answers was told or is made up.`,
        ...script.models.map((model) => `  ${printable(model.name)}${speedWords(model)}`),
        ...script.faults.map((fault) => {
          const meant = meantWords(fault)
          return printable(`  fault: ${faultWords(fault)}${meant === "" ? "" : ` (${meant})`}`)
        }),
        "",
        "Try:",
        `  ${curl({ baseUrl: clientBaseUrl(url), keyNeeded: false, model: { id: first?.name ?? usualModel }, others: [], embedder: undefined })}`,
        ""
      ].join("\n")
    )
    yield* endRequested
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Run an LLM server without a model, to test your own programs: answers, speeds and faults as you tell it, in every API that Nexus speaks"
  ),
  Command.withExamples([
    { command: "nexus mock --model small --speed 40 --answer 'Hello there'" },
    { command: "nexus mock --fault 'status=429 retry-after=2s every=3' --fault 'cut=5 probability=0.1'" },
    { command: "nexus mock --script agent.toml -p 9000" }
  ])
)
