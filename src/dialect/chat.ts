/**
 * The hub between dialects: a request to a chat model, and the events of its answer, as a superset of what two dialects
 * share. What only one of them knows stays in `extra`. Types alone; design.md says how a codec is held to it.
 */
import type * as Result from "effect/Result"
import type { BadRequest } from "../domain/errors.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Sampler, SamplerNames } from "../domain/samplers.ts"
import type { BodyReading, ParsedBody } from "./parsed-body.ts"
import type { Transducer } from "./Transducer.ts"

/** How long what is kept of a prompt is to be kept, as Anthropic writes it. */
export type CacheMark = Readonly<Record<PropertyKey, unknown>>

/** What may be where that which is kept of a prompt ends. */
interface Markable {
  readonly cache?: CacheMark
}

/** A text of a system's. */
export interface SystemText extends Markable {
  readonly text: string
}

/** An image: its bytes in base64, or where it is; `detail` is how closely it is to be looked at. */
type ChatImage = { readonly type: "image"; readonly detail?: string } & (
  | { readonly mediaType: string; readonly data: string }
  | { readonly url: string }
)

/** A file: its bytes in base64, or where it is. */
export type ChatFile = { readonly type: "file"; readonly name: string; readonly mediaType: string } & (
  | { readonly data: string }
  | { readonly url: string }
)

/** A part of what is said to the model; `data` in base64. */
export type ChatPart = Markable &
  (
    | { readonly type: "text"; readonly text: string }
    | ChatImage
    | ChatFile
    | { readonly type: "audio"; readonly format: string; readonly data: string }
  )

/** What an assistant has said, in its order; the arguments of a call are JSON text. */
export type ChatTurnItem =
  | ({
      readonly type: "text"
      readonly text: string
      /** What its model has signed it with. */
      readonly signature?: string
    } & Markable)
  | { readonly type: "reasoning"; readonly text: string; readonly signature: string | undefined }
  | ({
      readonly type: "call"
      readonly id: string
      readonly name: string
      readonly args: string
      /** What the model has signed its thoughts before the call with; some take the call back with it alone. */
      readonly signature?: string
    } & Markable)

/** One turn. */
export type ChatMessage =
  | {
      readonly role: "system"
      readonly text: string
      /** The texts that it came in, where one of them is marked. */
      readonly texts?: ReadonlyArray<SystemText>
    }
  | { readonly role: "user"; readonly parts: ReadonlyArray<ChatPart> }
  | { readonly role: "assistant"; readonly items: ReadonlyArray<ChatTurnItem> }
  | ({
      readonly role: "tool"
      readonly callId: string
      readonly text: string
      /** The texts that it came in, where it came as a list of them. */
      readonly texts?: ReadonlyArray<string>
      readonly failed: boolean
    } & Markable)

/** A tool that the model may call. */
export interface ChatTool extends Markable {
  readonly name: string
  readonly description: string | undefined
  /** A JSON schema; undefined where it takes nothing. */
  readonly schema: unknown
  readonly strict: boolean | undefined
}

/** Whether tools are to be called, or which one. */
export type ChatToolChoice = "auto" | "none" | "required" | { readonly name: string }

/** The form that an answer is to have. */
type ChatFormat =
  | { readonly type: "json" }
  | {
      readonly type: "schema"
      readonly name: string
      readonly description?: string
      readonly schema: unknown
      readonly strict?: boolean
      /** Whether the answer is the text that it describes, and not the JSON of that. */
      readonly bare?: true
    }

