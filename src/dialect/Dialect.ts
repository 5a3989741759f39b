/**
 * The seam between the gateway and what clients and servers speak. Whoever forwards, watches, refuses or accounts goes
 * by these, and knows no field, path or marker of any dialect; design.md says how one is added.
 */
import type { LimitsLeft } from "../domain/rate-limits.ts"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { HttpApiGroup } from "effect/http-api"
import type { Redact } from "../domain/redact.ts"
import type { BadRequest, GatewayError } from "../domain/errors.ts"
import type { OperationFacts, RoutingNeeds } from "../domain/request.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { BadAnswer, ErrorStatus } from "../domain/upstream-errors.ts"
import type { Usage } from "../telemetry/meter.ts"
import type { ClientCodec, ServerCodec } from "./chat.ts"
import type { EmbedCodec } from "./embed.ts"
import type { Failure } from "./failures.ts"
import type { BodyKind } from "./first-bytes.ts"
import type { ParsedBody } from "./parsed-body.ts"
import type { AskedSettings } from "./told-facts.ts"
import type { DialectPage, PageAnswer } from "./pages.ts"

/** Where a value stands in its body. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What was read of a request. */
export interface ReadRequest {
  readonly needs: RoutingNeeds
  /** Where in its body the name of the model stands, where that is known already. */
  readonly model: Span | undefined
  /** Its body, where it was built for that: whoever translates it need not build it again. */
  readonly parsed?: ParsedBody
  /** What it asks of the answer, where that was wanted and it was not built. */
  readonly settings?: AskedSettings | undefined
}

/** The smallest context, in tokens, of those who may answer for a model. */
export type LeastContext = (model: string) => number

/** What an answer says of who gave it; undefined where it says nothing. */
export interface AnswerIdentity {
  readonly model: string | undefined
  readonly fingerprint: string | undefined
}

/** What is known of an answer that cannot be read. */
export const unknownIdentity: AnswerIdentity = { model: undefined, fingerprint: undefined }

/** What stands under a good status in place of an answer. */
export type AnswerFault = BadAnswer | ErrorStatus

/** A whole answer that is good. */
export interface WholeAnswer {
  readonly said: AnswerIdentity
  readonly usage: Usage | undefined
  /** What was parsed; absent where nothing was. */
  readonly json?: unknown
}

/** How a stream stands before it is passed on: nothing of an answer yet, a good event, or one that is no answer. */
export type StreamOpening = "waiting" | "good" | "error"

/**
 * How a stream ended: whole with its marker, whole but for its marker, after an error of its own (with or without the
 * marker), or too early.
 */
export type StreamEnding = "done" | "finished" | "failed" | "failed and done" | "cut"

/**
 * What is known of one stream while its bytes pass, without taking it apart: the same however they are cut. One object
 * for each stream, asked once for each piece.
 */
export interface StreamWatch {
  /** Bytes that have been watched, without those that were forgotten. */
  readonly size: number
  readonly opening: StreamOpening
  /** Whether an answer has begun, although it has not said anything. */
  readonly begun: boolean
  /** Whether an error has come, or what stands last may be one. */
  readonly erring: boolean
  /** Whether what has come ends where something may be added. */
  readonly between: boolean
  /** Whether nothing has come but whole keep-alives. */
  readonly silent: boolean
  /** Tokens that have come by now, estimated by the events that bring text and by how much that is. */
  readonly written: number
  /** Takes the next piece; whether it is progress, and not keep-alives alone. */
  readonly push: (piece: Uint8Array) => boolean
  /** Leaves out of the count what was passed on by another way; gives it back. */
  readonly forget: (bytes: Uint8Array) => Uint8Array
  /** How the stream has ended; `orderly` when its body came to its end, and was not torn off. */
  readonly ending: (orderly: boolean) => StreamEnding
  /** The tokens that it told of at its end. */
  readonly used: () => Usage | undefined
  /** Those of its prompt, which it told of when it began; absent where none is told of then. */
  readonly promptUsed?: () => Usage | undefined
  /** Why its answers ended, in the words of its server; absent where nobody asks. */
  readonly finishes?: () => ReadonlyArray<string>
  /** What ends the event under way; no bytes when there is none. */
  readonly rest: () => Uint8Array
  /** What ends a good stream here, apart from all that came before it. */
  readonly last: () => Uint8Array
  /** What ends a broken one here: an error, given as the body of one in this dialect's shape. */
  readonly broken: (error: string) => Uint8Array
}

