/**
 * Decoded settings as the parts of the gateway take them: seconds become milliseconds, tables become maps, defaults that
 * depend on other keys are filled in.
 */
import * as Redacted from "effect/Redacted"
import type { Backend } from "../backend/backend.ts"
import { type Followed, followedOf } from "../backend/followed.ts"
import { kindNamed } from "../backend/all.ts"
import { zoneOf } from "../backend/zone.ts"
import type { Limits, Model, Tls, Tuning } from "../domain/server.ts"
import { parseBaseUrl } from "../domain/base-url.ts"
import type { AuthKey } from "../domain/grant.ts"
import {
  momentOf,
  secretIn,
  rateLimitsOf,
  termsOf,
  type WrittenLimits,
  type WrittenTerms
} from "../domain/key-terms.ts"
import type { CachePolicy } from "../domain/cache-policy.ts"
import type { HookRule } from "../domain/hook-rules.ts"
import type { LimitSettings } from "../domain/rate-limits.ts"
import type { Thresholds } from "../domain/backend-health.ts"
import type { TokenIssuer, TokenTerms } from "../domain/token-issuer.ts"
import { type RoutingSettings, splitModelAt } from "../domain/routing.ts"
import { hostPortOf } from "../domain/url-host.ts"
import { type StoreSecrets, storeOf, type StoreSettings } from "./cluster.ts"
import { barredReason, perimeterOf } from "./privacy.ts"
import { rulesOf, zonePoliciesOf } from "./compile-routes.ts"
import { otlpOf, type OtlpSettings } from "./otlp.ts"
import type { Settings } from "./schema.ts"
import { type KubernetesApi, kubernetesApi } from "./kubernetes-api.ts"
import type { Environment } from "./sources.ts"
import { digitsOf, wakePlace } from "./wake.ts"
import { abilities } from "../domain/request.ts"

/** A key that clients may use, as the settings have it. */
export interface ConfiguredKey extends AuthKey {
  /** The key itself where the config knows it (from the environment or a file), so that commands can use it. */
  readonly key?: Redacted.Redacted<string>
}

/** Values that the settings only name: keys of backends by backend name, and the keys of clients. */
export interface Secrets {
  readonly backendKeys: ReadonlyMap<string, string>
  /** TLS settings by backend name. */
  readonly backendTls?: ReadonlyMap<string, Tls>
  /** Why the key of a backend is not there, by backend name. */
  readonly keyFaults?: ReadonlyMap<string, string>
  readonly authKeys: ReadonlyArray<ConfiguredKey>
  /** What the files of issuers hold, by the names of issuers. */
  readonly issuerFiles?: ReadonlyMap<string, IssuerFiles>
  /** SecureOn passwords by backend name. */
  readonly wakePasswords?: ReadonlyMap<string, string>
  /** Keys of hooks by their names. */
  readonly hookKeys?: ReadonlyMap<string, string>
  /** What captures are sealed with. */
  readonly captureKey?: string
  readonly store?: StoreSecrets
}

/** What the files of an issuer hold. */
export interface IssuerFiles {
  /** Its public keys, a JWKS in JSON. */
  readonly jwks?: string
  readonly tls?: Tls
}

/** All that is known once the config has been read and checked. */
export interface LoadedConfig {
  readonly settings: Settings
  readonly backends: ReadonlyArray<Backend>
  /** Those that stand for the servers behind their names, which are backends in their place. */
  readonly followed: ReadonlyArray<Followed>
  /** Where Kubernetes is asked; undefined where there is none to ask. */
  readonly kubernetes: KubernetesApi | undefined
  readonly routing: RoutingSettings
  readonly thresholds: Thresholds
  readonly authKeys: ReadonlyArray<ConfiguredKey>
  /** Issuers whose tokens are taken for keys. */
  readonly issuers: ReadonlyArray<TokenIssuer>
  /** What is sent by OTLP; undefined when nothing is. */
  readonly otlp: OtlpSettings | undefined
  /** Tells the addresses that may be connected to; absent where that is all of them. */
  readonly perimeter?: ((address: string) => boolean) | undefined
  /** What replicas share what they know through; undefined for one that is alone. */
  readonly store: StoreSettings | undefined
  /** How much keys, owners and models may be asked. */
  readonly rates: LimitSettings
  /** Who judges requests and answers outside of the gateway. */
  readonly hooks: ReadonlyArray<HookRule>
  /** What captures are sealed with; undefined where nothing is captured. */
  readonly captureSecret: Redacted.Redacted<Uint8Array> | undefined
  /** Which answers are given again. */
  readonly cached: ReadonlyArray<CachePolicy>
  /** Whether servers are searched for. */
  readonly discovery: boolean
  /** The file that was read; undefined when there is none. */
  readonly path: string | undefined
  readonly warnings: ReadonlyArray<string>
  /** What is good to know and no reason to worry, such as variables that belong to somebody else. */
  readonly notes: ReadonlyArray<string>
}