/** A request. */
export interface Chat extends Readonly<Partial<Record<Sampler, number>>> {
  readonly stream: boolean
  readonly messages: ReadonlyArray<ChatMessage>
  readonly tools: ReadonlyArray<ChatTool>
  readonly toolChoice?: ChatToolChoice
  readonly parallelCalls?: boolean
  readonly maxTokens?: number
  /** Whether the client has OpenAI's newer word for that bound, which not every server knows. */
  readonly newerBound?: boolean
  readonly stop?: ReadonlyArray<string>
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  /** A number; one that is not held exactly is the raw JSON that it came as. */
  readonly seed?: unknown
  readonly presencePenalty?: number
  readonly frequencyPenalty?: number
  /** How many answers are asked for. */
  readonly choices?: number
  /** How many likely tokens are to be told beside each one that was chosen. */
  readonly logprobs?: number
  /** How much the model is to think: none, minimal, low … max. */
  readonly effort?: string
  /** Whether what the model thinks is to be told; absent where the client did not say. */
  readonly showThoughts?: boolean
  readonly format?: ChatFormat
  /** How many words the model is to make: low, medium, high. */
  readonly verbosity?: string
  /** Whether the model is to make images beside its words. */
  readonly images?: true
  readonly user?: string
  /** Who asks, for those who watch over what is asked. */
  readonly safetyId?: string
  /** What requests have in common that begin alike. */
  readonly cacheKey?: string
  readonly tier?: string
  /** There where anything of it is marked; `whole` marks all of it. */
  readonly cache?: { readonly whole?: CacheMark }
  /** What only the dialect that it came in knows. */
  readonly extra: Readonly<Record<string, unknown>>
}

/** The tokens of an answer: all of the prompt with what was cached of it, all of the answer with its reasoning. */
export interface ChatUsage {
  readonly prompt: number
  readonly cachedRead: number
  readonly cachedWrite: number
  readonly completion: number
  readonly reasoning: number
  /** Which of its services the server has given it by, in OpenAI's words. */
  readonly tier?: string
}

/** Why an answer ended. */
export type ChatStop =
  | { readonly reason: "end" | "length" | "calls" | "filter" }
  | { readonly reason: "string"; readonly text: string }

/** An image in an answer. */
export type MadeImage = { readonly mediaType: string; readonly data: string } | { readonly url: string }

/**
 * An event of an answer; calls are numbered in the order of their first appearance. A server that says that it begins
 * before it says anything has a `start`.
 */
export type ChatEvent =
  | { readonly type: "start" }
  /** What follows is of this one of several answers, up to the next of these; before the first it is of number 0. */
  | { readonly type: "choice"; readonly choice: number }
  /** `logprobs` as OpenAI writes them. */
  | { readonly type: "text"; readonly text: string; readonly logprobs?: ReadonlyArray<unknown> }
  | { readonly type: "refusal"; readonly text: string }
  /** An image that the model has made: its bytes in base64, or where it is. */
  | ({ readonly type: "image" } & MadeImage)
  /** What a text goes back to: `start` and `end` are where it does, where that is known, `cited` what is said there. */
  | {
      readonly type: "citation"
      readonly url: string
      readonly title: string
      readonly start?: number
      readonly end?: number
      readonly cited?: string
    }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "signature"; readonly signature: string }
  | {
      readonly type: "call"
      readonly call: number
      readonly id: string | undefined
      readonly name: string
      readonly signature?: string
    }
  | { readonly type: "arguments"; readonly call: number; readonly text: string }
  /** Something that has no place here, by the name that its server has for it; `signature` where a text is signed with it. */
  | { readonly type: "lost"; readonly what: string; readonly signature?: string }
  | { readonly type: "stop"; readonly stop: ChatStop }
  | { readonly type: "usage"; readonly usage: ChatUsage }
  /** `code` is what the server calls it. */
  | { readonly type: "error"; readonly message: string; readonly code?: string }
  /** The answer has come whole. */
  | { readonly type: "done" }

/** What is known of the request that an answer is for. */
export interface AnswerContext {
  /** The model as the client named it. */
  readonly model: string
  /** Letters and digits that no other answer has. */
  readonly id: string
  /** When it was asked for, in milliseconds since 1970. */
  readonly now: number
  /** The ids of the calls in the request's history. */
  readonly callIds: ReadonlySet<string>
}

/** How the answer to one request is told to its client. */
export interface AnswerEncoder {
  readonly stream: (context: AnswerContext) => Transducer<ChatEvent, Uint8Array>
  /** A whole answer; fails with what is wrong with it. */
  readonly whole: (events: ReadonlyArray<ChatEvent>, context: AnswerContext) => Result.Result<Uint8Array, string>
  /** What of an answer its client is not told, by the name that it would have; absent where it is told everything. */
  readonly untold?: (event: ChatEvent) => string | undefined
  /** Whether its client is told what texts are signed with. */
  readonly signsTexts?: true
}

