/**
 * nexus bench: how fast servers begin to answer, and how fast they write.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, CliError, Command, Flag } from "effect/cli"
import type { Backend } from "../backend/backend.ts"
import type { DialectList } from "../dialect/all.ts"
import { printable } from "../domain/printable.ts"
import type { BenchPlan, BenchRow, BenchRun, BenchTarget } from "../load/bench.ts"
import type { ConfigInvalid } from "../config/NexusConfig.ts"
import type { SurveyOptions } from "../remote/target.ts"
import type { Transport } from "../upstream/Transport.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { figure, jsonText, milliseconds, shownTable, thousands } from "./output.ts"
import { endRequested } from "./screen.ts"

/** The levels of a flag such as 1,4,16; undefined when it names none. */
const levelsOf = (text: string): ReadonlyArray<number> | undefined => {
  const levels = text.split(",").map((each) => (/^\d{1,4}$/.test(each.trim()) ? Number(each) : 0))
  return levels.every((level) => level >= 1 && level <= 1000) ? [...new Set(levels)] : undefined
}

const input = {
  target: Argument.String("target").pipe(
    Argument.withDescription(
      "A model, which is measured at each backend that could answer for it; or the URL of any server"
    )
  ),
  model: Flag.String("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("MODEL"),
    Flag.withDescription("With a URL: the model, where the server lists several"),
    Flag.optional
  ),
  gateway: flags.onOff(
    "gateway",
    "Ask the gateway and not the backends themselves: with its routing, its queue and its limits"
  ),
  concurrency: Flag.String("concurrency").pipe(
    Flag.withMetavar("N[,N]"),
    Flag.filter(
      (value) => levelsOf(value) !== undefined,
      (value) => `Expected numbers from 1 to 1000 such as 1,4,16, got ${value}`
    ),
    Flag.withDescription("Requests at a time, one level after the other"),
    Flag.withDefault("1")
  ),
  requests: flags.bounded("requests", 100_000, "Requests of each level", 10),
  promptTokens: flags.bounded("prompt-tokens", 1_000_000, "About how long a prompt is", 200),
  maxTokens: flags.bounded("max-tokens", 100_000, "How long an answer is at most", 128),
  keyEnv: flags.keyEnv,
  yes: flags.yes,
  json: flags.json,
  config: flags.config,
  host: flags.host,
  port: flags.port
}

/** Who is asked, and who is not. */
interface Chosen {
  readonly targets: ReadonlyArray<BenchTarget>
  /** Why somebody is left out. */
  readonly left: ReadonlyArray<string>
  /** The requests go to a gateway, and where that may send them. */
  readonly zones?: string
}

/** A backend of which nothing is known but where it is. */
const bare = Effect.fnUntraced(function* (name: string, text: string, apiKey: Backend["apiKey"]) {
  const { plainType } = yield* Effect.promise(() => import("../backend/all.ts"))
  const { parseBaseUrl } = yield* Effect.promise(() => import("../domain/base-url.ts"))
  const backend: Backend = {
    name,
    ...parseBaseUrl(text),
    type: plainType,
    priority: 50,
    origin: "added",
    apiKey,
    forwardAuthorization: false,
    maxConcurrent: undefined,
    limits: { connectMs: 10_000, firstByteMs: 0, idleMs: 0, totalMs: 0 },
    models: []
  }
  return backend
})

const cloudWords = (names: string): string =>
  `${names} beyond this machine and its networks, where tokens may cost money; --yes asks there as well`

const keyIn = Effect.fnUntraced(function* (name: Option.Option<string>) {
  const { keyInVariable } = yield* Effect.promise(() => import("../config/NexusConfig.ts"))
  return Option.isNone(name) ? undefined : yield* keyInVariable(name.value)
})

const atUrl = Effect.fnUntraced(function* (
  url: string,
  dialects: DialectList,
  given: { readonly model: Option.Option<string>; readonly keyEnv: Option.Option<string>; readonly yes: boolean }
): Effect.fn.Return<Chosen, CliFailure | CliError.CliError | ConfigInvalid, Transport> {
  const { askedBase, isBeyondHome } = yield* Effect.promise(() => import("../load/asked-url.ts"))
  const { backendTarget, listedModels } = yield* Effect.promise(() => import("../load/bench-target.ts"))
  const base = askedBase(url)
  if (base === undefined) return yield* new CliError.ValidationError({ message: `${url} is no URL` })
  if (isBeyondHome(base) && !given.yes) return yield* new CliFailure({ message: cloudWords(`${base} is`) })
  const backend = yield* bare(new URL(base).host, url, yield* keyIn(given.keyEnv))
  const models = Option.isSome(given.model) ? [given.model.value] : yield* listedModels(backend)
  const [model] = models
  if (model === undefined || models.length > 1) {
    const some = models.slice(0, 10).join(", ")
    return yield* new CliFailure({
      message: printable(
        model === undefined
          ? `${base} lists no models; --model names one`
          : `${base} has several models; --model names one of ${some}`
      )
    })
  }
  const target = backendTarget(dialects, backend, model)
  return { targets: target === undefined ? [] : [target], left: [] }
})