type BackendEntry = Settings["backends"][number]

const ms = (seconds: number): number => Math.round(seconds * 1000)

const limitsOf = (entry: Partial<BackendEntry>, { server }: Settings): Limits => {
  const totalMs = ms(entry.request_timeout_seconds ?? server.request_timeout_seconds)
  const firstByte = entry.first_byte_timeout_seconds ?? server.first_byte_timeout_seconds
  return {
    totalMs,
    firstByteMs: firstByte === undefined ? totalMs : ms(firstByte),
    idleMs: ms(entry.idle_timeout_seconds ?? server.idle_timeout_seconds),
    connectMs: ms(entry.connect_timeout_seconds ?? server.connect_timeout_seconds)
  }
}

type ModelEntry = BackendEntry["models"][number]

const modelOf = ({ id, context_length, max_output_tokens, slots, ...entry }: ModelEntry): Model => ({
  id,
  ...(context_length === undefined ? {} : { context_length }),
  ...(max_output_tokens === undefined ? {} : { max_output_tokens }),
  ...(slots === undefined ? {} : { slots }),
  capabilities: Object.fromEntries(
    abilities.flatMap((ability) => (entry[ability] === undefined ? [] : [[ability, entry[ability]]]))
  )
})

const tuningOf = ({ keep_alive: keepAlive, max_num_ctx: most, options }: Partial<ModelEntry>): Tuning | undefined => {
  if (keepAlive === undefined && most === undefined && options === undefined) return undefined
  const { num_ctx: least, ...others } = options ?? {}
  return {
    ...(options === undefined ? {} : { options: others }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(typeof least === "number" ? { leastContext: least } : {}),
    ...(most === undefined ? {} : { mostContext: most })
  }
}

const tuningsOf = (entry: BackendEntry): Pick<Backend, "modelTunings" | "tuning"> => {
  const all = tuningOf(entry)
  const single = entry.models.flatMap((model) => {
    const tuning = tuningOf(model)
    return tuning === undefined ? [] : [{ id: model.id, tuning }]
  })
  return { ...(all === undefined ? {} : { tuning: all }), ...(single.length === 0 ? {} : { modelTunings: single }) }
}

const wakeOf = (entry: BackendEntry, { wakePasswords }: Secrets): Pick<Backend, "wake"> => {
  if (entry.wake === undefined) return {}
  const password = wakePasswords?.get(entry.name)
  return {
    wake: {
      mac: digitsOf(entry.wake),
      ...wakePlace(entry.wake_address ?? "255.255.255.255"),
      ...(password === undefined ? {} : { password: Redacted.make(digitsOf(password)) }),
      timeoutMs: ms(entry.wake_timeout_seconds ?? 90)
    }
  }
}

const backendOf = (entry: BackendEntry, settings: Settings, secrets: Secrets): Backend => {
  const key = secrets.backendKeys.get(entry.name)
  const tls = secrets.backendTls?.get(entry.name)
  const keyFault = secrets.keyFaults?.get(entry.name)
  const warm = settings.routing.keep_warm.flatMap((each) => {
    const { backend, model } = splitModelAt(each)
    return backend === entry.name ? [model] : []
  })
  const base = parseBaseUrl(entry.url ?? kindNamed(entry.type).home ?? "")
  const place = { type: entry.type, url: base.url, ...(entry.zone === undefined ? {} : { zone: entry.zone }) }
  const barred = barredReason(settings.privacy, zoneOf(place), hostPortOf(base.url)?.host ?? "")
  return {
    name: entry.name,
    // Where it is absent its type has one, by the rules.
    ...base,
    ...place,
    priority: entry.priority,
    origin: "config",
    ...(barred === undefined ? {} : { barred }),
    apiKey: key === undefined ? undefined : Redacted.make(key),
    ...(tls === undefined ? {} : { tls }),
    ...(keyFault === undefined ? {} : { keyFault }),
    ...(entry.user_agent === undefined ? {} : { userAgent: entry.user_agent }),
    forwardAuthorization: entry.forward_authorization,
    maxConcurrent: entry.max_concurrent,
    ...(entry.slots === undefined ? {} : { slots: entry.slots }),
    ...(entry.native === "trusted" ? {} : { native: entry.native }),
    ...(entry.native_dialects.length === 0 ? {} : { native: entry.native_dialects }),
    ...(entry.collect ? { collect: true } : {}),
    ...(entry.sort_tools === undefined ? {} : { sortTools: entry.sort_tools }),
    ...wakeOf(entry, secrets),
    ...(warm.length === 0 ? {} : { keepWarm: warm }),
    limits: limitsOf(entry, settings),
    models: entry.models.map(modelOf),
    ...tuningsOf(entry)
  }
}

/** Whether nobody may ask without a key, be there none yet. */
export const needsKeys = ({ auth }: Settings): boolean =>
  auth.keys.length > 0 || auth.issuers.length > 0 || auth.store !== undefined

const hedgeOf = (hedge: Settings["routing"]["hedge"]): Pick<RoutingSettings, "hedge"> =>
  hedge.models.length === 0 || hedge.max_share === 0
    ? {}
    : {
        hedge: {
          models: new Set(hedge.models),
          maxShare: hedge.max_share,
          minWaitMs: ms(hedge.min_wait_seconds),
          clouds: hedge.clouds
        }
      }

type KeyEntry = Settings["auth"]["keys"][number]

const previousOf = ({ previous_sha256: digest, previous_until: until }: KeyEntry): Pick<AuthKey, "previous"> =>
  digest === undefined || until === undefined
    ? {}
    : { previous: { digest: new Uint8Array(Buffer.from(digest, "hex")), until: momentOf(until) } }

/** The keys with all that is said of them. */
const keysOf = ({ auth }: Settings, keys: ReadonlyArray<ConfiguredKey>): ReadonlyArray<ConfiguredKey> => {
  const entries = new Map(auth.keys.map((entry) => [entry.name, entry]))
  return keys.map((key) => {
    const entry = entries.get(key.name)
    return entry === undefined ? key : { ...termsOf(entry), ...previousOf(entry), ...key }
  })
}

type IssuerEntry = Settings["auth"]["issuers"][number]

const tokenTermsOf = (entry: Omit<WrittenTerms, "name">): TokenTerms => {
  const { name: _, ...terms } = termsOf({ ...entry, name: "" })
  return terms
}

const issuerOf = (entry: IssuerEntry, { issuerFiles }: Secrets): TokenIssuer => {
  const { issuer, models_claim: models, name, owner_claim: owner, roles } = entry
  return {
    name,
    issuer,
    audience: entry.audience,
    ...(entry.jwks_url === undefined ? {} : { jwksUrl: entry.jwks_url }),
    ...issuerFiles?.get(name),
    // One curve, by its older name and by its newer one.
    algorithms: entry.algorithms.flatMap((each) => (each === "EdDSA" ? [each, "Ed25519"] : [each])),
    toleranceMs: ms(entry.clock_tolerance_seconds),
    refreshMs: ms(entry.refresh_seconds),
    keptMs: ms(entry.keys_kept_hours * 3600),
    claims: {
      name: entry.name_claim,
      ...(owner === undefined ? {} : { owner }),
      ...(models === undefined ? {} : { models }),
      labels: entry.label_claims
    },
    required: entry.required_claims,
    terms: tokenTermsOf(entry),
    roles: roles.map((role) => ({ name: role.name, claims: role.claims, terms: tokenTermsOf(role) }))
  }
}

const secretOf = (text: string): Redacted.Redacted<Uint8Array> | undefined => {
  const secret = secretIn(text)
  return secret === undefined ? undefined : Redacted.make(secret)
}

const hookOf = (entry: Settings["hooks"][number], { hookKeys }: Secrets): HookRule => {
  const { keys, models, name, phases, url } = entry
  const key = hookKeys?.get(name)
  return {
    name,
    url,
    key: key === undefined ? undefined : Redacted.make(key),
    phases,
    ...(models === undefined ? {} : { models }),
    ...(keys === undefined ? {} : { keys }),
    timeoutMs: ms(entry.timeout_seconds),
    onError: entry.on_error,
    windowChars: entry.window_chars,
    windowMs: ms(entry.window_seconds),
    overlapChars: entry.overlap_chars
  }
}

const ratesOf = ({ limits: { owners, ...keys }, models }: Settings): LimitSettings => {
  const named = (all: ReadonlyArray<WrittenLimits & { readonly name: string }>) =>
    all.flatMap((entry) => {
      const limits = rateLimitsOf(entry)
      return limits === undefined ? [] : [{ name: entry.name, limits }]
    })
  return { keys: rateLimitsOf(keys) ?? {}, owners: named(owners), models: named(models) }
}

/** Time limits of a backend that the config does not name. */
export const defaultLimits = (settings: Settings): Limits => limitsOf({}, settings)

/** Compiles settings that have been checked. */
export const compileSettings = (
  settings: Settings,
  secrets: Secrets,
  about: Pick<LoadedConfig, "path" | "warnings" | "notes">,
  env: Environment = {}
): LoadedConfig => ({
  settings,
  otlp: otlpOf(settings, env),
  backends: settings.backends.flatMap((entry) =>
    entry.members === undefined ? [backendOf(entry, settings, secrets)] : []
  ),
  followed: settings.backends.flatMap((entry) =>
    entry.members === undefined ? [] : [followedOf(backendOf(entry, settings, secrets), entry.members)]
  ),
  kubernetes: kubernetesApi(settings.discovery.kubernetes, env),
  routing: {
    strategy: settings.routing.strategy,
    maxRetries: settings.routing.max_retries,
    weights: settings.routing.weights,
    waits: settings.queue.enabled,
    affinity: settings.routing.affinity,
    sessionHeaders: settings.routing.session_headers,
    pinsSlots: settings.routing.affinity && settings.routing.slot_pinning,
    aliases: new Map(Object.entries(settings.routing.aliases)),
    groups: new Map(Object.entries(settings.routing.groups)),
    stripPrefixes: settings.routing.strip_prefixes,
    modelSuffixes: settings.routing.model_suffixes,
    listAliases: settings.routing.list_aliases,
    fallbacks: new Map(Object.entries(settings.routing.fallbacks)),
    rules: rulesOf(settings),
    ...zonePoliciesOf(settings),
    ...hedgeOf(settings.routing.hedge)
  },
  thresholds: {
    failures: settings.health_check.failure_threshold,
    recoveries: settings.health_check.recovery_threshold
  },
  authKeys: keysOf(settings, secrets.authKeys),
  issuers: settings.auth.issuers.map((entry) => issuerOf(entry, secrets)),
  perimeter: perimeterOf(settings.privacy),
  store: storeOf(settings.cluster, secrets.store),
  rates: ratesOf(settings),
  hooks: settings.hooks.map((entry) => hookOf(entry, secrets)),
  captureSecret: secrets.captureKey === undefined ? undefined : secretOf(secrets.captureKey),
  cached: settings.models.flatMap(({ cache_requests: requests, cache_seconds: kept, cache_shared: shared, name }) =>
    kept === undefined ? [] : [{ glob: name, keptMs: ms(kept), requests, shared }]
  ),
  discovery: settings.discovery.enabled,
  ...about
})
