/**
 * Google's API as a contract that only documents.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import type { Documented } from "../Dialect.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(Schema.NullOr(schema).annotate({ description }))

const parts = Schema.Union([Schema.Array(open({})), open({})])
const content = open({ role: Schema.optionalKey(Schema.String), parts: Schema.optionalKey(parts) })
const contents = Schema.Union([Schema.Array(content), content])

const GenerateContentRequest = open({
  contents,
  systemInstruction: maybe(Schema.Unknown, "What goes before all turns"),
  tools: maybe(Schema.Unknown, "Asks for a model that calls functions; what Google runs itself is left out"),
  generationConfig: maybe(open({}), "Limits, sampling, the form of the answer, how much to think")
}).annotate({
  identifier: "GenerateContentRequest",
  description: "Names may be written in camel case or with underscores"
})

const GenerateContentResponse = open({
  candidates: Schema.optionalKey(Schema.Array(open({ content: Schema.optionalKey(content) }))),
  usageMetadata: Schema.optionalKey(open({})),
  modelVersion: Schema.optionalKey(Schema.String)
}).annotate({
  identifier: "GenerateContentResponse",
  description: "The backend's answer, translated where it has another form"
})

const TokenCountRequest = open({
  contents: Schema.optionalKey(contents),
  generateContentRequest: Schema.optionalKey(open({}))
}).annotate({ identifier: "GeminiTokenCountRequest" })

const TokenCount = open({ totalTokens: Schema.Finite }).annotate({
  identifier: "GeminiTokenCount",
  description: "An estimate where the header x-nexus-estimated says so"
})

const EmbedContentRequest = open({
  content,
  outputDimensionality: maybe(Schema.Finite, "How many numbers the vector is to have")
}).annotate({ identifier: "EmbedContentRequest" })

const vector = open({ values: Schema.Array(Schema.Finite) })

const EmbedContentResponse = open({ embedding: vector }).annotate({ identifier: "EmbedContentResponse" })

const BatchEmbedContentsRequest = open({ requests: Schema.Array(EmbedContentRequest) }).annotate({
  identifier: "BatchEmbedContentsRequest"
})

const BatchEmbedContentsResponse = open({ embeddings: Schema.Array(vector) }).annotate({
  identifier: "BatchEmbedContentsResponse"
})

const events = Schema.String.annotate({
  description:
    "With ?alt=sse, events whose data is a GenerateContentResponse, the last one with finishReason and usageMetadata. An answer that breaks off ends with an event whose data is an error"
}).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))

const Model = open({
  name: Schema.String,
  displayName: Schema.String,
  inputTokenLimit: Schema.optionalKey(Schema.Finite),
  supportedGenerationMethods: Schema.Array(Schema.String)
}).annotate({ identifier: "GeminiModel" })

const ModelList = open({
  models: Schema.Array(Model),
  nextPageToken: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "GeminiModelList" })

const params = { model: Schema.String }

const ofModel = (version: string, suffix: string, place: `/${string}`) =>
  [
    HttpApiEndpoint.post(`generateContent${suffix}`, `${place}/:model:generateContent`, {
      params,
      payload: GenerateContentRequest,
      success: GenerateContentResponse
    }).annotate(OpenApi.Summary, `The next turn of a chat, in Google's dialect${version}`),
    HttpApiEndpoint.post(`streamGenerateContent${suffix}`, `${place}/:model:streamGenerateContent`, {
      params,
      query: { alt: Schema.Literal("sse") },
      payload: GenerateContentRequest,
      success: events
    }).annotate(OpenApi.Summary, `The same as a stream${version}`),
    HttpApiEndpoint.post(`countTokens${suffix}`, `${place}/:model:countTokens`, {
      params,
      payload: TokenCountRequest,
      success: TokenCount
    }).annotate(OpenApi.Summary, `How many tokens a request makes${version}`),
    HttpApiEndpoint.post(`embedContent${suffix}`, `${place}/:model:embedContent`, {
      params,
      payload: EmbedContentRequest,
      success: EmbedContentResponse
    }).annotate(OpenApi.Summary, `A text as a vector${version}`),
    HttpApiEndpoint.post(`batchEmbedContents${suffix}`, `${place}/:model:batchEmbedContents`, {
      params,
      payload: BatchEmbedContentsRequest,
      success: BatchEmbedContentsResponse
    }).annotate(OpenApi.Summary, `Texts as vectors${version}`)
  ] as const

const Gemini = HttpApiGroup.make("gemini")
  .add(
    HttpApiEndpoint.get("models", "/v1beta/models", {
      query: { pageSize: Schema.optionalKey(Schema.String), pageToken: Schema.optionalKey(Schema.String) },
      success: ModelList
    }).annotate(OpenApi.Summary, "The models that there are, page by page, as Google lists them"),
    HttpApiEndpoint.get("model", "/v1beta/models/:model", { params, success: Model }).annotate(
      OpenApi.Summary,
      "One of them"
    ),
    ...ofModel("", "", "/v1beta/models"),
    ...ofModel(", at its other version", "V1", "/v1/models")
  )
  .annotate(
    OpenApi.Description,
    "Google's Gemini API, translated for backends that do not speak it; the name of a model may hold slashes and colons. What cannot be carried over is refused, or named in x-nexus-dropped"
  )

const failure: Documented["failure"] = {
  type: "object",
  description: "A failure in Google's shape",
  properties: {
    error: {
      type: "object",
      properties: { code: { type: "integer" }, message: { type: "string" }, status: { type: "string" } },
      required: ["code", "message", "status"]
    }
  },
  required: ["error"]
}

/** What is documented of it. */
export const documentedGemini: Documented = { groups: [Gemini], schemas: [], failure }
