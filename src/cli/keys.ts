/**
 * nexus keys: keys that clients send.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, Command, Flag } from "effect/cli"
import type { ClientKeyEntry, MadeClientKey, NewClientKey, NewRevocation, RevocationEntry } from "../api/keys-api.ts"
import { rangeFault, spanFault } from "../domain/key-terms.ts"
import { newKey } from "../admission/new-key.ts"
import { printable } from "../domain/printable.ts"
import { priorityClasses } from "../domain/request.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { readToken, tokenFile } from "./given-token.ts"
import { jsonText, shownTable } from "./output.ts"

/** What is printed for a key that stands in nexus.toml: the key once, its digest, and what to put there. */
export const keyText = ({ name, ...terms }: NewClientKey, { key, sha256 }: Omit<MadeClientKey, "name">): string =>
  [
    `Key:    ${key}`,
    `SHA256: ${sha256}`,
    "",
    "Give the key to the client; it is not stored and not shown again. Put this into nexus.toml:",
    "",
    "[[auth.keys]]",
    `name = ${JSON.stringify(name)}`,
    `sha256 = "${sha256}"`,
    ...Object.entries(terms).map(
      ([field, value]) =>
        `${field} = ${Array.isArray(value) ? `[${value.map((each) => JSON.stringify(each)).join(", ")}]` : JSON.stringify(value)}`
    )
  ].join("\n")

const keptText = ({ key, name, sha256 }: MadeClientKey, note: string): string =>
  [
    `Key:    ${key}`,
    `SHA256: ${sha256}`,
    "",
    `Give the key to the client; it is not shown again. ${name} ${note}.`
  ].join("\n")

const address = { config: flags.config, host: flags.host, port: flags.port }

const given = Argument.String("name").pipe(Argument.withDescription("Name of the key in the config and in logs"))

const list = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.atLeast(0))

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const amount = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (value) => value > 0 && value <= 1_000_000_000,
      (value) => `Expected 1 to 1000000000, got ${value}`
    ),
    Flag.withDescription(`${description}; no limit of its own without one`),
    Flag.optional
  )

const json = flags.onOff("json", "Print JSON instead of words")

/** The keys that are kept beside the config file; undefined where there is no place for them. */
const keptKeys = Effect.fnUntraced(function* (input: flags.GatewayFlags) {
  const { targetGateway } = yield* Effect.promise(() => import("../remote/target.ts"))
  const { keptKeysAt } = yield* Effect.promise(() => import("../remote/ask-keys.ts"))
  const { keysFileOf } = yield* Effect.promise(() => import("../config/NexusConfig.ts"))
  const target = yield* targetGateway({ config: input.config, overrides: flags.addressOverrides(input) })
  const { loaded } = target
  const path = loaded === undefined ? undefined : keysFileOf(loaded)
  return { loaded, keys: loaded === undefined || path === undefined ? undefined : keptKeysAt(target, loaded, path) }
})

const inConfigAlone = new CliFailure({
  message:
    "keys stand in the config file alone, and are changed there; with auth.store they have a file of their own, and can be changed here"
})

const some = <A>([first, ...others]: ReadonlyArray<A>): readonly [A, ...Array<A>] | undefined =>
  first === undefined ? undefined : [first, ...others]

const labelsOf = Effect.fnUntraced(function* (written: ReadonlyArray<string>) {
  const labels: Record<string, string> = {}
  for (const each of written) {
    const at = each.indexOf("=")
    if (at < 1) return yield* new CliFailure({ message: `--label ${each}: expected NAME=VALUE` })
    labels[each.slice(0, at)] = each.slice(at + 1)
  }
  return written.length === 0 ? undefined : labels
})

/** Without what is not there. */
const compact = <A extends object>(value: { readonly [K in keyof A]: A[K] | undefined }): A =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined && each !== false)) as A // reason: what is left is what was there

