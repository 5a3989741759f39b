/**
 * What there is to know of a kind of server: all that differs from one kind to the next.
 */
import type * as Effect from "effect/Effect"
import type { ApiPath } from "../domain/base-url.ts"
import type { SamplerNames } from "../domain/samplers.ts"
import type { Model, Server, ToldLoads, Tuning } from "../domain/server.ts"
import type { ModelActions } from "./model-actions.ts"
import type { DialectId, Speaking } from "./speech.ts"
import type { Talk, ProbeEnd } from "./talk.ts"

/** What gives a server of the kind away; the list of models is always asked for, other questions when that tells nothing. */
export interface Fingerprint {
  /** Whom its list of models says they are `owned_by`. */
  readonly owner?: string
  /** How its `server` header begins, in lower case. */
  readonly header?: string
  /** A question that costs nothing, and whether an answer can only be from such a server. */
  readonly question?: { readonly path: string; readonly isOne: (body: unknown) => boolean }
}

/** What a person is told to do, where that differs from kind to kind. */
interface Advice {
  /** The command that starts it. */
  readonly start?: string
  /** The command that gives it a model; `host` is where it is, undefined on this machine. */
  readonly load?: (host: string | undefined) => string
  /** The command that gets a model which it says it has not. */
  readonly missing?: (model: string) => string
  /** Where it says more of a failure of its own. */
  readonly logs?: string
  /** What goes on when a client leaves whose whole answer is not made of a stream. */
  readonly unlessCollected?: string
  /** What is lost where its slots do not keep what they hold, and how it is started so that they do. */
  readonly unlessSlotsKeep?: { readonly seen: string; readonly fix: string }
  /** What gives its models a longer context, where it cuts longer prompts without a word. */
  readonly longerContext?: string
}

/** The models that a server told of; undefined when what it answered is no list. */
export type ListedModels = ReadonlyArray<Model> | undefined

/** Asks one server again and again, and may remember what it need not ask twice. */
export interface Prober {
  /** Whether it is well, and its models; only questions that cost nothing. */
  readonly models: (talk: Talk) => Effect.Effect<ListedModels, ProbeEnd>
  /**
   * What it works on at the moment, by one light question that may be asked every two seconds while it works for us; absent
   * where nothing tells that, or where asking so often does harm.
   */
  readonly loads?: (talk: Pick<Talk, "hear" | "want">) => Effect.Effect<ToldLoads | undefined>
  /** The server has been away: it may come back with other settings. */
  readonly wasAway?: Effect.Effect<void>
}

/** Another dialect of a kind's, in which it hears what its main one has no ear for. */
interface FullerDialect {
  readonly dialect: DialectId
  /** Texts of which one is in each body of the main dialect that has something it would not hear. */
  readonly marks: ReadonlyArray<string>
  /** What of such a body it would not hear, as fields that it is told; undefined when there is nothing. */
  readonly hears: (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>> | undefined
  /** Whether a request that is translated in any case has something that the main dialect would not hear. */
  readonly needs: (chat: Readonly<Record<string, unknown>>) => boolean
  /** The fields that tell it a tuning. */
  readonly own: (tuning: Tuning) => Readonly<Record<string, unknown>>
}

/** A kind of server. */
export interface Kind {
  /** What people call it. */
  readonly label: string
  /** What the conventions of OpenTelemetry call its provider; its type when absent. */
  readonly provider?: string
  /** What else people write for its type, in lower case and without punctuation. */
  readonly alsoCalled: ReadonlyArray<string>
  /** `cloud` outside the user's machines. */
  readonly locality: "local" | "cloud"
  /** The base URL of the one service that it is; absent where there may be many. */
  readonly home?: string
  /** Where it listens by default, and is looked for. */
  readonly ports: ReadonlyArray<number>
  /** The service type that it is announced as by mDNS. */
  readonly announcedAs?: string
  /** What a command line has in it that starts one. */
  readonly command?: RegExp
  /** Absent where any server that speaks like it may be one. */
  readonly fingerprint?: Fingerprint
  /** Other types that are no mistake for it: it is spoken to in the same way as them, if not as well. */
  readonly passesFor?: ReadonlyArray<string>
  /** Whether no other kind gives a list of models as it does. */
  readonly listTells: boolean
  /** Whether it loads models when they are asked for, each with a context that only the loaded ones tell. */
  readonly loadsOnDemand: boolean
  /** How many requests it is given at a time while nothing is known of its slots. */
  readonly slotsAtFirst: number
  /** Whether the slots that it tells of are those that were busy at most: it may have more. */
  readonly showsSlots?: true
  /**
   * The field of a body of chat that says which slot is to take it, of a server whose slots each hold a conversation, and which
   * else chooses among them by what they have in common with it.
   */
  readonly slotField?: string
  /** Whether it keeps any text model to JSON by grammar. */
  readonly jsonByGrammar: boolean
  /** What it takes of a request of chat, where servers differ. */
  readonly takes: {
    /** Whether a tool that is named as the one to call is the one that it calls. */
    readonly namedTool: boolean
    /** Whether it knows `max_completion_tokens`. */
    readonly newerBound: boolean
    /** Whether it gives as many answers to one request as `n` has it. */
    readonly several: boolean
    /** Whether it takes thoughts back with what they are signed with, in `reasoning_details`. */
    readonly signedThoughts?: true
    /** Whether it gets files by itself whose address stands in the place of their data. */
    readonly linkedFiles?: true
    /** Whether its models make images where `modalities` has them. */
    readonly images?: true
    /** What its chat calls the ways of choosing a token that it has beyond those of all. */
    readonly samplers?: SamplerNames
  }
  /** What all spellings of a model's name have in common for it; absent where a name is taken to the letter. */
  readonly spelling?: (name: string) => string
  /** The dialects that it speaks, and how well. */
  readonly speaks: Speaking
  /** The same of one server, where that shows in its base URL. */
  readonly speaksAt?: (server: Pick<Server, "query" | "url">) => Speaking
  /** Absent where its main dialect hears all there is. */
  readonly fuller?: FullerDialect
  /** Whether a server is the service that made its dialect up, and takes no field but those of it. */
  readonly isOriginal?: (server: Pick<Server, "url">) => boolean
  /** Whether a server refuses a message with a field that is another service's, such as what that signs calls with. */
  readonly isStrict?: (server: Pick<Server, "url">) => boolean
  /** Whether it keeps files and batches for its clients. */
  readonly keepsFiles?: boolean
  /** The dialect in which clients have it get, make or lose models; absent where they cannot. */
  readonly changesBy?: DialectId
  /** What an administrator can have done to its models; absent where that is nothing. */
  readonly lifecycle?: ModelActions
  /** Where an operation is, by its path in the dialect; made once for each backend. */
  readonly url: (server: Pick<Server, "query" | "url">, path: string, apiPath: ApiPath) => string
  /**
   * Fields that the body of each request to this path has at a server, whatever its dialect says, undefined where it must not
   * be there; absent or undefined where bodies go as they are.
   */
  readonly fixedFields?: (
    server: Pick<Server, "url">,
    path: string
  ) => Readonly<Record<string, string | undefined>> | undefined
  /** Sent with every call, unless a client says another value. */
  readonly headers?: Readonly<Record<string, string>>
  /** What carries its key; made once for each backend. */
  readonly authHeaders: (key: string, server: Pick<Server, "url">) => Readonly<Record<string, string>>
  /** Made once for each backend. */
  readonly prober: Effect.Effect<Prober>
  /** Whether the body of an error says that its model is still being loaded. */
  readonly isLoading?: (body: unknown) => boolean
  readonly advice: Advice
}
