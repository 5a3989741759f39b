/**
 * The hub between dialects for texts that are made into vectors: a request, its answer, and the two halves of a codec.
 */
import type * as Result from "effect/Result"
import type { BadRequest } from "../domain/errors.ts"

/** A request. */
export interface Embed {
  /** None where the dialect takes that for a good request. */
  readonly texts: ReadonlyArray<string>
  /** How many numbers a vector is to have. */
  readonly dimensions?: number
  /** Whether a text that is too long is to be cut, or refused. */
  readonly truncate?: boolean
  readonly user?: string
}

/** An answer: a vector for each text, in the order of the texts. */
export interface EmbedAnswer {
  readonly vectors: ReadonlyArray<ReadonlyArray<number>>
  /** The tokens of all texts; undefined when the server does not say. */
  readonly promptTokens: number | undefined
}

/** A request that was understood, what of it was left out, and how its client is answered, who asked for `model`. */
export interface DecodedEmbed {
  readonly embed: Embed
  readonly dropped: ReadonlyArray<string>
  readonly answer: (made: EmbedAnswer, model: string) => Uint8Array
}

/** What of a request a server may have no word for. */
type EmbedField = keyof Embed

/** A body for a server, what of the request it does not say, and how its answer is read. */
export interface EncodedEmbed {
  readonly body: Uint8Array
  readonly dropped: ReadonlyArray<EmbedField>
  /** Fails with what is wrong with the answer. */
  readonly answer: (body: Uint8Array) => Result.Result<EmbedAnswer, string>
}

/** The half of a dialect that faces clients. */
export interface EmbedClient {
  /** What its clients call a field where it is not as here. */
  readonly words: Readonly<Partial<Record<EmbedField, string>>>
  /** Reads a request; `model` is the one that its path names, where it does. */
  readonly decode: (body: Uint8Array, model: string | undefined) => Result.Result<DecodedEmbed, BadRequest>
}

/** The half of a dialect that faces servers. */
export interface EmbedServer {
  /** `own` are fields of the server's own that settings or the client have for it, `context` what it is to have the model in. */
  readonly encode: (
    embed: Embed,
    model: string,
    own?: Readonly<Record<string, unknown>>,
    context?: number
  ) => Result.Result<EncodedEmbed, BadRequest>
}

/** The halves that an operation has. */
export interface EmbedCodec {
  readonly client?: EmbedClient
  readonly server?: EmbedServer
}