const newCommand = Command.make(
  "new",
  {
    ...address,
    json,
    name: given.pipe(Argument.withDefault("client")),
    owner: text("owner", "NAME", "Whose it is"),
    label: list("label", "NAME=VALUE", "What else is to be known of it; may be given several times"),
    model: list("model", "GLOB", "Models, aliases and groups that it may ask for; all without one"),
    backend: list("backend", "GLOB", "Backends that may answer it; all without one"),
    network: list("network", "ADDRESS/LENGTH", "Networks that it may come from; all without one"),
    zone: list("zone", "NAME", "Zones of the backends that may answer it; all without one"),
    notBefore: text("not-before", "TIME", "When it begins: 2027-01-31, or 2027-01-31T18:00:00Z"),
    expires: text("expires", "TIME", "When it ends, written alike"),
    requests: amount("requests-per-minute", "Requests in a minute"),
    tokens: amount("tokens-per-minute", "Tokens in a minute, of prompts and answers together"),
    concurrent: amount("max-concurrent", "Requests under way at a time"),
    priority: Flag.Literals("priority", priorityClasses).pipe(
      Flag.withDescription("Class of its requests while they wait for a slot; normal"),
      Flag.optional
    ),
    admin: flags.onOff("admin", "May administer the gateway from other machines as well"),
    metrics: flags.onOff("metrics", "Is for /metrics alone")
  },
  Effect.fnUntraced(function* (input) {
    const [expires, begins] = [Option.getOrUndefined(input.expires), Option.getOrUndefined(input.notBefore)]
    const span = { expires, not_before: begins }
    const spanned = spanFault(span, yield* Clock.currentTimeMillis)
    if (spanned !== undefined) {
      const { param, reason } = spanned
      return yield* new CliFailure({ message: `--${param.replace("_", "-")} ${span[param]}: ${reason}` })
    }
    const fault = input.network.map(rangeFault).find((each) => each !== undefined)
    if (fault !== undefined) return yield* new CliFailure({ message: fault })
    const terms = compact<NewClientKey>({
      name: input.name,
      owner: Option.getOrUndefined(input.owner),
      labels: yield* labelsOf(input.label),
      models: some(input.model),
      backends: some(input.backend),
      networks: some(input.network),
      zones: some(input.zone),
      not_before: begins,
      expires,
      priority: Option.getOrUndefined(input.priority),
      requests_per_minute: Option.getOrUndefined(input.requests),
      tokens_per_minute: Option.getOrUndefined(input.tokens),
      max_concurrent: Option.getOrUndefined(input.concurrent),
      admin: input.admin,
      metrics: input.metrics
    })
    const { keys } = yield* keptKeys(input)
    if (keys !== undefined) {
      const made = yield* keys.make(terms)
      return yield* Console.log(input.json ? jsonText(made) : keptText(made, "is taken from now on"))
    }
    const { digest, key } = newKey()
    const made = { key, sha256: Buffer.from(digest).toString("hex") }
    return yield* Console.log(input.json ? jsonText({ name: input.name, ...made }) : keyText(terms, made))
  })
).pipe(
  Command.withDescription("Make a random key and print it once: for nexus.toml, or kept where auth.store says"),
  Command.withExamples([
    { command: "nexus keys new laptop" },
    { command: "nexus keys new ci --owner search --model 'qwen3*' --expires 2027-12-31" }
  ])
)

const moment = (at: number | null): string =>
  at === null ? "-" : new Date(at).toISOString().slice(0, 16).replace("T", " ")

const rowOf = (entry: ClientKeyEntry): ReadonlyArray<string> => [
  entry.name,
  entry.owner ?? "-",
  entry.models?.join(", ") ?? "all",
  entry.backends?.join(", ") ?? "all",
  entry.zones?.join(", ") ?? "all",
  moment(entry.expires),
  entry.admin === true ? "admin" : entry.metrics === true ? "metrics" : "-",
  entry.from
]

const listCommand = Command.make(
  "list",
  { ...address, json },
  Effect.fnUntraced(function* (input) {
    const { keys, loaded } = yield* keptKeys(input)
    const { keyEntriesOf } = yield* Effect.promise(() => import("../remote/ask-keys.ts"))
    const entries = keys === undefined ? keyEntriesOf(loaded?.authKeys ?? []) : yield* keys.list
    if (input.json) return yield* Console.log(jsonText({ keys: entries }))
    if (entries.length === 0) return yield* Console.log("There are no keys.")
    return yield* Console.log(
      shownTable(["Key", "Owner", "Models", "Backends", "Zones", "Expires", "Opens", "From"], entries.map(rowOf))
    )
  })
).pipe(Command.withDescription("List the keys and what they are for; nothing by which they could be used"))

/** Which tokens a revocation means. */
const tokensText = ({ issued_before: before, name, token_id: id }: RevocationEntry): string => {
  const whose = name.includes(":") ? `tokens of ${name}` : `a token of ${name}${id === null ? "" : ` (${id})`}`
  return printable(before === null ? whose : `${whose} issued before ${moment(before)}`)
}

const noNames = new CliFailure({ message: "say what is to be revoked: the name of a key, or --token-file" })

