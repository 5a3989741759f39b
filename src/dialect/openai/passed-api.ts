/**
 * What passes by around models as a contract that only documents.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxModelLength } from "../../domain/request.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const text = (description: string) => Schema.optionalKey(Schema.Unknown).annotate({ description })

const model = Schema.optionalKey(
  Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(maxModelLength))
).annotate({
  description: "A model of /v1/models, or an alias of one; may be left out where there is only one"
})

const asked = <F extends Schema.Struct.Fields>(identifier: string, fields: F) =>
  open({ model, ...fields }).annotate({ identifier })

const form = <F extends Schema.Struct.Fields>(identifier: string, fields: F) =>
  asked(identifier, fields).pipe(HttpApiSchema.asMultipart())

const file = text("A file")

const Transcript = [
  open({ text: Schema.optionalKey(Schema.String) }).annotate({ identifier: "Transcript" }),
  Schema.String.annotate({ description: "Where `response_format` asks for a text" }).pipe(HttpApiSchema.asText())
]

const ImageList = open({ data: Schema.Array(open({})) }).annotate({ identifier: "ImageList" })

const Speech = Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "audio/mpeg" })).annotate({
  description: "The sound, in the format that was asked for, sent on as it comes"
})

const answered = (identifier: string) =>
  Schema.Union([any, Schema.Array(Schema.Unknown)]).annotate({
    identifier,
    description: "The backend's answer, byte for byte; its form is that of the server"
  })

const Ranking = answered("Ranking")
const Tokens = answered("Tokens")

const ranked = { query: text("What is looked for"), documents: text("Where; `texts` for some servers") }

/** The endpoints. */
export const Passed = HttpApiGroup.make("passed")
  .add(
    HttpApiEndpoint.post("speech", "/v1/audio/speech", {
      payload: asked("SpeechRequest", { input: text("What is to be said"), voice: text("By whom") }),
      success: Speech
    }).annotate(OpenApi.Summary, "A text as sound"),
    HttpApiEndpoint.post("images", "/v1/images/generations", {
      payload: asked("ImageRequest", { prompt: text("What is to be seen") }),
      success: ImageList
    }).annotate(OpenApi.Summary, "Images by a description"),
    HttpApiEndpoint.post("transcriptions", "/v1/audio/transcriptions", {
      payload: form("TranscriptionRequest", { file }),
      success: Transcript
    }).annotate(OpenApi.Summary, "Sound as text; with stream: true as events"),
    HttpApiEndpoint.post("translations", "/v1/audio/translations", {
      payload: form("TranslationRequest", { file }),
      success: Transcript
    }).annotate(OpenApi.Summary, "Sound as English text"),
    HttpApiEndpoint.post("imageEdits", "/v1/images/edits", {
      payload: form("ImageEditRequest", { image: file, prompt: text("What is to be seen") }),
      success: ImageList
    }).annotate(OpenApi.Summary, "Images changed by a description"),
    HttpApiEndpoint.post("imageVariations", "/v1/images/variations", {
      payload: form("ImageVariationRequest", { image: file }),
      success: ImageList
    }).annotate(OpenApi.Summary, "Images like another one"),
    HttpApiEndpoint.post("moderations", "/v1/moderations", {
      payload: asked("ModerationRequest", { input: text("One text, several, or parts with images") }),
      success: open({ results: Schema.Array(open({})) }).annotate({ identifier: "Moderation" })
    }).annotate(OpenApi.Summary, "What is wrong with a text"),
    HttpApiEndpoint.post("rerank", "/rerank", { payload: asked("RerankRequest", ranked), success: Ranking }).annotate(
      OpenApi.Summary,
      "Texts in the order of how well they answer, as llama-server and TEI have it"
    ),
    HttpApiEndpoint.post("rerankV1", "/v1/rerank", {
      payload: asked("RerankRequest", ranked),
      success: Ranking
    }).annotate(OpenApi.Summary, "The same as Jina and vLLM have it"),
    HttpApiEndpoint.post("rerankV2", "/v2/rerank", {
      payload: asked("RerankRequest", ranked),
      success: Ranking
    }).annotate(OpenApi.Summary, "The same as Cohere has it"),
    HttpApiEndpoint.post("score", "/v1/score", {
      payload: asked("ScoreRequest", { text_1: text("One text, or several"), text_2: text("What it is held against") }),
      success: open({}).annotate({ identifier: "ScoreList" })
    }).annotate(OpenApi.Summary, "How near texts are to each other"),
    HttpApiEndpoint.post("tokenize", "/tokenize", {
      payload: asked("TokenizeRequest", { prompt: text("A text; `messages`, `content` or `inputs` for some servers") }),
      success: Tokens
    }).annotate(OpenApi.Summary, "A text as tokens"),
    HttpApiEndpoint.post("detokenize", "/detokenize", {
      payload: asked("DetokenizeRequest", { tokens: text("Numbers of tokens") }),
      success: Tokens
    }).annotate(OpenApi.Summary, "Tokens as text")
  )
  .annotate(
    OpenApi.Description,
    "What is passed on to a backend of the model as it is, at the same path. Fields that are not named here are passed on as well"
  )
