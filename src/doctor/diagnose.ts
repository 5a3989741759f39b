/**
 * What `nexus doctor` does: looks at the gateway's own ground and at every backend, and tells no secret of them.
 */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { defaultLimits, type LoadedConfig } from "../config/compile.ts"
import { type ConfigInvalid, type ConfigOptions, keyToSend, readConfig } from "../config/NexusConfig.ts"
import { shownSettings } from "../config/show.ts"
import { aboutOf, examineBackend } from "./examine.ts"
import { checkIssuer, issuerAbout } from "./issuer-check.ts"
import { error, type Finding, info, ok, type ReportSection, warning } from "./finding.ts"
import { deadRoutingNames } from "./name-check.ts"
import type { Report } from "./report.ts"
import { Perimeter, perimeterGate } from "../upstream/perimeter.ts"
import { connectFailure } from "./reachability.ts"
import { checkConfig, checkKeyFiles, checkOpenFiles, checkOwnFiles } from "./process-limits.ts"
import { typeCalled } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import type { HookRule } from "../domain/hook-rules.ts"
import { askHook } from "../hooks/Hooks.ts"
import { printable } from "../domain/printable.ts"
import { version } from "../domain/version.ts"
import { findMembers } from "../discovery/members/Members.ts"
import { findOnce, hostsOf } from "../discovery/Discovery.ts"
import { applyProbe, emptySnapshot, withBackend } from "../registry/snapshot-changes.ts"
import { entryCandidates } from "../router/groups.ts"
import { nameTargets } from "../router/names.ts"
import { Transport } from "../upstream/Transport.ts"
import { gatewayUrl } from "../http/address.ts"
import { askHealth } from "../remote/gateway-client.ts"
import { holderOf, processAt } from "../remote/port-holder.ts"
import type { SurveyOptions } from "../remote/target.ts"
import { bareHost } from "../domain/url-host.ts"

/** What is to be looked at, and how. */
export interface DiagnoseOptions extends SurveyOptions {
  /** Whether tokens may be spent. */
  readonly inference: boolean
  /** Where each finding goes as it comes. */
  readonly report: Report
}

/** A report that may be shared: no key, no password of an address, no text of a request is in it. */
export interface Diagnosis {
  readonly version: string
  readonly bun: string
  readonly system: string
  /** ISO 8601. */
  readonly at: string
  readonly sections: ReadonlyArray<ReportSection>
  /** The settings in force, as `nexus config show` tells them. */
  readonly settings: ReadonlyArray<{ readonly key: string; readonly value: unknown; readonly origin: string }>
}

/** Time for a question that costs nothing, and for an answer of a model, in milliseconds. */
const patience = { timeoutMs: 5000, answerMs: 60_000 } as const

const backendsAtOnce = 8

/** What is looked over from inside: a gateway that runs, as it is now. */
export interface OwnGround {
  /** The config in force, and where it is read. */
  readonly loaded: LoadedConfig
  readonly from: ConfigOptions
  readonly backends: ReadonlyArray<Backend>
  /** Those of them that are healthy. */
  readonly healthy: ReadonlySet<string>
}

const mistakesFound = ({ message }: ConfigInvalid): ReadonlyArray<Finding> =>
  message.split("\n").map((line) => error("config", line, "correct it; nexus config check looks again"))

// The file may have changed since; the last good config stays in force until then.
const mistakesNow = ({ from, loaded: { path } }: OwnGround): Effect.Effect<ConfigInvalid | undefined> =>
  readConfig({ ...from, path: Option.orElse(from.path, () => Option.fromUndefinedOr(path)) }).pipe(
    Effect.match({
      // A gateway may run without a file.
      onFailure: (mistakes) => (mistakes.missing === true && path === undefined ? undefined : mistakes),
      onSuccess: () => undefined
    })
  )

