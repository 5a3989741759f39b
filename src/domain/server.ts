/**
 * A server that Nexus calls, and the models it says it serves.
 */
import type * as Redacted from "effect/Redacted"
import type { ApiPath } from "./base-url.ts"
import { matchesAny } from "./glob.ts"

/**
 * Where definitions of backends come from: the config file, the search for servers, the servers behind a name of the config,
 * `--demo`, or an administrator.
 */
export const backendOrigins = ["config", "discovered", "member", "simulated", "added"] as const

type BackendOrigin = (typeof backendOrigins)[number]

/**
 * Whether a backend gets requests as far as the administrator goes: a draining one gets no new ones, a disabled one gets
 * none and is not probed either.
 */
export const modes = ["enabled", "draining", "disabled"] as const

/** One of {@link modes}. */
export type Mode = (typeof modes)[number]

/** What a model can do; an absent key means nobody said, and counts as able. */
export interface Capabilities {
  readonly vision?: boolean
  readonly tools?: boolean
  readonly json_mode?: boolean
  readonly embeddings?: boolean
}

/** What a server tells of a model that nothing is decided by. */
export interface ModelAbout {
  readonly digest?: string
  /** In bytes. */
  readonly size?: number
  /** As the server writes it. */
  readonly modified?: string
  readonly format?: string
  readonly family?: string
  readonly parameters?: string
  readonly quantization?: string
  /** All that it is said to be able to do, in the server's words. */
  readonly abilities?: ReadonlyArray<string>
}

/** A model as one backend serves it; contexts in tokens, absent when the backend does not say. */
export interface Model {
  readonly id: string
  /** What it takes at most: longer prompts are not sent there. */
  readonly context_length?: number
  /**
   * What is in force now, and may be another by the time a request is there: a server that loads models on demand changes
   * it at will. Who has more goes first, and nobody is left out for it.
   */
  readonly context_in_force?: number
  /** Whether it is in memory now; absent where the server does not say. */
  readonly loaded?: boolean
  /** How many requests the server works on at once, as config or else the server itself tells it. */
  readonly slots?: number
  /** Whether its slots are those of the config. */
  readonly slotsConfigured?: boolean
  /**
   * Whether each slot keeps what it holds while others are at work, as far as the server shows it; where it does not, what it holds
   * is moved and lost.
   */
  readonly slotsKeep?: boolean
  /** How many tokens of prompts the server can keep computed, all slots together. */
  readonly cacheTokens?: number
  /** The most tokens that an answer may have. */
  readonly max_output_tokens?: number
  /** How it is told how much to think, where its server tells of several ways. */
  readonly thinks?: "by effort" | "by tokens" | "never"
  readonly capabilities: Capabilities
  readonly about?: ModelAbout
}

/** How it is known how many requests a server works on at once: by the config, by its word, or by what it does. */
export const slotSources = ["config", "told", "learned"] as const

/** How many requests a server works on at once, and how that is known. */
export interface KnownSlots {
  readonly slots: number
  readonly from: (typeof slotSources)[number]
}

/** What a server tells of its work on a model at the moment; absent what it does not tell. */
export interface ToldLoad {
  readonly running?: number
  /** Requests that it has taken and not begun. */
  readonly waiting?: number
  /** How many it has been seen to work on at once, where it is full; told nowhere else by such servers. */
  readonly slots?: number
}

/** The same of its models, by id. */
export type ToldLoads = ReadonlyMap<string, ToldLoad>

/** What a server has shown of itself: its version, and which paths it has of those that it was asked about. */
export interface Served {
  readonly version?: string
  readonly paths: Readonly<Record<string, boolean>>
}

/** Time limits of calls to one backend, in milliseconds; 0 switches a limit off. */
export interface Limits {
  /** From the connection to the answer's head. */
  readonly firstByteMs: number
  /** Longest silence between two pieces of progress in a body. */
  readonly idleMs: number
  /** From the arrival of the request to the end of the answer. */
  readonly totalMs: number
  /** For the connection, TLS included. */
  readonly connectMs: number
}

/** How a backend is trusted over TLS, and how Nexus shows itself to it; certificates and keys as PEM texts. */
export interface Tls {
  /** Authorities that are trusted in place of those of the system. */
  readonly ca?: string
  /** Nexus's own certificate, with what leads to its authority. */
  readonly cert?: string
  /** The key of that certificate. */
  readonly key?: Redacted.Redacted<string>
  /** Whether any certificate will do. */
  readonly insecure?: boolean
}

