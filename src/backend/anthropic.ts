/**
 * Anthropic: its list tells how much a model takes and gives, what it can look at, and how it is told to think.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Model } from "../domain/server.ts"
import { decodeEach, lenientField, RawEntries, reportedModel, TokenCount } from "./lenient.ts"
import { isToken, openAiLike, statelessProber } from "./openai-like.ts"
import { speaking } from "./speech.ts"
import type { Kind, ListedModels } from "./Kind.ts"
import { tooBusy, type ProbeEnd, type Talk } from "./talk.ts"

const Support = lenientField(Schema.Struct({ supported: lenientField(Schema.Boolean) }))

const Abilities = Schema.Struct({
  image_input: Support,
  structured_outputs: Support,
  effort: Support,
  thinking: lenientField(
    Schema.Struct({
      supported: lenientField(Schema.Boolean),
      types: lenientField(Schema.Struct({ enabled: Support }))
    })
  )
})

const Entry = Schema.Struct({
  id: Schema.String,
  max_input_tokens: lenientField(TokenCount),
  max_tokens: lenientField(TokenCount),
  capabilities: lenientField(Abilities)
})

const decodeEntry = Schema.decodeUnknownOption(Entry)
const decodeList = Schema.decodeUnknownOption(
  Schema.Struct({ data: RawEntries, first_id: lenientField(Schema.NullOr(Schema.String)) })
)

// As nobody else lists a model.
const decodeNamed = Schema.decodeUnknownOption(
  Schema.Struct({ type: Schema.Literal("model"), display_name: Schema.String, created_at: Schema.String })
)

const thinksOf = ({ effort, thinking }: typeof Abilities.Type): Model["thinks"] => {
  if (effort?.supported === true) return "by effort"
  if (thinking?.supported === false) return "never"
  return thinking?.types?.enabled?.supported === true ? "by tokens" : undefined
}

const modelOf = ({ capabilities = {}, id, max_input_tokens, max_tokens }: typeof Entry.Type): Model => {
  const { image_input: images, structured_outputs: forms } = capabilities
  const thinks = thinksOf(capabilities)
  const able = {
    tools: true,
    embeddings: false,
    ...(images?.supported === undefined ? {} : { vision: images.supported }),
    ...(forms?.supported === undefined ? {} : { json_mode: forms.supported })
  }
  return {
    ...reportedModel(id, max_input_tokens, able, max_tokens),
    ...(thinks === undefined ? {} : { thinks })
  }
}

// Names without a date are taken as well, though they are not in the list.
const dated = /^(claude-.+-\d+-\d{1,2})-20\d{6}$/

const withShortNames = (models: ReadonlyArray<Model>): ReadonlyArray<Model> => {
  const ids = new Set(models.map(({ id }) => id))
  return models.flatMap((model) => {
    const short = dated.exec(model.id)?.[1]
    if (short === undefined || ids.has(short)) return [model]
    ids.add(short)
    return [model, { ...model, id: short }]
  })
}

const readModels = (body: unknown): ListedModels => {
  const list = Option.getOrUndefined(decodeList(body))
  if (list === undefined) return undefined
  return withShortNames(decodeEach(decodeEntry, list.data).map(modelOf))
}

const models = Effect.fnUntraced(function* (talk: Talk): Effect.fn.Return<ListedModels, ProbeEnd> {
  const { body, status } = yield* talk.need("/v1/models?limit=1000")
  if (status === 429) return yield* Effect.fail(tooBusy)
  return status < 300 ? readModels(body) : undefined
})

const isOne = (body: unknown): boolean =>
  Option.match(decodeList(body), {
    onNone: () => false,
    onSome: ({ data, first_id }) => first_id !== undefined && data.some((entry) => Option.isSome(decodeNamed(entry)))
  })

/** The version of its API that is spoken where a client does not say another one. */
const version = "2023-06-01"

/** Anthropic. */
export const anthropic: Kind = {
  ...openAiLike,
  label: "Anthropic",
  alsoCalled: ["claude"],
  locality: "cloud",
  home: "https://api.anthropic.com",
  fingerprint: { question: { path: "/v1/models", isOne } },
  speaks: speaking("anthropic"),
  isOriginal: () => true,
  headers: { "anthropic-version": version },
  // Clients of Vertex AI have the version in the body; of a chat it is taken out where the model is put in.
  fixedFields: (_, path) =>
    path.startsWith("/v1/messages/count_tokens") ? { anthropic_version: undefined } : undefined,
  authHeaders: (key) => (isToken(key) ? { authorization: `Bearer ${key}` } : { "x-api-key": key }),
  prober: statelessProber(models)
}