const atBackends = Effect.fnUntraced(function* (
  model: string,
  dialects: DialectList,
  options: SurveyOptions,
  given: { readonly gateway: boolean; readonly yes: boolean }
) {
  const { askGateway, targetGateway } = yield* Effect.promise(() => import("../remote/target.ts"))
  const { askBackends, askRoute } = yield* Effect.promise(() => import("../remote/gateway-client.ts"))
  const { backendTarget } = yield* Effect.promise(() => import("../load/bench-target.ts"))
  const gateway = yield* targetGateway(options)
  const body = { model, messages: [{ role: "user", content: "?" }] }
  const { decision, refusal } = yield* askGateway(gateway, (address) => askRoute(address, body, {}))
  const { backends } = yield* askGateway(gateway, askBackends)
  const found = decision.candidates.flatMap((candidate) => {
    const entry = backends.find(({ name }) => name === candidate.backend)
    return entry === undefined ? [] : [{ ...candidate, entry }]
  })
  if (found.length === 0) {
    const why = decision.excluded.map(({ backend, reason }) => `${backend} ${reason}`).join("; ")
    const nobody = `No backend could answer for ${model} now${why === "" ? "" : `: ${why}`}`
    return yield* new CliFailure({ message: refusal?.message ?? nobody })
  }
  const isFar = ({ entry, zone }: (typeof found)[number]): boolean => (zone ?? entry.zone) === "cloud"
  const near = found.filter((each) => given.yes || !isFar(each))
  const names = found.filter(isFar).map(({ backend }) => backend)
  const left = [
    ...decision.excluded.map(({ backend, reason }) => `${backend} is left out: ${reason}`),
    ...(given.yes || names.length === 0 ? [] : [cloudWords(`${names.join(", ")}: left out, since that is`)])
  ]
  if (near.length === 0)
    return yield* new CliFailure({ message: cloudWords(`All that could answer for ${model} is (${names.join(", ")})`) })
  if (given.gateway) {
    const target = backendTarget(dialects, yield* bare("gateway", gateway.url, gateway.key), model)
    // What the gateway may not do either: a fallback of its own could cost money.
    const zones = given.yes
      ? {}
      : { zones: [...new Set(["local", "lan", ...near.map(({ zone }) => zone ?? "lan")])].join(", ") }
    const chosen: Chosen = { targets: target === undefined ? [] : [target], left, ...zones }
    return chosen
  }
  const targets = yield* Effect.forEach(near, ({ entry, model: served }) =>
    Effect.map(
      Effect.suspend(() => {
        const known = gateway.loaded?.backends.find(({ name }) => name === entry.name)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.map(bare(entry.name, entry.url, undefined), (backend) => ({ ...backend, type: entry.type }))
      }),
      (backend) => backendTarget(dialects, backend, served)
    )
  )
  const chosen: Chosen = { targets: targets.filter((target) => target !== undefined), left }
  return chosen
})

const benchTable = (rows: ReadonlyArray<BenchRow>): string =>
  shownTable(
    ["Backend", "Model", "At a time", "Answers", "Failed", "First token", "p95", "Tokens/s", "p5", "All together"],
    rows.map((row) => [
      row.backend,
      row.model,
      String(row.concurrency),
      String(row.answered),
      String(row.failed),
      milliseconds(row.first_token_ms.median),
      milliseconds(row.first_token_ms.p95),
      `${figure(row.tokens_per_second.median)}${row.counted_by_pieces ? "~" : ""}`,
      figure(row.tokens_per_second.p5),
      figure(row.total_tokens_per_second)
    ]),
    3
  )

const eighths = " ▏▎▍▌▋▊▉"

/** A bar of so many columns, as fine as an eighth of one. */
export const bar = (columns: number): string => {
  const full = Math.floor(columns)
  return `${"█".repeat(full)}${eighths[Math.floor((columns - full) * 8)] ?? ""}`.trimEnd()
}

/** Bars of two figures, a line for each row. */
const benchChart = (rows: ReadonlyArray<BenchRow>, columns: number): ReadonlyArray<string> => {
  const names = rows.map(({ backend, concurrency, model }) => printable(`${backend} ${model} x${concurrency}`))
  const widest = Math.max(...names.map(({ length }) => length))
  const room = Math.max(10, Math.min(60, columns - widest - 20))
  const drawn = (title: string, of: (row: BenchRow) => number | null, unit: string): ReadonlyArray<string> => {
    const values = rows.map(of)
    const most = Math.max(...values.map((value) => value ?? 0))
    if (most <= 0) return []
    const lines = values.map((value, at) => {
      const words = value === null ? "-" : `${bar((value / most) * room)} ${figure(value)}${unit}`
      return `  ${(names[at] ?? "").padEnd(widest)}  ${words}`
    })
    return ["", title, ...lines]
  }
  return [
    ...drawn("First token (less is better)", ({ first_token_ms: { median } }) => median, " ms"),
    ...drawn("Tokens/s, all together", ({ total_tokens_per_second: total }) => total, "")
  ]
}

