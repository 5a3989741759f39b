/**
 * Which gateway a command asks, and with which key; mistakes of the config keep nobody from asking one that runs.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { needsKeys } from "../config/compile.ts"
import {
  type ConfigInvalid,
  keyToSend,
  type LoadedConfig,
  readConfig,
  readPartialConfig,
  partialConfigWithoutFile
} from "../config/NexusConfig.ts"
import { Transport } from "../upstream/Transport.ts"
import { adminAddress, gatewayUrl } from "../http/address.ts"
import { type GatewayAddress, NoGateway, notNexus } from "./gateway-client.ts"

/** Which config a command goes by; `overrides` are settings from flags, nested as in the file. */
export interface SurveyOptions {
  readonly config: Option.Option<string>
  readonly overrides: Record<string, unknown>
}

/** The gateway of a config. */
export interface TargetGateway extends GatewayAddress {
  /** Whether its config names keys. */
  readonly keyNeeded: boolean
  /** Whether no flag says where it is. */
  readonly assumed: boolean
  /** Its settings; undefined when they have mistakes. */
  readonly loaded: LoadedConfig | undefined
}

const warn = ({ message }: ConfigInvalid) =>
  Effect.forEach(message.split("\n"), (line) => Console.error(`warning: ${line}`), { discard: true })

/** The gateway of a config; of one with mistakes, which are told as warnings unless `silent`, what can still be told. */
export const targetGateway = Effect.fnUntraced(function* (
  { config, overrides }: SurveyOptions,
  silent?: "silent"
): Effect.fn.Return<TargetGateway, ConfigInvalid> {
  const options = { path: config, overrides, allowMissing: "any" } as const
  const { host, port, admin, authKeys, keyNeeded, loaded } = yield* readConfig(options).pipe(
    Effect.map(({ loaded }) => ({
      ...loaded.settings.server,
      admin: loaded.settings.admin.listen,
      authKeys: loaded.authKeys,
      keyNeeded: needsKeys(loaded.settings),
      loaded
    })),
    Effect.catchTag("ConfigInvalid", (invalid) =>
      readPartialConfig(options).pipe(
        Effect.tap(silent === undefined ? warn(invalid) : Effect.void),
        Effect.map((remains) => ({ ...remains, keyNeeded: remains.authKeys.length > 0, loaded: undefined }))
      )
    )
  )
  return {
    url: gatewayUrl(host, port),
    admin: adminAddress(admin),
    ...(yield* keyToSend(authKeys)),
    keyNeeded,
    assumed: !("server" in overrides),
    loaded
  }
})

/** The same for a question that needs no key: nothing that is wrong with the config, its file or the key fails it. */
export const targetWithoutKey = Effect.fnUntraced(function* ({
  config,
  overrides
}: SurveyOptions): Effect.fn.Return<TargetGateway> {
  const options = { path: config, overrides, allowMissing: "any" } as const
  const { host, port } = yield* readConfig(options).pipe(
    Effect.map(({ loaded }) => loaded.settings.server),
    Effect.tapError(warn),
    Effect.catch(() => readPartialConfig(options)),
    Effect.catch(() => partialConfigWithoutFile(overrides))
  )
  return {
    url: gatewayUrl(host, port),
    key: undefined,
    keyNeeded: false,
    assumed: !("server" in overrides),
    loaded: undefined
  }
})

const hintFor = ({ assumed }: TargetGateway, { reason }: NoGateway): string => {
  const other = "-p and -H name another one"
  if (reason === notNexus) return assumed ? other : "-p and -H say where to ask"
  return assumed ? `nexus serve starts one, ${other}` : "nexus serve starts one"
}

/** Asks a gateway; when none answers, tells how to start one, and of the flags where none said where to look. */
export const askGateway = <A, E, R>(
  target: TargetGateway,
  question: (address: GatewayAddress) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  question(target).pipe(
    Effect.mapError((error) =>
      error instanceof NoGateway
        ? (new NoGateway({ url: error.url, reason: error.reason, hint: hintFor(target, error) }) as E & NoGateway) // reason: it takes the place of such an error
        : error
    )
  )

/** Gives a command the means to ask. */
export const withTransport = <A, E>(command: Effect.Effect<A, E, Transport | Scope.Scope>): Effect.Effect<A, E> =>
  command.pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Transport.layer)
  )

/** Asks the gateway of the config. */
export const atGateway = <A, E>(
  options: SurveyOptions,
  question: (address: GatewayAddress) => Effect.Effect<A, E, Transport>
): Effect.Effect<A, E | ConfigInvalid> =>
  withTransport(Effect.flatMap(targetGateway(options), (target) => askGateway(target, question)))
