/**
 * What commands want to know of the backends: from the running gateway, or from the backends themselves when none runs.
 */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ConfigInvalid, type LoadedConfig, NexusConfig, readConfig } from "../config/NexusConfig.ts"
import * as Discovery from "../discovery/Discovery.ts"
import { findMembers } from "../discovery/members/Members.ts"
import { makeProbe } from "../health/probe.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import { Registry } from "../registry/Registry.ts"
import { Transport } from "../upstream/Transport.ts"
import type { CaptureList, DeletedCaptures, WholeCapture } from "../api/captures-api.ts"
import type { CacheState } from "../api/cache-api.ts"
import type { Audit } from "../api/audit-api.ts"
import { possibleHosts } from "../config/possible-hosts.ts"
import type { UsageReport } from "../api/usage-api.ts"
import type { AliasList } from "../api/catalogue-api.ts"
import type {
  Explained,
  ExplainedUnderWay,
  ReplayAnswer,
  RequestsUnderWayList,
  Route,
  RouteOrigin,
  RouteQuery
} from "../api/admin-api.ts"
import {
  askAliases,
  askAudit,
  askCache,
  askCapture,
  askCaptures,
  askDeleteCaptures,
  askClearCache,
  askBackends,
  askCancel,
  askDecision,
  askHealth,
  askOneUnderWay,
  askReplay,
  askRoute,
  askUnderWay,
  askUsage,
  type GatewayHealth,
  type GatewayRefused,
  type NoGateway,
  type NotDone,
  type UsageQuestion
} from "./gateway-client.ts"
import { localBackends } from "./local-backends.ts"
import { askGateway, atGateway, type SurveyOptions, targetGateway, withTransport } from "./target.ts"

/** The backends, and who told of them. */
export interface Survey {
  readonly source: "gateway" | "probes"
  readonly backends: ReadonlyArray<BackendEntry>
}

/** No gateway answers, and what it would ask is not known for sure. */
export class NothingToProbe extends Data.TaggedError("NothingToProbe")<{ readonly reason: string }> {
  override get message(): string {
    return `${this.reason}. The backends themselves are not asked while the config has mistakes`
  }
}

/** The state of the running gateway and of its backends. */
export interface Inspection {
  readonly url: string
  readonly version: string
  readonly health: GatewayHealth
  readonly backends: ReadonlyArray<BackendEntry>
}

/** What the gateway of the config answers, or why there is no answer. */
type Answer<A> = Effect.Effect<A, ConfigInvalid | NotDone>

const probesAtATime = 16

const probeAll = Effect.fnUntraced(function* (loaded: LoadedConfig) {
  const registry = yield* Registry
  const transport = yield* Transport
  for (const backend of loaded.backends) yield* registry.put(backend)
  for (const { members } of yield* findMembers(loaded)) for (const backend of members) yield* registry.put(backend)
  if (loaded.discovery) {
    yield* Layer.build(
      Discovery.layer({ ownPort: loaded.settings.server.port }).pipe(Layer.provide(NexusConfig.layerOf(loaded)))
    )
  }
  const timeoutMs = loaded.settings.health_check.timeout_seconds * 1000
  yield* Effect.forEach(
    registry.snapshot().backends.values(),
    ({ backend }) =>
      makeProbe(transport, backend, () => timeoutMs).pipe(
        Effect.flatten,
        Effect.flatMap((outcome) => registry.noteProbe(backend.name, outcome))
      ),
    { concurrency: probesAtATime, discard: true }
  )
  return localBackends(registry.snapshot())
})

/** Probes every configured backend once, and this machine's ports when discovery is on. */
const probe = (loaded: LoadedConfig) =>
  probeAll(loaded).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: a registry of its own, for this one look
    Effect.provide(Registry.layer(() => ({ failures: 1, recoveries: 1 })))
  )