/** What listens where the gateway would, and what is known of a gateway there. */
interface Port {
  readonly findings: ReadonlyArray<Finding>
  /** The backends that it has, and those of them that it finds healthy. */
  readonly there: ReadonlyArray<string>
  readonly healthyThere: ReadonlySet<string>
  /** Its process, where the system tells. */
  readonly pid: string | undefined
}

const portOf = (...findings: ReadonlyArray<Finding>): Port => ({
  findings,
  there: [],
  healthyThere: new Set(),
  pid: undefined
})

const ownPortOf = ({ backends, healthy, loaded: { settings } }: OwnGround): Port => ({
  findings: [ok("port", `this gateway listens at ${settings.server.host}`)],
  there: backends.map(({ name }) => name),
  healthyThere: healthy,
  pid: undefined
})

const lookAtPort = Effect.fnUntraced(function* ({
  settings,
  authKeys
}: LoadedConfig): Effect.fn.Return<Port, never, Transport> {
  const { host, port } = settings.server
  if (port === 0) return portOf(ok("port", "any free port"))
  const url = gatewayUrl(host, port)
  const closed = yield* connectFailure(bareHost(URL.parse(url)?.hostname ?? host), port, patience.timeoutMs)
  if (closed !== undefined) return portOf(ok("port", `${port} is free`))
  const key = yield* Effect.orElseSucceed(keyToSend(authKeys), () => ({ key: undefined }))
  return yield* askHealth({ url, ...key }).pipe(
    Effect.flatMap(({ status, details }) =>
      Effect.map(processAt(port), (holder) => ({
        findings: [ok("port", `a gateway runs at ${url} and is ${status}`)],
        there: details.map(({ name }) => name),
        healthyThere: new Set(details.filter((each) => each.status === "healthy").map(({ name }) => name)),
        pid: holder?.pid
      }))
    ),
    Effect.catchTag("GatewayRefused", ({ message }) => Effect.succeed(portOf(info("port", message)))),
    Effect.catchTag("NoGateway", () =>
      Effect.map(holderOf(port), (holder) =>
        portOf(
          error(
            "port",
            `${holder ?? "another program"} listens at ${url}`,
            `port = ${port + 1} under [server], or --port ${port + 1}`
          )
        )
      )
    )
  )
})

const fileNames = ({ settings }: LoadedConfig): ReadonlyArray<string> =>
  [
    ...settings.backends.flatMap(({ api_key_file, client_key_file }) => [api_key_file, client_key_file]),
    ...settings.hooks.map(({ api_key_file }) => api_key_file)
  ].filter((file) => file !== undefined)

/** Asks a hook about nothing at all, as requests would ask it. */
const checkHook = Effect.fnUntraced(function* (rule: HookRule): Effect.fn.Return<Finding, never, Transport> {
  const { name, onError, url } = rule
  const subject = { request_id: "doctor", endpoint: "", dialect: "", model: "", stream: false, key: null, owner: null }
  const question = { phase: "request", texts: [], media: 0, window: 0, last: true } as const
  const { ms, verdict } = yield* askHook(yield* Transport, rule, subject, question)
  const check = `hook ${name}`
  if (Result.isSuccess(verdict)) return ok(check, `answers at ${url} within ${Math.round(ms)} ms`)
  const fix = `start it, or correct its url; docs/hooks.md says what it is to answer`
  return onError === "block"
    ? error(check, `${url}: ${verdict.failure}; requests that are for it are refused`, fix)
    : warning(check, `${url}: ${verdict.failure}; requests go on without it`, fix)
})

const membersFix = {
  dns: "give the name as its DNS server has it; a headless Service has addresses while pods of it are ready",
  kubernetes:
    "nexus needs get, list and watch of endpointslices in the namespace of the Service, and pods of it that are ready"
} as const

const about = `nexus ${version}`

// A gateway may have some that were added by command, or simulated ones.
const noBackends = (there: ReadonlyArray<string>): Finding =>
  there.length > 0
    ? info("backends", `there is none in the config; the gateway that runs has ${there.join(", ")}`)
    : error(
        "backends",
        "there is none in the config, and none was found on this machine",
        "nexus setup, or nexus config init and then name one"
      )