const revokeCommand = Command.make(
  "revoke",
  {
    ...address,
    json,
    name: Argument.String("name").pipe(
      Argument.withDescription("Name of a key, or of one that tokens make, such as corp:alice; corp:* is everybody's"),
      Argument.optional
    ),
    issuedBefore: text(
      "issued-before",
      "TIME",
      "Of tokens: those alone that were issued before this, such as now or 2027-01-31T18:00:00Z; all, and those to come, without it"
    ),
    tokenId: text("token-id", "ID", "Of tokens: the one of this id (jti) of the issuer that is named"),
    tokenFile
  },
  Effect.fnUntraced(function* (input) {
    const [name, issuedBefore, tokenId] = [input.name, input.issuedBefore, input.tokenId].map(Option.getOrUndefined)
    const token = Option.isSome(input.tokenFile) ? yield* readToken(input.tokenFile.value) : undefined
    const { keys } = yield* keptKeys(input)
    if (keys === undefined) return yield* inConfigAlone
    const bounds = { issued_before: issuedBefore, token, token_id: tokenId }
    const isOfTokens = Object.values(bounds).some((each) => each !== undefined) || name?.includes(":") === true
    if (isOfTokens) {
      const revoked = yield* keys.revokeTokens(compact<NewRevocation>({ name, ...bounds }))
      const { id } = revoked
      const told = `Revoked: ${tokensText(revoked)}. From now on nobody is let in by them; \`nexus keys lift ${id}\` takes that back.`
      return yield* Console.log(input.json ? jsonText(revoked) : told)
    }
    if (name === undefined) return yield* noNames
    yield* keys.revoke(name)
    return yield* Console.log(input.json ? jsonText({ name }) : `${name} is revoked: it lets nobody in from now on.`)
  })
).pipe(
  Command.withDescription("Revoke a key that is kept where auth.store says, or tokens of an issuer before their end"),
  Command.withExamples([
    { command: "nexus keys revoke laptop" },
    { command: "nexus keys revoke corp:alice" },
    { command: "nexus keys revoke 'corp:*' --issued-before now" },
    { command: "nexus keys revoke corp --token-id 9f1c2a" },
    { command: "nexus keys revoke --token-file leaked.jwt" }
  ])
)

const revokedCommand = Command.make(
  "revoked",
  { ...address, json },
  Effect.fnUntraced(function* (input) {
    const { keys } = yield* keptKeys(input)
    if (keys === undefined) return yield* inConfigAlone
    const revoked = yield* keys.revocations
    if (input.json) return yield* Console.log(jsonText({ revoked }))
    if (revoked.length === 0) return yield* Console.log("No tokens are revoked.")
    return yield* Console.log(
      shownTable(
        ["Id", "Tokens", "Revoked", "Ended by"],
        revoked.map((each) => [each.id, tokensText(each), moment(each.revoked_at), moment(each.until)])
      )
    )
  })
).pipe(Command.withDescription("List the tokens of issuers that were revoked before their end"))

const liftCommand = Command.make(
  "lift",
  {
    ...address,
    json,
    id: Argument.String("id").pipe(Argument.withDescription("Id of the revocation, as `nexus keys revoked` lists it"))
  },
  Effect.fnUntraced(function* (input) {
    const { keys } = yield* keptKeys(input)
    if (keys === undefined) return yield* inConfigAlone
    const lifted = yield* keys.lift(input.id)
    return yield* Console.log(input.json ? jsonText(lifted) : `No longer revoked: ${tokensText(lifted)}.`)
  })
).pipe(
  Command.withDescription("Let tokens count again that were revoked"),
  Command.withExamples([{ command: "nexus keys lift 4be7e0a31c6d5f20" }])
)

const rotateCommand = Command.make(
  "rotate",
  {
    ...address,
    json,
    name: given,
    overlapHours: Flag.Finite("overlap-hours").pipe(
      Flag.withDescription("How long the key before it counts beside the new one; 24"),
      Flag.withDefault(24),
      Flag.filter(
        (hours) => hours >= 0 && hours <= 8760,
        (hours) => `Expected hours from 0 to 8760, got ${hours}`
      )
    )
  },
  Effect.fnUntraced(function* (input) {
    const { keys } = yield* keptKeys(input)
    if (keys === undefined) return yield* inConfigAlone
    const made = yield* keys.rotate(input.name, input.overlapHours * 3600)
    const note = `is this key from now on; the one before it counts for ${input.overlapHours} h more`
    return yield* Console.log(input.json ? jsonText(made) : keptText(made, note))
  })
).pipe(
  Command.withDescription("Make another key in the place of one; both count until clients have changed over"),
  Command.withExamples([{ command: "nexus keys rotate laptop --overlap-hours 48" }])
)

/** The command. */
export const keysCommand = Command.make("keys").pipe(
  Command.withDescription("Keys for the clients of the gateway"),
  Command.withSubcommands([newCommand, listCommand, revokeCommand, revokedCommand, liftCommand, rotateCommand])
)
