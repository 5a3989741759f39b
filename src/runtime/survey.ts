/**
 * What commands want to know of the backends: from the running gateway, or from the backends themselves when none runs.
 */
import { Console, Effect, Layer, type Option } from "effect"
import { type ConfigInvalid, type Loaded, NexusConfig, readConfig } from "../config/NexusConfig.ts"
import * as Discovery from "../health/Discovery.ts"
import { makeProbe } from "../health/probe.ts"
import type { BackendEntry } from "../http/api.ts"
import { Registry } from "../registry/Registry.ts"
import { Transport } from "../upstream/Transport.ts"
import type { AliasList } from "../http/catalogue-api.ts"
import type { Asked, Explained, Route } from "../http/admin-api.ts"
import { urlOf } from "./address.ts"
import {
  askAliases,
  askBackends,
  askDecision,
  askHealth,
  askRoute,
  type GatewayAddress,
  type GatewayHealth,
  GatewayRefused,
  NoGateway,
  type Unanswerable
} from "./client.ts"
import { reportOf } from "./report.ts"

/** Which config a command goes by; `overrides` are settings from flags, nested as in the file. */
export interface SurveyOptions {
  readonly config: Option.Option<string>
  readonly overrides: Record<string, unknown>
}

/** The backends, and who told of them. */
export interface Survey {
  readonly source: "gateway" | "probes"
  readonly backends: ReadonlyArray<BackendEntry>
}

/** The state of the running gateway and of its backends. */
export interface Inspection {
  readonly url: string
  readonly version: string
  readonly health: GatewayHealth
  readonly backends: ReadonlyArray<BackendEntry>
}

const probesAtATime = 16

const load = ({ config, overrides }: SurveyOptions) =>
  Effect.map(readConfig({ path: config, overrides }), ({ loaded }) => loaded)

const addressOf = ({ settings, authKeys }: Loaded): GatewayAddress => ({
  url: urlOf(settings.server.host, settings.server.port),
  key: authKeys.find(({ key }) => key !== undefined)?.key
})

const probeAll = Effect.fnUntraced(function* (loaded: Loaded) {
  const registry = yield* Registry
  const transport = yield* Transport
  for (const backend of loaded.backends) yield* registry.put(backend)
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
  return reportOf(registry.snapshot())
})

/** Probes every configured backend once, and this machine's ports when discovery is on. */
const probe = (loaded: Loaded) =>
  probeAll(loaded).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: a registry of its own, for this one look
    Effect.provide(Registry.layer(() => ({ failures: 1, recoveries: 1 })))
  )

/** The backends, from the gateway at the config's address; when none runs there, says so and probes them itself. */
export const survey = (options: SurveyOptions): Effect.Effect<Survey, ConfigInvalid | GatewayRefused> =>
  Effect.gen(function* () {
    const loaded = yield* load(options)
    return yield* askBackends(addressOf(loaded)).pipe(
      Effect.map(({ backends }): Survey => ({ source: "gateway", backends })),
      Effect.catchTag("NoGateway", ({ message }) =>
        Console.error(`${message}. Asking the backends themselves.`).pipe(
          Effect.andThen(probe(loaded)),
          Effect.map((backends): Survey => ({ source: "probes", backends }))
        )
      )
    )
  }).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Transport.layer)
  )

/** The state of the gateway at the config's address. */
export const inspect = (
  options: SurveyOptions
): Effect.Effect<Inspection, ConfigInvalid | NoGateway | GatewayRefused> =>
  Effect.gen(function* () {
    const address = addressOf(yield* load(options))
    const health = yield* askHealth(address)
    const { version, backends } = yield* askBackends(address)
    return { url: address.url, version, health, backends }
  }).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Transport.layer)
  )

/** Asks the gateway of the config. */
export const atGateway = <A, E>(
  options: SurveyOptions,
  ask: (address: GatewayAddress) => Effect.Effect<A, E, Transport>
): Effect.Effect<A, E | ConfigInvalid> =>
  Effect.flatMap(load(options), (loaded) => ask(addressOf(loaded))).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Transport.layer)
  )

/** What would become of a chat request at the gateway of the config. */
export const explainRoute = (
  options: SurveyOptions,
  body: Asked
): Effect.Effect<Route, ConfigInvalid | NoGateway | GatewayRefused | Unanswerable> =>
  atGateway(options, (address) => askRoute(address, body))

/** What became of a request at the gateway of the config, by its id. */
export const explainRequest = (
  options: SurveyOptions,
  id: string
): Effect.Effect<Explained, ConfigInvalid | NoGateway | GatewayRefused | Unanswerable> =>
  atGateway(options, (address) => askDecision(address, id))

/** The aliases and fallbacks of the gateway of the config. */
export const inspectAliases = (
  options: SurveyOptions
): Effect.Effect<AliasList, ConfigInvalid | NoGateway | GatewayRefused> => atGateway(options, askAliases)

/** A gateway as its clients would reach it; `problem` says why it could not be asked. */
export interface Reachable {
  readonly url: string
  readonly keyNeeded: boolean
  readonly aliases: ReadonlyMap<string, string>
  readonly backends: ReadonlyArray<BackendEntry>
  readonly problem: string | undefined
}

/** What clients of the gateway at the config's address need to know; of one that cannot be asked, what the config says. */
export const reach = (options: SurveyOptions): Effect.Effect<Reachable, ConfigInvalid> =>
  Effect.gen(function* () {
    const loaded = yield* load(options)
    const address = addressOf(loaded)
    const told = { url: address.url, keyNeeded: loaded.authKeys.length > 0 }
    return yield* Effect.all([askBackends(address), askAliases(address)]).pipe(
      Effect.map(([{ backends }, { aliases }]): Reachable => ({
        ...told,
        aliases: new Map(aliases.map(({ alias, model }) => [alias, model])),
        backends,
        problem: undefined
      })),
      Effect.catch((error) =>
        Effect.succeed<Reachable>({
          url: told.url,
          keyNeeded: told.keyNeeded || (error._tag === "GatewayRefused" && error.status === 401),
          aliases: loaded.routing.aliases,
          backends: [],
          problem: error.message
        })
      )
    )
  }).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Transport.layer)
  )

/** The names that the gateway of the config knows; aliases are left out where it does not tell them. */
export const knownNames = (options: SurveyOptions) =>
  atGateway(options, (address) =>
    Effect.all(
      {
        backends: Effect.map(askBackends(address), ({ backends }) => backends),
        aliases: askAliases(address).pipe(
          Effect.map(({ aliases }) => aliases.map(({ alias }) => alias)),
          Effect.orElseSucceed((): ReadonlyArray<string> => [])
        )
      },
      { concurrency: "unbounded" }
    )
  )
