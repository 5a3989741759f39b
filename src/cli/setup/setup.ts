/**
 * nexus setup: finds servers, takes keys of clouds, writes a nexus.toml and tries it out.
 */
import { dirname, join, resolve } from "node:path"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { Command, Flag, Prompt } from "effect/cli"
import type { BackendType } from "../../backend/all.ts"
import { locality } from "../../backend/backend.ts"
import { type HostEntry, hostFault, readHost } from "../../config/hosts.ts"
import { nearest } from "../../config/nearest.ts"
import { defaultFile, isVariableSet } from "../../config/NexusConfig.ts"
import { isVariableName, keyTextFault } from "../../config/secrets.ts"
import { chooseModels } from "../../connect/suitable-models.ts"
import { clientBaseUrl, shellWord } from "../../connect/client-setup.ts"
import { curl } from "../../connect/settings.ts"
import { isLocalName } from "../../domain/url-host.ts"
import { printable } from "../../domain/printable.ts"
import { providers } from "../../config/import/providers.ts"
import { CliFailure } from "../exit-failure.ts"
import * as flags from "../flags.ts"
import { tableText } from "../output.ts"
import { promptUser as ask, isAttended } from "../prompts.ts"
import { type SetupChoices, type ChosenCloud, type KeyPlace, setupFile, someNames } from "./setup-file.ts"

/** A provider whose address and usual variable are known. */
interface Cloud {
  readonly name: string
  readonly url: string
  readonly variable: string
  readonly type: BackendType
}

const clouds: ReadonlyArray<Cloud> = providers.flatMap(({ name, url, key, type }) =>
  url === undefined || key === undefined || name.startsWith("text-completion")
    ? []
    : [{ name, url, variable: key, type }]
)

const cloudNames = clouds.map(({ name }) => name)

/** A cloud with the variable that holds its key, from `openai` or `openai=MY_KEY`. */
const readCloud = (text: string): Result.Result<Cloud, string> => {
  const [name = "", variable] = text.split("=", 2)
  const cloud = clouds.find((each) => each.name === name.toLowerCase())
  if (cloud === undefined) {
    const near = nearest(name, cloudNames)
    const known = near === undefined ? `there are ${cloudNames.join(", ")}` : `did you mean ${near}?`
    return Result.fail(`no cloud '${printable(name.slice(0, 40))}': ${known}`)
  }
  if (variable === undefined) return Result.succeed(cloud)
  return isVariableName(variable)
    ? Result.succeed({ ...cloud, variable })
    : Result.fail(`--cloud ${name}=… names the variable that holds the key, not the key itself`)
}

const input = {
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("File to write"),
    Flag.withDefault(defaultFile)
  ),
  host: flags.several(
    "host",
    "HOST",
    "Another machine to look at, such as gpu-box or 10.0.0.5:9000; may be given again"
  ),
  cloud: flags.several(
    "cloud",
    "NAME[=VARIABLE]",
    `A cloud to use, with the variable that holds its key; may be given again (${cloudNames.join(", ")})`
  ),
  port: flags.port.pipe(
    Flag.filter(
      (port) => Option.getOrUndefined(port) !== 0,
      () => "Expected a port from 1 to 65535, got 0"
    ),
    Flag.withDescription("Port the gateway is to listen on; 8000, or a free one above it")
  ),
  force: flags.onOff("force", "Write over files that are there").pipe(Flag.withAlias("f")),
  yes: flags.onOff("yes", "Ask nothing: take what is found, and what the flags name").pipe(Flag.withAlias("y")),
  noCheck: flags.onOff("no-check", "Write the file, and do not try it out")
}

const partsOf = (text: string): ReadonlyArray<string> => text.split(/[\s,]+/).filter((part) => part !== "")

const askHosts = ask(
  Prompt.String({
    message: "Other machines to look at, such as gpu-box or 10.0.0.5:9000 (none: Enter)",
    validate: (text) => {
      const wrong = partsOf(text).find((part) => hostFault(part) !== undefined)
      return wrong === undefined ? Effect.succeed(text) : Effect.fail(`${wrong}: ${hostFault(wrong) ?? ""}`)
    }
  })
).pipe(Effect.map(partsOf))

/** What is typed as names of clouds; the first wrong word where one is. */
const readClouds = (text: string): Result.Result<ReadonlyArray<Cloud>, string> =>
  Result.all(partsOf(text).map(readCloud))

const askClouds = Effect.suspend(() => {
  const set = clouds.flatMap(({ variable }) => (isVariableSet(variable) ? [variable] : []))
  return ask(
    Prompt.String({
      message: `Clouds to use as well, of ${cloudNames.join(", ")}${set.length === 0 ? "" : `; ${set.join(", ")} set`} (none: Enter)`,
      validate: (text) =>
        Result.match(readClouds(text), { onSuccess: () => Effect.succeed(text), onFailure: Effect.fail })
    })
  )
}).pipe(Effect.map((text) => Result.getOrElse(readClouds(text), () => [])))

