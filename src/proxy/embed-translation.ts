/**
 * A request for vectors that is asked in another dialect than its client's.
 */
import * as Result from "effect/Result"
import { speakerOf } from "../backend/backend.ts"
import { askedIn } from "../backend/speech.ts"
import type { DialectList } from "../dialect/all.ts"
import type { ModelRefusal } from "../dialect/refused-fields.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { DecodedEmbed, EmbedClient, EmbedServer, EncodedEmbed } from "../dialect/embed.ts"
import { BadAnswer } from "../domain/upstream-errors.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { Plan } from "../router/plan.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { fullerFor, type FullerRequest } from "./fuller.ts"
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

/** What is known of one beside the server: who takes it as it is, and what others may be told. */
interface EmbedAbout {
  readonly isAsIs: (candidate: Candidate) => boolean
  readonly request: FullerRequest
}

/** Translates one of them. */
export class EmbedTranslator {
  private readonly dialects: DialectList
  private readonly record: RequestRecord
  private readonly client: EmbedClient
  private readonly decoded: DecodedEmbed
  private readonly about: EmbedAbout

  constructor(
    dialects: DialectList,
    record: RequestRecord,
    client: EmbedClient,
    decoded: DecodedEmbed,
    about: EmbedAbout
  ) {
    this.dialects = dialects
    this.record = record
    this.client = client
    this.decoded = decoded
    this.about = about
  }

  /** How a backend is asked for a model; undefined where it is asked in the client's own words. */
  for(candidate: Candidate, model: string) {
    const { isAsIs, request } = this.about
    if (isAsIs(candidate)) return undefined
    const { backend, served } = candidate.state
    const fuller = fullerFor(candidate, request)
    const askable = fuller === undefined ? askedIn(speakerOf(backend, served)) : [fuller.dialect]
    const server = serverRoute(this.dialects, askable)
    if (server === undefined) return undefined
    const { client, decoded, record } = this
    return Result.map(server.codec.encode(decoded.embed, model, fuller?.own, fuller?.context), (encoded) => ({
      label: `${record.route.dialect.id}->${server.route.dialect.id}`,
      dropped: [
        ...decoded.dropped.filter((field) => fuller?.heard.includes(field) !== true),
        ...encoded.dropped.map((field) => client.words[field] ?? field)
      ],
      route: server.route,
      body: encoded.body,
      answer: (answer: CommittedAnswer) => this.answer(encoded, answer)
    }))
  }

  /** What the client is answered who brings no text, where the first backend does not speak its dialect. */
  instead({ targets }: Pick<Plan, "targets">): Uint8Array | undefined {
    const first = targets.flatMap(({ candidates }) => candidates)[0]
    if (this.decoded.embed.texts.length > 0 || first === undefined || this.about.isAsIs(first)) return undefined
    return this.decoded.answer({ vectors: [], promptTokens: undefined }, this.record.model)
  }

  /** There is nothing that a second try could leave out. */
  refusedBy(): ReadonlyArray<ModelRefusal> {
    return []
  }

  eases(): boolean {
    return false
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