/** The backends, from the gateway at the config's address; when none runs there, says so and probes them itself. */
export const surveyBackends = (
  options: SurveyOptions
): Effect.Effect<Survey, ConfigInvalid | GatewayRefused | NothingToProbe> =>
  withTransport(
    Effect.gen(function* () {
      const target = yield* targetGateway(options)
      return yield* askGateway(target, askBackends).pipe(
        Effect.map(({ backends }): Survey => ({ source: "gateway", backends })),
        Effect.catchTag("NoGateway", ({ message }) =>
          target.loaded === undefined
            ? Effect.fail(new NothingToProbe({ reason: message }))
            : Console.error(`${message}. Asking the backends themselves.`).pipe(
                Effect.andThen(probe(target.loaded)),
                Effect.map((backends): Survey => ({ source: "probes", backends }))
              )
        )
      )
    })
  )

/** The state of the gateway at the config's address. */
export const inspectGateway = (
  options: SurveyOptions
): Effect.Effect<Inspection, ConfigInvalid | NoGateway | GatewayRefused> =>
  atGateway(options, (address) =>
    Effect.gen(function* () {
      const health = yield* askHealth(address)
      const { version, backends } = yield* askBackends(address)
      return { url: address.url, version, health, backends }
    })
  )

/** What would become of a chat request at the gateway of the config. */
export const explainRoute = (
  options: SurveyOptions,
  body: RouteQuery,
  from: RouteOrigin,
  token?: string
): Answer<Route> => atGateway(options, (address) => askRoute(address, body, from, token))

/** What would have become of the last requests at the gateway of the config, were it to go by that config. */
export const replayRequests = (options: SurveyOptions, sinceMs: number): Answer<ReplayAnswer> =>
  Effect.flatMap(
    readConfig({ path: options.config, overrides: options.overrides, allowMissing: "any" }),
    ({ loaded: { settings, warnings } }) => {
      const { backends, routes, routing } = settings
      const question = { settings: { backends, routes, routing }, since_ms: sinceMs }
      return Effect.forEach(warnings, (line) => Console.error(`warning: ${line}`), { discard: true }).pipe(
        Effect.andThen(atGateway(options, (address) => askReplay(address, question)))
      )
    }
  )

/** What became of a request at the gateway of the config, or how it stands while it is under way, by its id. */
export const explainRequest = (options: SurveyOptions, id: string): Answer<Explained | ExplainedUnderWay> =>
  atGateway(options, (address) =>
    askOneUnderWay(address, id).pipe(Effect.catchTag("Unanswerable", () => askDecision(address, id)))
  )

/** The requests that are under way at the gateway of the config. */
export const requestsUnderWay = (options: SurveyOptions): Answer<RequestsUnderWayList> =>
  atGateway(options, askUnderWay)

/** What requests took at the gateway of the config. */
export const reportUsage = (options: SurveyOptions, question: UsageQuestion): Answer<UsageReport> =>
  atGateway(options, (address) => askUsage(address, question))

/** The prompts and answers that the gateway of the config has stored last. */
export const listCaptures = (options: SurveyOptions): Answer<CaptureList> => atGateway(options, askCaptures)

/** One of them. */
export const showCapture = (options: SurveyOptions, id: number): Answer<WholeCapture> =>
  atGateway(options, (address) => askCapture(address, id))

/** Has it delete one, or all. */
export const deleteCaptures = (options: SurveyOptions, id: number | undefined): Answer<DeletedCaptures> =>
  atGateway(options, (address) => askDeleteCaptures(address, id))

/** The answers that the gateway of the config keeps to be given again. */
export const keptAnswers = (options: SurveyOptions): Answer<CacheState> => atGateway(options, askCache)

/** Has the gateway of the config drop those; gives what that was. */
export const clearCache = (options: SurveyOptions): Answer<CacheState> => atGateway(options, askClearCache)