/** How the answer of a server to one request is read. */
export interface AnswerDecoder {
  readonly stream: Transducer<Uint8Array, ChatEvent>
  /** A whole answer; fails with what is wrong with it. */
  readonly whole: (body: Uint8Array) => Result.Result<ReadonlyArray<ChatEvent>, string>
}

/** A request that was understood, and what of it was left out. */
export interface DecodedChat {
  readonly chat: Chat
  readonly dropped: ReadonlyArray<string>
  readonly answers: AnswerEncoder
  /** What it is answered with where nobody speaks its dialect and nothing is asked of the model. */
  readonly instead?: (context: AnswerContext) => Uint8Array
}

/** A body for a server, and what of the request it does not say. */
export interface EncodedChat {
  readonly body: Uint8Array
  readonly dropped: ReadonlyArray<ChatField>
  readonly answers: AnswerDecoder
}

/** What of a request a server may have no word for. */
export type ChatField =
  | Exclude<keyof Chat, "extra" | "newerBound">
  | "reasoning"
  /** What a call is signed with. */
  | "signature"
  | "textSignature"
  | "thoughtSignature"
  | "detail"
  | "strict"
  /** What is said of the form of the answer. */
  | "formatNote"
  /** What the form of the answer is to be beyond what a server can hold a model to. */
  | "formatRules"
  | "fileName"
  | "file"
  | "audio"

/** What a client calls that; a field that it has no word of its own for is called by its name here. */
export type ClientWords = Readonly<Partial<Record<ChatField, string>>>

/** What a server takes of a request, where servers of one dialect differ. */
export interface ServerTraits {
  /** Whether it is the service that made the dialect up, and takes nothing else. */
  readonly original: boolean
  /** Whether it takes files. */
  readonly files: boolean
  /** Whether it gets files by itself that it is told the address of. */
  readonly linkedFiles?: true
  /** Whether a tool that is named as the one to call is the one that it calls. */
  readonly namedTool: boolean
  /** Whether it knows the newer word for the bound on tokens. */
  readonly newerBound: boolean
  /** Whether it gives several answers to one request that asks for them. */
  readonly several: boolean
  /** Whether it takes thoughts back with what they are signed with, as OpenRouter tells of them. */
  readonly signedThoughts?: true
  /** Whether its models make images where they are asked to. */
  readonly images?: true
  /** Whether it refuses fields that are another service's, such as what that signs calls with. */
  readonly isStrict?: boolean
  /** Whether it refuses a strict schema that is not closed in all its parts, as OpenAI does. */
  readonly closedSchemas?: boolean
  /** What it calls the ways of choosing a token that it has beyond those of all. */
  readonly samplers?: SamplerNames
  /** The most tokens that an answer of the model may have; undefined where nobody says. */
  readonly mostTokens?: number
  /** How the model is told how much to think, where its dialect has several words for that; undefined where nobody says. */
  readonly thinks?: "by effort" | "by tokens" | "never"
  /** What the client calls a part of its request, for a refusal. */
  readonly word: (field: ChatField) => string
  /** Fields of the server's own that settings or the client have for it. */
  readonly own?: Readonly<Record<string, unknown>>
  /** The context that it is to have the model in, in tokens. */
  readonly context?: number
}

/** The half of a dialect that faces clients. */
export interface ClientCodec {
  readonly words: ClientWords
  /** Reads a request; `model` is the one that its path names, where it does, `parsed` its body, where it was built before. */
  readonly decode: (
    body: Uint8Array,
    model: string | undefined,
    parsed?: ParsedBody
  ) => Result.Result<DecodedChat, BadRequest>
  /** Builds its body in slices where that is large; absent where that is done for the needs of routing. */
  readonly build?: (body: Uint8Array, turns: EventLoopTurns) => BodyReading | Promise<BodyReading>
}

/** The half of a dialect that faces servers. */
export interface ServerCodec {
  readonly encode: (chat: Chat, model: string, traits: ServerTraits) => Result.Result<EncodedChat, BadRequest>
}
