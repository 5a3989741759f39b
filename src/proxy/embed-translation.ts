/**
 * A request for vectors that is asked in another dialect than its client's.
 */
import * as Result from "effect/Result"
import { speakerOf } from "../backend/backend.ts"
import { askedIn } from "../backend/speech.ts"
import type { DialectList } from "../dialect/all.ts"
import type { ChatField } from "../dialect/chat.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { DecodedEmbed, EmbedClient, EmbedServer, EncodedEmbed } from "../dialect/embed.ts"
import { BadAnswer } from "../domain/upstream-errors.ts"
import type { BackendState } from "../registry/snapshot.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { RequestRecord } from "./record.ts"
import { translatedHead } from "./translated-flow.ts"

const serverRoute = (
  dialects: DialectList,
  speaks: ReadonlyArray<string>
): { readonly route: DialectRoute; readonly codec: EmbedServer } | undefined => {
  for (const id of speaks) {
    const dialect = dialects.find((each) => each.id === id)
    for (const operation of dialect?.operations ?? []) {
      const codec = operation.embeds?.server
      if (dialect !== undefined && codec !== undefined) return { route: { dialect, operation }, codec }
    }
  }
  return undefined
}

/** Translates one of them. */
export class EmbedTranslator {
  private readonly dialects: DialectList
  private readonly record: RequestRecord
  private readonly client: EmbedClient
  private readonly decoded: DecodedEmbed
  private readonly isNative: (state: BackendState) => boolean

  constructor(
    dialects: DialectList,
    record: RequestRecord,
    client: EmbedClient,
    decoded: DecodedEmbed,
    isNative: (state: BackendState) => boolean
  ) {
    this.dialects = dialects
    this.record = record
    this.client = client
    this.decoded = decoded
    this.isNative = isNative
  }

  /** How a backend is asked for a model; undefined where it is asked in the client's own words. */
  for(state: BackendState, model: string) {
    if (this.isNative(state)) return undefined
    const server = serverRoute(this.dialects, askedIn(speakerOf(state.backend, state.served)))
    if (server === undefined) return undefined
    const { client, decoded, record } = this
    return Result.map(server.codec.encode(decoded.embed, model), (encoded) => ({
      label: `${record.route.dialect.id}->${server.route.dialect.id}`,
      dropped: [...decoded.dropped, ...encoded.dropped.map((field) => client.words[field] ?? field)],
      route: server.route,
      body: encoded.body,
      answer: (answer: CommittedAnswer) => this.answer(encoded, answer)
    }))
  }

  /** Vectors are always asked for. */
  instead(): undefined {
    return undefined
  }

  /** There is nothing that a second try could leave out. */
  refusedBy(): ReadonlyArray<ChatField> {
    return []
  }

  private answer(encoded: EncodedEmbed, answer: CommittedAnswer): Result.Result<CommittedAnswer, BadAnswer> {
    if (answer._tag === "Flow") return Result.fail(new BadAnswer({ reason: "what cannot be translated" }))
    const { model, route } = this.record
    const made = encoded.answer(answer.body)
    if (Result.isFailure(made)) return Result.fail(new BadAnswer({ reason: made.failure, body: answer.body }))
    const head = translatedHead(answer.head, route.dialect.types.whole)
    return Result.succeed({ ...answer, head, body: this.decoded.answer(made.success, model) })
  }
}
