/**
 * The forwarded endpoints as a contract that only documents: their bodies pass by unread but for the fields named here.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxModelLength } from "../../domain/request.ts"
import type { Documented } from "../Dialect.ts"
import { openAiFailure } from "../openai-error.ts"
import { Passed } from "./passed-api.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(Schema.NullOr(schema).annotate({ description }))

const common = {
  model: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(maxModelLength)).annotate({
    description: "A model of /v1/models, or an alias of one"
  })
}

const text = {
  ...common,
  stream: maybe(Schema.Boolean, "Answer as events while the text is made"),
  max_tokens: maybe(Schema.Finite, "Most tokens of the answer; counted against the context of a backend")
}

const Part = open({ type: Schema.String, text: Schema.optionalKey(Schema.String) })

const Message = open({
  role: Schema.String,
  content: maybe(Schema.Union([Schema.String, Schema.Array(Part)]), "An image part asks for a model that takes images")
})

const ChatRequest = open({
  ...text,
  messages: Schema.Array(Message),
  max_completion_tokens: maybe(Schema.Finite, "Goes before max_tokens"),
  tools: maybe(Schema.Array(Schema.Unknown), "Asks for a model that calls tools"),
  functions: maybe(Schema.Array(Schema.Unknown), "The older form of tools"),
  response_format: maybe(
    open({ type: Schema.String }),
    "json_object and json_schema ask for a model that keeps to JSON"
  )
}).annotate({ identifier: "ChatCompletionRequest" })

const CompletionRequest = open({
  ...text,
  prompt: maybe(Schema.Union([Schema.String, Schema.Array(Schema.Unknown)]), "One text, several, or tokens")
}).annotate({ identifier: "CompletionRequest" })

const FimRequest = open({
  ...text,
  prompt: maybe(Schema.Union([Schema.String, Schema.Array(Schema.Unknown)]), "What stands before"),
  suffix: maybe(Schema.String, "What stands behind")
}).annotate({ identifier: "FimCompletionRequest" })

const EmbeddingRequest = Schema.Union([
  open({
    ...common,
    input: Schema.Union([Schema.String, Schema.Array(Schema.Unknown), any]).annotate({
      description: "One text, several, or tokens; an object where the backend takes one"
    })
  }),
  open({
    ...common,
    messages: Schema.Array(Message).annotate({ description: "A conversation to embed, where the backend takes one" })
  })
]).annotate({ identifier: "EmbeddingRequest" })

const answer = { id: Schema.optionalKey(Schema.String), model: Schema.optionalKey(Schema.String) }

const Usage = maybe(open({}), "Tokens, as the backend counts them")

const ChatCompletion = open({
  ...answer,
  choices: Schema.Array(open({ message: open({}) })),
  usage: Usage
}).annotate({ identifier: "ChatCompletion", description: "The backend's answer, byte for byte" })

const Completion = open({
  ...answer,
  choices: Schema.Array(open({ text: Schema.String })),
  usage: Usage
}).annotate({ identifier: "Completion", description: "The backend's answer, byte for byte" })

const EmbeddingList = open({
  ...answer,
  data: Schema.Array(open({ embedding: Schema.Union([Schema.Array(Schema.Finite), Schema.String]) })),
  usage: Usage
}).annotate({ identifier: "EmbeddingList", description: "The backend's answer, byte for byte" })

/** One event of a chat stream. */
const ChatChunk = open({
  ...answer,
  choices: Schema.Array(open({ delta: Schema.optionalKey(open({})) })),
  usage: Usage
}).annotate({ identifier: "ChatCompletionChunk" })

/** One event of a completion stream. */
const CompletionChunk = open({ ...answer, choices: Schema.Array(open({})), usage: Usage }).annotate({
  identifier: "CompletionChunk"
})

const events = (chunk: string) =>
  Schema.String.annotate({
    description: `With stream: true, events whose data is a ${chunk}, and data: [DONE] at the end. An answer that breaks off ends with an event whose data is an Error`
  }).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))

/** The endpoints. */
const OpenAi = HttpApiGroup.make("openai")
  .add(
    HttpApiEndpoint.post("chatCompletions", "/v1/chat/completions", {
      payload: ChatRequest,
      success: [ChatCompletion, events("ChatCompletionChunk")]
    }).annotate(OpenApi.Summary, "The next message of a chat"),
    HttpApiEndpoint.post("completions", "/v1/completions", {
      payload: CompletionRequest,
      success: [Completion, events("CompletionChunk")]
    }).annotate(OpenApi.Summary, "The continuation of a text"),
    HttpApiEndpoint.post("embeddings", "/v1/embeddings", {
      payload: EmbeddingRequest,
      success: EmbeddingList
    }).annotate(OpenApi.Summary, "Texts as vectors"),
    HttpApiEndpoint.post("fim", "/v1/fim/completions", {
      payload: FimRequest,
      success: [ChatCompletion, events("ChatCompletionChunk")]
    }).annotate(OpenApi.Summary, "What stands between a prompt and a suffix, as Mistral has it")
  )
  .annotate(
    OpenApi.Description,
    "The OpenAI endpoints. Fields that are not named here are passed on to the backend as they are"
  )

/** What is documented of them. */
export const documented: Documented = {
  groups: [OpenAi, Passed],
  schemas: [ChatChunk, CompletionChunk],
  failure: openAiFailure
}