/** The hosts that the gateway of the config may contact, and has; of one that does not run, those that it may. */
export const auditHosts = (options: SurveyOptions): Answer<Audit> =>
  withTransport(
    Effect.flatMap(targetGateway(options), (target) =>
      askGateway(target, askAudit).pipe(
        Effect.catchTag("NoGateway", (none) => {
          const { loaded } = target
          if (loaded === undefined) return Effect.fail(none)
          const { mode, networks } = loaded.settings.privacy
          const possible = possibleHosts(loaded, loaded.backends)
          return Effect.succeed<Audit>({ mode, networks, possible, contacted: null, complete: true })
        })
      )
    )
  )

/** Has the gateway of the config end the requests under way with an id; gives how they stood. */
export const cancelRequest = (options: SurveyOptions, id: string): Answer<RequestsUnderWayList> =>
  atGateway(options, (address) => askCancel(address, id))

/** The aliases and fallbacks of the gateway of the config. */
export const inspectAliases = (
  options: SurveyOptions
): Effect.Effect<AliasList, ConfigInvalid | NoGateway | GatewayRefused> => atGateway(options, askAliases)

/** A gateway as its clients would reach it; `problem` says why it could not be asked. */
export interface GatewayForClients {
  readonly url: string
  readonly keyNeeded: boolean
  readonly aliases: ReadonlyMap<string, string>
  readonly backends: ReadonlyArray<BackendEntry>
  readonly problem: string | undefined
}

const modelOf = (models: AliasList["groups"][number]["models"], backends: ReadonlyArray<BackendEntry>): string => {
  const { model = "" } = models.find((each) => each.backends.length > 0) ?? models[0] ?? {}
  const at = model.lastIndexOf("@")
  return backends.some(({ name }) => name === model.slice(at + 1)) ? model.slice(0, at) : model
}

/** What clients of the gateway at the config's address need to know; of one that cannot be asked, what the config says. */
export const describeGateway = (options: SurveyOptions): Effect.Effect<GatewayForClients, ConfigInvalid> =>
  withTransport(
    Effect.gen(function* () {
      const target = yield* targetGateway(options)
      const { url } = target
      // Somebody who has set a key for it wants it sent: what the gateway asks for need not stand in this config.
      const keyNeeded = target.keyNeeded || target.keyFrom === "NEXUS_KEY"
      const both = askGateway(target, (address) => Effect.all([askBackends(address), askAliases(address)]))
      return yield* both.pipe(
        Effect.map(([{ backends }, { aliases, groups }]): GatewayForClients => ({
          url,
          keyNeeded,
          aliases: new Map([
            // What one of its models can do is what can be told of a group.
            ...groups.map(({ group, models }) => [group, modelOf(models, backends)] as const),
            ...aliases.map(({ alias, model }) => [alias, model] as const)
          ]),
          backends,
          problem: undefined
        })),
        Effect.catch((error) =>
          Effect.succeed<GatewayForClients>({
            url,
            keyNeeded: keyNeeded || (error._tag === "GatewayRefused" && error.status === 401),
            aliases: target.loaded?.routing.aliases ?? new Map(),
            backends: [],
            problem: error.message
          })
        )
      )
    })
  )

/** The names that the gateway of the config knows, without a word on mistakes of the config; aliases are left out where it does not tell them. */
export const knownNames = (options: SurveyOptions) =>
  withTransport(
    Effect.flatMap(targetGateway(options, "silent"), (target) =>
      Effect.all(
        {
          backends: Effect.map(askBackends(target), ({ backends }) => backends),
          aliases: askAliases(target).pipe(
            Effect.map(({ aliases, groups }) => [
              ...aliases.map(({ alias }) => alias),
              ...groups.map(({ group }) => group)
            ]),
            Effect.orElseSucceed((): ReadonlyArray<string> => [])
          )
        },
        { concurrency: "unbounded" }
      )
    )
  )

/** The ids of the requests under way at the gateway of the config, without a word on mistakes of the config. */
export const knownIds = (options: SurveyOptions) =>
  withTransport(
    Effect.flatMap(targetGateway(options, "silent"), (target) =>
      Effect.map(askUnderWay(target), ({ requests }) => requests.map(({ id }) => id))
    )
  )