/** Looks at the gateway's own ground; gives the backends that a running gateway finds healthy. */
const lookAtGateway = Effect.fnUntraced(function* (
  loaded: LoadedConfig,
  backends: ReadonlyArray<Backend>,
  say: (findings: ReadonlyArray<Finding>) => void,
  here: OwnGround | undefined
) {
  const mistakes = here === undefined ? undefined : yield* mistakesNow(here)
  say(mistakes === undefined ? checkConfig(loaded, backends.length) : mistakesFound(mistakes))
  const { findings, healthyThere, pid, there } = here === undefined ? yield* lookAtPort(loaded) : ownPortOf(here)
  if (backends.length === 0) say([noBackends(there)])
  say(findings)
  say(yield* checkOpenFiles(pid))
  say(yield* checkKeyFiles(fileNames(loaded), loaded.path))
  say(yield* checkOwnFiles(loaded))
  for (const rule of loaded.hooks) say([yield* checkHook(rule)])
  return healthyThere
})

const invalid = (mistakes: ConfigInvalid, report: Report): ReportSection => {
  const findings = mistakesFound(mistakes)
  const { say, end } = report("gateway", about)
  findings.forEach(say)
  end()
  return { name: "gateway", about, findings }
}

/** What must not be told: every key that the settings and these backends hold, and those that their variables stand for. */
const secretsOf = (
  { authKeys, followed, hooks }: LoadedConfig,
  backends: ReadonlyArray<Backend>
): ReadonlyArray<string> =>
  [
    ...[...backends, ...followed.map(({ backend }) => backend)].map(({ apiKey }) => apiKey),
    ...authKeys.map(({ key }) => key),
    ...hooks.map(({ key }) => key)
  ].flatMap((key) => (key === undefined ? [] : [Redacted.value(key)]))

// Put where a key is asked for and none is needed; to strike such words out would tell nothing and spoil the rest.
const placeholders = /^(.{0,3}|local|none|null|empty|dummy|no-key|not-needed|test)$/i

const isPlaceholder = (key: string): boolean => placeholders.test(key) || typeCalled(key) !== undefined

const cleaner = (secrets: ReadonlyArray<string>) => {
  const real = secrets.filter((secret) => !isPlaceholder(secret))
  return (text: string): string =>
    printable(real.reduce((cleaned, secret) => cleaned.replaceAll(secret, "[secret]"), text))
}