/** What is left out of a stream on its way to a client. */
export interface StreamFilter {
  /** The next piece as it goes on, which ends with a whole event wherever that can be; called once the piece has been watched. */
  readonly push: (piece: Uint8Array) => Uint8Array
  /** What has been held back when nothing more comes. */
  readonly rest: () => Uint8Array
}

/** How the tokens of a stream are asked for where its client has not, and kept from it then. */
export interface UsageWish {
  /** A body, which came as `body` and is sent in these pieces, with the wish; undefined where its client has it. */
  readonly ask: (body: Uint8Array, pieces: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array> | undefined
  /** Whether these are the words of who refuses it. */
  readonly isRefused: (words: string) => boolean
  /** Holds back from a stream what comes of it alone; undefined where nothing can be held back. */
  readonly hold: (watch: StreamWatch) => StreamFilter | undefined
}

/** The pieces of a stream, put together. */
export interface Assembly {
  readonly push: (piece: Uint8Array) => void
  /** The whole answer; fails with what is wrong with it. */
  readonly end: () => Result.Result<Uint8Array, string>
}

/** How a whole answer is asked for as a stream and put together, with all that its server says. */
export interface StreamCollector {
  /** The body of a request for a whole answer as one for a stream. */
  readonly request: (body: Uint8Array) => Uint8Array
  readonly start: () => Assembly
}

/** What a body is read with. */
export interface NeedsReading {
  readonly turns: EventLoopTurns
  readonly least?: LeastContext
  /** The model that the path names, where it does. */
  readonly model?: string | undefined
  /** Whether it is to be told what is asked of the answer. */
  readonly tells?: boolean
  /** The model that is meant where none is named: the usual one where it is served, or the only one there is. */
  readonly standIn?: (usual: string | undefined) => string | undefined
}

/** A form with files that is read while it comes, since it is passed on so. */
export interface FormReading {
  readonly push: (piece: Uint8Array) => void
  /** What routing must know; undefined while it has not come. `whole` when nothing more comes. */
  readonly read: (whole: boolean) => Result.Result<ReadRequest, BadRequest> | undefined
  /** What is wrong with what has come so far. */
  readonly fault: (whole: boolean) => BadRequest | undefined
  /** What stands for another name of its model: in its place, or before the form where it names none. */
  readonly withModel: (model: string) => Uint8Array
}

/** What a client asks of a model, in its dialect. */
export interface Operation extends OperationFacts {
  /** Where it is asked for, here and at servers who speak the dialect; `{model}` in it stands for the name of one. */
  readonly path: string
  /** Where else it is asked for here. */
  readonly alsoAt?: ReadonlyArray<string>
  /** What servers are asked with behind the path. */
  readonly query?: string
  /** Whether its answer is a stream, where the path says so and not the body. */
  readonly streams?: boolean
  /**
   * Whether its answer is a text that is made bit by bit: a stream of it is judged by how it begins and ends, and its
   * client is not left to wait in silence.
   */
  readonly generates: boolean
  /** What the conventions of OpenTelemetry call it; `chat` for what generates, else its own name, when absent. */
  readonly genAi?: string
  /** Reads what routing must know: at once of a body of the usual size, in slices of a large one. */
  readonly needs: (
    body: Uint8Array,
    reading: NeedsReading
  ) => Result.Result<ReadRequest, BadRequest> | Promise<Result.Result<ReadRequest, BadRequest>>
  /** Why what the query of a request asks for is not served; absent where a query says nothing. */
  readonly queryFault?: (query: URLSearchParams) => BadRequest | undefined
  /** How a form is read in place of which its body may come; absent where none may. */
  readonly form?: (boundary: string, reading: NeedsReading) => FormReading
  /** Whether its answer is passed on while it comes, unless it is JSON or a page, which may be an error. */
  readonly passes?: boolean
  /** How its whole answers are put together of streams; absent where they cannot be. */
  readonly collector?: StreamCollector
  /** Judges the body of a whole answer, by its media type where that may differ. */
  readonly whole: (body: Uint8Array, mediaType: string | null) => Result.Result<WholeAnswer, AnswerFault>
  /** A whole answer in the form that a request asked for, where its server gave another; undefined where it did not. */
  readonly asAsked?: (request: Uint8Array, answer: Uint8Array) => Uint8Array | undefined
  /** How what clients ask is translated for servers that speak another dialect; absent where it is passed on as it is. */
  readonly client?: ClientCodec
  /** How servers are asked this for clients that speak another dialect; absent where they cannot be. */
  readonly server?: ServerCodec
  /** The same of a request for vectors, which has a hub of its own. */
  readonly embeds?: EmbedCodec
  /** What is answered where nobody can be asked who knows: an estimate, and the field that is one. */
  readonly estimate?: (needs: RoutingNeeds) => { readonly field: string; readonly body: string }
}

/** A small request that shows whether a server really answers, and what its answer shows of it. */
export interface ServerTrial {
  /** The name of the operation. */
  readonly endpoint: string
  /** `original` where it is asked of the service that made the dialect up, whose newer models refuse what others want. */
  readonly body: (model: string, original: boolean) => unknown
  readonly shows: (answer: string) => TrialResult
}

/** What the answer to a trial shows: whether it is what was asked for, and what is to be told of it. */
export interface TrialResult {
  readonly good: boolean
  readonly note: string
  /** The pieces that the answer was made in. */
  readonly pieces: number
}

/** What is tried on a server. */
export type TrialName = "chat" | "stream" | "tools" | "json" | "embeddings"

/** What is documented of the operations, as groups of a contract. */
export interface Documented {
  readonly groups: readonly [HttpApiGroup.Constraint, ...ReadonlyArray<HttpApiGroup.Constraint>]
  /** Schemas that no operation names, such as events of a stream. */
  readonly schemas: ReadonlyArray<Schema.Constraint>
  /** The JSON schema of a failure, those that a server told included. */
  readonly failure: Readonly<Record<string, unknown>>
}

/** What has a server get, make or lose models: passed on to the one that is meant, as it comes. */
export interface ModelChange {
  /** Its place, with all below it where that is an id of something. */
  readonly operation: Operation
  readonly below?: true
  readonly methods: ReadonlyArray<string>
  /** The fields of its body that name models, before which the name of a backend may stand; absent where it is passed on unread. */
  readonly fields?: ReadonlyArray<string>
  /** What is answered where the model is there that its body asks for; absent where that changes nothing. */
  readonly present?: (body: Readonly<Record<PropertyKey, unknown>>) => PageAnswer
  /** Whether those who were asked have other models then. */
  readonly relists: boolean
}

/** What clients and servers speak. */
export interface Dialect {
  readonly id: string
  readonly operations: readonly [Operation, ...ReadonlyArray<Operation>]
  /** What a WebSocket is opened for, which is passed through to a backend of the model that its query names. */
  readonly sockets?: ReadonlyArray<Operation>
  /** What servers keep under ids of their own: each of these places, with all below it, is passed on to one backend. */
  readonly passages?: ReadonlyArray<Operation>
  /** What has a server get, make or lose models, which is passed on to one. */
  readonly changes?: ReadonlyArray<ModelChange>
  /** What may stand in place of `/v1` in the path of an operation, with `{model}` for the name of one. */
  readonly deployments?: ReadonlyArray<string>
  /** What clients are told who ask where nothing is. */
  readonly hint: string
  /** The path of the operation, or of anything else of the dialect, that a request means whose path is written amiss. */
  readonly canonicalPath: (method: string, path: string) => string
  /** What to write in place of a path where nothing is; undefined when nobody can know. `known` are the paths there are. */
  readonly suggestedPath: (path: string, known: Iterable<string>, origin: string) => string | undefined
  /** Headers of a client that servers are told, and headers of a server that clients are told. */
  readonly headers: {
    readonly asked: ReadonlyArray<string>
    readonly answered: ReadonlyArray<string>
    /** What clients look for the id of their request in, beside `x-request-id`. */
    readonly id?: string
  }
  /** What is left of limits, in headers; OpenAI's when absent. */
  readonly limitsLeft?: (headers: Record<string, string>, left: LimitsLeft) => void
  /** The body with another model name, in pieces; `span` is where its model name is, when that is known. */
  readonly withModel: (body: Uint8Array, model: string, span: Span | undefined) => ReadonlyArray<Uint8Array>
  /** The body without what nobody but this gateway can read, and otherwise as it came; absent where there is no such thing. */
  readonly withoutSeals?: (body: Uint8Array) => Uint8Array
  /** The body without what only some other service of the dialect takes, and otherwise as it came; absent where there is no such thing. */
  readonly withoutForeign?: (body: Uint8Array) => Uint8Array
  /** The body with fields of the server's own, where the client has not told them, and a context to have the model in. */
  readonly withOwn?: (
    body: Uint8Array,
    own: Readonly<Record<string, unknown>>,
    context: number | undefined
  ) => Uint8Array
  /** Absent where servers tell the tokens of every stream. */
  readonly usageWish?: UsageWish
  /** The media types of requests as servers get them, and of answers. */
  readonly types: { readonly request: string; readonly whole: string; readonly stream: string }
  /** What a body is, told by how it begins. */
  readonly kindOf: (bytes: Uint8Array) => BodyKind
  /** What the first bytes of a stream say of who gives it. */
  readonly said: (bytes: Uint8Array) => AnswerIdentity
  readonly watch: () => StreamWatch
  /** Why bytes that opened as an error are no answer. */
  readonly faultOf: (bytes: Uint8Array) => AnswerFault
  /** What keeps a connection alive whose stream has not begun; undefined where no client bears anything. */
  readonly keepAlive: Uint8Array | undefined
  /** What a message of a server in a session says that one of its answers took; absent where it has no sessions. */
  readonly sessionUsage?: (message: string) => Usage | undefined
  /** How a body ends that broke: cut, or in order, where the error in it is all that clients need to see. */
  readonly brokenBody: "cut" | "ended"
  /** Takes secrets out of the errors in a part of a stream; `midway` when it begins in the middle of one. */
  readonly redacted: (events: string, redact: Redact, midway: boolean) => string
  /** The body of a failure of the gateway's own. */
  readonly errorBody: (failure: Failure, requestId?: string) => string
  /** The body to send for an error status of a server. */
  readonly passedError: (status: number, body: Uint8Array, requestId?: string) => Uint8Array
  /** Whether these are the headers and the path of a client that speaks it; absent where nothing gives one away. */
  readonly speaksTo?: (headers: Headers, path: string) => boolean
  /** What its clients call their key where they send it in the URL; absent where they never do. */
  readonly keyParameter?: string
  /** What it answers about models without asking anybody; absent where nothing. */
  readonly pages?: ReadonlyArray<DialectPage>
  /** What a server is tried with; absent where nobody tries it. Loaded when it is asked for. */
  readonly trials?: () => Promise<Readonly<Record<TrialName, ServerTrial>>>
  /** What is documented of it; absent where nothing is. Loaded when it is asked for. */
  readonly document?: () => Promise<Documented>
}

/** Whom a request is for that is passed on unread, and where at that place. */
export interface Passage {
  /** The name of a backend, where the path has it. */
  readonly backend: string | undefined
  /** The path at the server, as it is below OpenAI's base URL. */
  readonly path: string
  /** Set where it changes the models of a server. */
  readonly change?: ModelChange
  /** Why it is not passed on for who asks. */
  readonly refused?: GatewayError | undefined
}

/** An operation in its dialect, as a path leads to it. */
export interface DialectRoute {
  readonly dialect: Dialect
  readonly operation: Operation
  /** The model that the path names, where it does. */
  readonly model?: string
  /** Set where a WebSocket is opened. */
  readonly socket?: true
  /** Set when it is passed on to one backend, unread. */
  readonly passage?: Passage
}