/** The command. */
export const benchCommand = Command.make(
  "bench",
  input,
  Effect.fnUntraced(function* (given) {
    const { benchCost, benchFault, benchRows, enoughForTail, runBench } = yield* Effect.promise(
      () => import("../load/bench.ts")
    )
    const { withTransport } = yield* Effect.promise(() => import("../remote/target.ts"))
    const { Transport } = yield* Effect.promise(() => import("../upstream/Transport.ts"))
    const { Dialects } = yield* Effect.promise(() => import("../dialect/all.ts"))
    const isUrl = /^https?:\/\//i.test(given.target)
    if (isUrl && given.gateway)
      return yield* new CliError.ValidationError({ message: "--gateway goes with a model, not with a URL" })
    if (!isUrl && Option.isSome(given.model))
      return yield* new CliError.ValidationError({ message: "--model goes with a URL; the model stands by itself" })
    const { maxTokens, promptTokens, requests } = given
    const plan: BenchPlan = { levels: levelsOf(given.concurrency) ?? [1], requests, promptTokens, maxTokens }
    const work = Effect.gen(function* () {
      const transport = yield* Transport
      const dialects = yield* Dialects
      const options = flags.places(given)
      const { left, targets, zones } = isUrl
        ? yield* atUrl(given.target, dialects, given)
        : yield* atBackends(given.target, dialects, options, given)
      const cost = benchCost(targets.length, plan)
      for (const line of left) yield* Console.error(printable(line))
      const who = targets.map(({ model, name }) => `${model} at ${name}`).join(", ")
      yield* Console.error(
        printable(
          `Asks ${who}: ${thousands(cost.requests)} requests, about ${thousands(cost.promptTokens)} tokens of prompts and at most ${thousands(cost.maxTokens)} of answers. Ctrl-C ends it.`
        )
      )
      const runs: Array<BenchRun> = []
      const faults: Array<string> = []
      const bounded: ReadonlyArray<BenchTarget> =
        zones === undefined
          ? targets
          : targets.map((target) => ({
              name: target.name,
              model: target.model,
              call: (text, most) => {
                const call = target.call(text, most)
                return { ...call, headers: { ...call.headers, "x-nexus-zones": zones } }
              }
            }))
      const asking = runBench(transport, bounded, plan, {
        warmed: (target, answer) => {
          const fault = benchFault(answer)
          if (fault !== undefined) faults.push(`${target.model} at ${target.name} is left out: ${fault}`)
        },
        began: (run) => void runs.push(run)
      })
      const isWhole = yield* Effect.raceFirst(Effect.as(asking, true), Effect.as(endRequested, false))
      return { rows: runs.flatMap(benchRows), faults, isWhole }
    })
    const { faults, isWhole, rows } = yield* withTransport(work)
    if (given.json) yield* Console.log(jsonText({ whole: isWhole, plan, rows, faults }))
    else if (rows.length > 0) {
      yield* Console.log(benchTable(rows))
      yield* Console.log(benchChart(rows, process.stdout.columns || 80).join("\n"))
    }
    const few = rows.filter(({ answered }) => answered < enoughForTail).length
    if (!given.json && few > 0)
      yield* Console.error(
        `\nFewer than ${enoughForTail} answers say little of the slowest: p95 and p5 are left out there; --requests asks for more.`
      )
    if (!given.json && rows.some((row) => row.counted_by_pieces))
      yield* Console.error("~ counted by the pieces of the streams: the server does not tell its tokens.")
    for (const { backend, faults: told } of rows)
      for (const fault of told) yield* Console.error(printable(`${backend}: ${fault}`))
    for (const fault of faults) yield* Console.error(printable(fault))
    if (!isWhole) yield* Console.error("Ended early: what was measured until then is shown.")
    if (rows.every(({ answered }) => answered === 0) && isWhole)
      return yield* new CliFailure({ message: "Nothing could be measured" })
  })
).pipe(
  Command.withDescription(
    "Measure how fast servers begin to answer and how fast they write, and say beforehand what it takes"
  ),
  Command.withExamples([
    { command: "nexus bench llama3:8b" },
    { command: "nexus bench llama3:8b --concurrency 1,4,16 --requests 32 --max-tokens 256" },
    { command: "nexus bench llama3:8b --gateway", description: "As clients of the gateway see it" },
    { command: "nexus bench http://gpu-box:8080 --json" }
  ])
)