const looked = Effect.fnUntraced(function* (
  loaded: LoadedConfig,
  { inference, report }: Pick<DiagnoseOptions, "inference" | "report">,
  here?: OwnGround
) {
  const { port } = loaded.settings.server
  const ownPort = port === 0 ? undefined : port
  // One that was added by command has a key that the config does not hold.
  const clean = cleaner(secretsOf(loaded, [...loaded.backends, ...(here?.backends ?? [])]))
  const cleaned = ({ check, severity, seen, fix }: Finding): Finding =>
    fix === undefined ? { check, severity, seen: clean(seen) } : { check, severity, seen: clean(seen), fix: clean(fix) }
  // Begins a section; what is said of it is told, and kept.
  const begin = (name: string, words: string) => {
    const chapter = report(name, clean(words))
    const findings: Array<Finding> = []
    const say = (finding: Finding): void => {
      findings.push(cleaned(finding))
      chapter.say(cleaned(finding))
    }
    return { say, end: chapter.end, section: (): ReportSection => ({ name, about: clean(words), findings }) }
  }
  const behind = yield* findMembers(loaded)
  const members = behind.flatMap((each) => each.members)
  const found =
    loaded.discovery && here === undefined
      ? yield* findOnce({
          limits: defaultLimits(loaded.settings),
          ownPort,
          hosts: hostsOf(loaded),
          known: [...loaded.backends, ...members]
        })
      : []
  const backends = here?.backends ?? [...loaded.backends, ...members, ...found]
  const gateway = begin("gateway", about)
  const healthyThere = yield* lookAtGateway(loaded, backends, (findings) => findings.forEach(gateway.say), here)
  gateway.end()
  const issuers = yield* Effect.forEach(
    loaded.issuers,
    Effect.fnUntraced(function* (issuer) {
      const part = begin(`issuer ${issuer.name}`, issuerAbout(issuer))
      for (const finding of yield* checkIssuer(issuer)) part.say(finding)
      part.end()
      return part
    }),
    { concurrency: backendsAtOnce }
  )
  const empty = behind.flatMap(({ fault, followed }) => {
    if (fault === undefined) return []
    const part = begin(followed.backend.name, aboutOf(followed.backend))
    part.say(error("members", `${followed.host}: ${fault}`, membersFix[followed.by]))
    part.end()
    return [part]
  })
  const how = { inference, ownPort, healthyThere, ...patience }
  const begun = backends.map((backend) => ({ backend, part: begin(backend.name, aboutOf(backend)) }))
  const lists = yield* Effect.forEach(
    begun,
    ({ backend, part }) =>
      examineBackend(backend, how, part.say).pipe(
        Effect.map(({ models }) => models),
        Effect.ensuring(Effect.sync(part.end))
      ),
    { concurrency: backendsAtOnce }
  )
  const { routing: rules, thresholds } = loaded
  const snapshot = backends.reduce((before, backend, at) => {
    const list = lists[at]
    const there = withBackend(before, backend)
    if (list === undefined) return there
    const models = list.map((id) => ({ id, capabilities: {} }))
    return applyProbe(there, backend.name, { _tag: "Up", models, latencyMs: 0 }, thresholds).snapshot
  }, emptySnapshot)
  const names = deadRoutingNames(rules, {
    lists,
    leadsTo: (name) => nameTargets(name, rules, snapshot),
    members: (entry) => entryCandidates(entry, rules, snapshot)
  })
  const sections = [gateway, ...issuers, ...empty, ...begun.map(({ part }) => part)].map(({ section }) => section())
  if (names.length === 0) return sections
  const routing = begin("routing", rules.groups.size === 0 ? "aliases and fallbacks" : "aliases, groups and fallbacks")
  names.forEach(routing.say)
  routing.end()
  return [...sections, routing.section()]
})

/** Within what the config lets be asked. */
const within =
  ({ perimeter }: LoadedConfig) =>
  <A, E, R>(looking: Effect.Effect<A, E, R>) =>
    looking.pipe(
      // @effect-diagnostics-next-line strictEffectProvide:off -- reason: what bounds it is known once the config is read
      Effect.provide(Transport.layer),
      Effect.provideService(
        Perimeter,
        perimeterGate(() => perimeter)
      )
    )

/** Looks at everything that a running gateway stands on and asks, from inside; it never fails. */
export const lookOver = (
  here: OwnGround,
  options: Pick<DiagnoseOptions, "inference" | "report">
): Effect.Effect<ReadonlyArray<ReportSection>> =>
  looked(here.loaded, options, here).pipe(
    within(here.loaded),
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever reads
    Effect.provide(NodeFileSystem.layer)
  )

/** Looks at everything; it never fails, what is wrong is found. */
export const diagnose = (options: DiagnoseOptions): Effect.Effect<Diagnosis> =>
  Effect.gen(function* () {
    const read = yield* Effect.result(
      readConfig({ path: options.config, overrides: options.overrides, allowMissing: "any" })
    )
    const sections = Result.isSuccess(read)
      ? yield* looked(read.success.loaded, options).pipe(within(read.success.loaded))
      : [invalid(read.failure, options.report)]
    return {
      version,
      bun: process.versions.bun ?? "unknown",
      system: `${process.platform}-${process.arch}`,
      at: DateTime.formatIso(yield* DateTime.now),
      sections,
      settings: Result.isSuccess(read) ? shownSettings(read.success) : []
    }
  }).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(NodeFileSystem.layer)
  )