const askKey = ({ name }: Cloud) =>
  ask(
    Prompt.Hidden({
      message: `Key of ${name}; it is not shown (none: Enter)`,
      validate: (text) => {
        const fault = text.trim() === "" ? undefined : keyTextFault(text.trim(), "the key")
        return fault === undefined ? Effect.succeed(text.trim()) : Effect.fail(fault)
      }
    })
  )

/** Writes a file that is not there yet, unless it may be written over. */
const write = Effect.fnUntraced(function* (path: string, text: string, options: { force: boolean; mode: number }) {
  const fs = yield* FileSystem.FileSystem
  // One that is there keeps its rights when it is written over.
  if (options.force) yield* Effect.ignore(fs.remove(path))
  yield* fs.writeFileString(path, text, { flag: "wx", mode: options.mode }).pipe(
    Effect.mapError(({ reason }) => {
      const why =
        reason._tag === "AlreadyExists"
          ? "is there already; --force writes over it"
          : `cannot be written: ${reason._tag === "NotFound" ? "there is no such directory" : "the system refuses"}`
      return new CliFailure({ message: `${path} ${why}` })
    })
  )
})

interface Keyed extends ChosenCloud {
  /** The key itself, where it is to be put into the file that `key` names. */
  readonly secret: Redacted.Redacted | undefined
}

/** Where the key of a cloud is; undefined when none was given. */
const keyed = Effect.fnUntraced(function* (cloud: Cloud, mayAsk: boolean) {
  const { name, url, variable, type } = cloud
  const place = (key: KeyPlace, secret: Redacted.Redacted | undefined): Keyed => ({ name, url, type, key, secret })
  if (isVariableSet(variable)) return place({ variable }, undefined)
  if (!mayAsk) {
    return yield* new CliFailure({
      message: `--cloud ${name}: ${variable} is not set; export it, or name another variable: --cloud ${name}=NAME`
    })
  }
  const secret = yield* askKey(cloud)
  return Redacted.value(secret) === "" ? undefined : place({ file: `${name}.key` }, secret)
})

/** Named machines on which nothing was found. */
const silentOf = (hosts: ReadonlyArray<HostEntry>, servers: SetupChoices["servers"]): ReadonlyArray<string> => {
  const isAt = (url: string, { host, port }: HostEntry): boolean => {
    const { hostname, port: its } = new URL(url)
    const same = hostname === host || (isLocalName(host) && isLocalName(hostname))
    return same && (port === undefined || its === String(port))
  }
  return hosts.flatMap((entry) =>
    servers.some(({ url }) => isAt(url, entry))
      ? []
      : [entry.port === undefined ? entry.host : `${entry.host}:${entry.port}`]
  )
}

const nothing = `Nothing was found. Start a server first (\`ollama serve\`), name a machine (--host gpu-box) or a cloud (--cloud openai); one that asks for a key is added with \`nexus backends add URL --api-key-env NAME\`. \`nexus serve --demo\` shows Nexus without any`

/** Models that are no good to say hello to. */
const speechless = /audio|image|tts|whisper|dall-e|sora|realtime|moderation|transcri|embed|rerank|guard/i

const cheap = /mini|nano|small|flash|lite|haiku|instant|\b[1-9]b\b/i

const unchecked = (servers: SetupChoices["servers"]) => {
  const [id] = servers.flatMap(({ models }) => models)
  return { model: id === undefined ? undefined : { id }, ill: [] }
}

const tryFile = Effect.fnUntraced(function* (file: string) {
  const { startTrial } = yield* Effect.promise(() => import("../../serve/first-run.ts"))
  const trial = yield* startTrial(file)
  const rows = trial.backends.map(({ name, status, reason, models }) => [
    `  ${name}`,
    reason === "" ? status : `${status}: ${reason}`,
    someNames(models.map(({ id }) => id))
  ])
  if (rows.length > 0) yield* Console.log(tableText(["  Backend", "State", "Models"], rows))
  const isOwn = ({ type }: { readonly type: BackendType }) => locality(type) === "local"
  const [own] = chooseModels(trial.backends.filter(isOwn)).chat
  const others = chooseModels(trial.backends).chat.filter(({ id }) => !speechless.test(id))
  const model = own ?? others.find(({ id }) => cheap.test(id)) ?? others[0]
  const ill = trial.backends.flatMap(({ name, status, reason }) =>
    status === "healthy" ? [] : [`${name}: ${reason === "" ? status : reason}`]
  )
  if (model === undefined) return { model, ill: ill.length > 0 ? ill : ["no model to ask"] }
  yield* Console.log(`Asking ${printable(model.id)} to say hello (it may have to be loaded first) …`)
  const outcome = yield* trial.request(model.id, own !== undefined)
  if (outcome._tag === "Failed") return { model, ill: [...ill, `${model.id}: ${outcome.reason}`] }
  const words = outcome.words.trim().replace(/\s+/g, " ").slice(0, 80)
  yield* Console.log(
    printable(
      `${outcome.backend} answered after ${(outcome.ms / 1000).toFixed(1)} s${words === "" ? "" : `: ${words}`}`
    )
  )
  return { model, ill }
})