/** How a server is woken over the network that sleeps. */
export interface Wake {
  /** The address of its network card, as 12 digits. */
  readonly mac: string
  /** Where the packet goes: an address that all of its network hear. */
  readonly address: string
  readonly port: number
  /** The SecureOn password that its card wants, as 12 digits. */
  readonly password?: Redacted.Redacted<string>
  /** How long it may take to answer, in milliseconds. */
  readonly timeoutMs: number
}

/** What a server is told with each request, in words of its own. */
export interface Tuning {
  readonly options?: Readonly<Record<string, unknown>>
  /** How long a model stays in memory that nobody asks. */
  readonly keepAlive?: string | number
  /** The context that a model is loaded with, in tokens. */
  readonly leastContext?: number
  /** The longest one, when a prompt outgrows that. */
  readonly mostContext?: number
}

/** The definition of a backend but for its kind; its `name` is its identity and stays the same across restarts. */
export interface Server {
  readonly name: string
  /** Base URL with neither a trailing slash, nor a trailing `/v1`, nor an endpoint behind it, nor a query. */
  readonly url: string
  /** The one address that is meant where the host of its URL leads to several. */
  readonly address?: string
  /** Name of the backend of the config whose settings it has, being one of the servers behind that one's name. */
  readonly memberOf?: string
  /** Sent with every call; with its question mark. */
  readonly query?: string
  /** Where its endpoints are until its probes have shown it; absent where they are below `/v1` for certain. */
  readonly apiPath?: ApiPath
  /** Lower is preferred. */
  readonly priority: number
  readonly origin: BackendOrigin
  /** Sent as `Authorization: Bearer …` to this backend alone. */
  readonly apiKey: Redacted.Redacted<string> | undefined
  /** Why the key it is to be sent is not there; such a backend is asked nothing. */
  readonly keyFault?: string
  /** Why it is never asked for anything, whatever its key: the settings keep everything from it. */
  readonly barred?: string
  /** Absent where the authorities of the system are trusted and Nexus shows no certificate. */
  readonly tls?: Tls
  /** What Nexus calls itself to this backend; `nexus/` and its version when absent. */
  readonly userAgent?: string
  /** Whether the client's own `Authorization` header is sent on to this backend. */
  readonly forwardAuthorization: boolean
  /** The zone that it is said to be in; its kind and its address tell when absent. */
  readonly zone?: string
  /** Requests in flight it is given at most; undefined is no limit. */
  readonly maxConcurrent: number | undefined
  /** How many requests it works on at once for each of its models, whatever it tells itself. */
  readonly slots?: number
  readonly limits: Limits
  /**
   * When it is asked in its client's own dialect: where it is relied on when absent, wherever it has it, never, or in these
   * in any case.
   */
  readonly native?: "trusted" | "always" | "never" | ReadonlyArray<string>
  /** Whether whole answers are asked of it as streams. */
  readonly collect?: boolean
  /** Whether the tools of a request that is translated for it are told in an order of their own; local kinds have it so when absent. */
  readonly sortTools?: boolean
  /** Absent where it cannot be woken. */
  readonly wake?: Wake
  /** Models that are to be in its memory whenever they can. */
  readonly keepWarm?: ReadonlyArray<string>
  /** What config says of its models, laid over what the backend says itself. */
  readonly models: ReadonlyArray<Model>
  /** What it is told with requests to any of its models. */
  readonly tuning?: Tuning
  /** The same of single models. */
  readonly modelTunings?: ReadonlyArray<{ readonly id: string; readonly tuning: Tuning }>
}

/** What a server goes by in settings. */
export type NamedServer = Pick<Server, "memberOf" | "name">

/** Whether a name is a server's own, or that of the backend of the config whose member it is. */
export const isCalled = (wanted: string, { memberOf, name }: NamedServer): boolean =>
  name === wanted || memberOf === wanted

/** Whether one of some globs means a server, by either name. */
export const isNamedBy = (globs: ReadonlyArray<string>, { memberOf, name }: NamedServer): boolean =>
  matchesAny(globs, name) || (memberOf !== undefined && matchesAny(globs, memberOf))

/** The context a model has as far as is known, in tokens. */
export const contextOf = ({ context_in_force, context_length }: Model): number | undefined =>
  context_in_force === undefined || context_length === undefined
    ? (context_in_force ?? context_length)
    : Math.min(context_in_force, context_length)

/** Who may have the models of servers changed. */
export const modelChangers = ["admins", "clients", "never"] as const

/** One of {@link modelChangers}. */
export type ModelChangers = (typeof modelChangers)[number]

/** What the live page may do. */
export const livePageModes = ["on", "read_only", "off"] as const

/** One of {@link livePageModes}. */
export type LivePageMode = (typeof livePageModes)[number]