const entriesOf = (hosts: ReadonlyArray<string>) =>
  Effect.forEach(hosts, (host): Effect.Effect<HostEntry, CliFailure> => {
    const read = readHost(host)
    return Result.isSuccess(read)
      ? Effect.succeed(read.success)
      : Effect.fail(new CliFailure({ message: `--host ${printable(host)}: ${read.failure}`, code: 2 }))
  })

const refuseExisting = Effect.fnUntraced(function* (path: string, force: boolean, mayAsk: boolean) {
  const fs = yield* FileSystem.FileSystem
  const isThere = yield* Effect.orElseSucceed(fs.exists(path), () => false)
  if (!isThere || force) return force
  const question = Prompt.Confirm({ message: `${path} is there already. Write over it?`, initial: false })
  if (mayAsk && (yield* ask(question))) return true
  return yield* new CliFailure({ message: `${path} is there already; --force writes over it` })
})

/** The command. */
export const setupCommand = Command.make(
  "setup",
  input,
  Effect.fnUntraced(function* (given) {
    const mayAsk = !given.yes && isAttended()
    const named = yield* Effect.forEach(given.cloud, (text) =>
      Effect.mapError(Effect.fromResult(readCloud(text)), (message) => new CliFailure({ message, code: 2 }))
    )
    const flagged = yield* entriesOf(given.host)
    const force = yield* refuseExisting(given.output, given.force, mayAsk)
    const withKeys = (wanted: ReadonlyArray<Cloud>) =>
      Effect.map(
        Effect.forEach(wanted, (cloud) => keyed(cloud, mayAsk)),
        (all) => all.filter((each) => each !== undefined)
      )
    const flaggedClouds = yield* withKeys(named)
    const hosts = [...given.host, ...(mayAsk && flagged.length === 0 ? yield* askHosts : [])]
    yield* Console.log(`Looking on ${["this machine", ...hosts].map(printable).join(", ")} …`)
    const { findServers, freePlaceFor } = yield* Effect.promise(() => import("../../serve/first-run.ts"))
    const entries = yield* entriesOf(hosts)
    const servers = yield* findServers(entries)
    const rows = servers.map(({ name, url, type, models }) => [`  ${name}`, url, type, someNames(models)])
    yield* Console.log(rows.length === 0 ? "Nothing answers." : tableText(["  Found", "URL", "Type", "Models"], rows))
    for (const host of silentOf(entries, servers)) yield* Console.log(`No LLM server answers at ${printable(host)}.`)
    const chosen = mayAsk && named.length === 0 ? yield* withKeys(yield* askClouds) : flaggedClouds
    if (servers.length + chosen.length === 0) return yield* new CliFailure({ message: nothing })
    const place = yield* freePlaceFor(Option.getOrUndefined(given.port))
    if (mayAsk && !(yield* ask(Prompt.Confirm({ message: `Write ${given.output}?`, initial: true })))) {
      return yield* new CliFailure({ message: "Nothing was written" })
    }
    for (const { key, secret } of chosen) {
      if (secret === undefined || "variable" in key) continue
      const file = join(dirname(given.output), key.file)
      yield* write(file, `${Redacted.value(secret)}\n`, { force, mode: 0o600 })
      yield* Console.log(`Wrote ${file}, for its owner's eyes alone.`)
    }
    const { port } = place
    yield* write(given.output, setupFile({ port, hosts, servers, clouds: chosen }), { force, mode: 0o644 })
    yield* Console.log(
      `Wrote ${given.output}${place.taken === undefined ? "" : `; port ${place.taken} is taken, so Nexus has ${port}`}.`
    )
    const option = resolve(given.output) === resolve(defaultFile) ? "" : ` -c ${shellWord(given.output)}`
    const { withTransport } = yield* Effect.promise(() => import("../../remote/target.ts"))
    const { model, ill } = given.noCheck ? unchecked(servers) : yield* withTransport(tryFile(given.output))
    if (ill.length > 0) {
      return yield* new CliFailure({
        message: printable(
          `${given.output} is written, but not all is well (${ill.join("; ")}). \`nexus doctor${option}\` says what mends it`
        )
      })
    }
    const baseUrl = clientBaseUrl(`http://127.0.0.1:${port}`)
    const offer = { baseUrl, keyNeeded: false, others: [], embedder: undefined }
    yield* Console.log(
      [
        "",
        "Next:",
        place.runs
          ? `  nexus config reload    # the gateway that runs at ${baseUrl} takes the file over, when it was started with it or in this directory without one`
          : `  nexus serve${option}`,
        `Clients use ${baseUrl} with any key; \`nexus connect${option}\` lists those whose settings it prints. To try it:`,
        `  ${model === undefined ? `curl -s ${baseUrl}/models` : curl({ ...offer, model })}`
      ].join("\n")
    )
  })
).pipe(
  Command.withDescription(
    "Find LLM servers, take keys of clouds, write a commented nexus.toml, and try it out with one request"
  ),
  Command.withExamples([
    { command: "nexus setup" },
    { command: "nexus setup --yes --host gpu-box --cloud openai -o nexus.toml", description: "Without questions" }
  ])
)
