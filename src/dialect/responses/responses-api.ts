/**
 * Responses as a contract that only documents.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxModelLength } from "../../domain/request.ts"
import type { Documented } from "../Dialect.ts"
import { openAiFailure } from "../openai-error.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(Schema.NullOr(schema).annotate({ description }))

const prompt = {
  model: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(maxModelLength)).annotate({
    description: "A model of /v1/models, or an alias of one"
  }),
  input: Schema.Union([Schema.String, Schema.Array(open({}))]).annotate({
    description: "A text, or all items of the conversation: nothing is kept from one request to the next"
  }),
  instructions: maybe(Schema.String, "What goes before all items"),
  tools: maybe(
    Schema.Array(Schema.Unknown),
    "function, custom, namespace and those that the client runs (shell, local_shell, apply_patch) ask for a model that calls tools; those that OpenAI runs are left out"
  )
}

const ResponsesRequest = open({
  ...prompt,
  max_output_tokens: maybe(Schema.Finite, "Most tokens of the answer; counted against the context of a backend"),
  stream: maybe(Schema.Boolean, "Answer as events while the text is made"),
  reasoning: maybe(open({}), "How much the model is to think"),
  text: maybe(open({}), "The form of the answer"),
  include: maybe(
    Schema.Array(Schema.String),
    "reasoning.encrypted_content keeps what the model has thought for the next turn"
  ),
  metadata: maybe(open({}), "Told again in the answer")
}).annotate({ identifier: "ResponsesRequest" })

const InputTokensRequest = open(prompt).annotate({ identifier: "InputTokensRequest" })

const CompactRequest = open(prompt).annotate({ identifier: "CompactRequest" })

const CompactedResponse = open({ id: Schema.String, output: Schema.Array(open({ type: Schema.String })) }).annotate({
  identifier: "OpenAICompactedResponse"
})

const Response = open({
  id: Schema.String,
  object: Schema.Literal("response"),
  created_at: Schema.Finite,
  status: Schema.String,
  model: Schema.String,
  output: Schema.Array(open({ type: Schema.String })),
  usage: Schema.NullOr(open({ input_tokens: Schema.Finite, output_tokens: Schema.Finite }))
}).annotate({
  identifier: "OpenAIResponse",
  description: "The backend's answer, translated where it speaks another dialect"
})

const InputTokens = open({ object: Schema.String, input_tokens: Schema.Finite }).annotate({
  identifier: "OpenAIInputTokens",
  description: "An estimate where the header x-nexus-estimated says so"
})

const events = Schema.String.annotate({
  description:
    "With stream: true, the events of Responses from response.created to response.completed or response.incomplete. An answer that breaks off ends with response.failed and error, and its connection is cut"
}).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))

const Responses = HttpApiGroup.make("responses")
  .add(
    HttpApiEndpoint.post("createResponse", "/v1/responses", {
      payload: ResponsesRequest,
      success: [Response, events]
    }).annotate(OpenApi.Summary, "The next response of a conversation"),
    HttpApiEndpoint.post("countInputTokens", "/v1/responses/input_tokens", {
      payload: InputTokensRequest,
      success: InputTokens
    }).annotate(OpenApi.Summary, "How many tokens a request makes"),
    HttpApiEndpoint.post("compactResponse", "/v1/responses/compact", {
      payload: CompactRequest,
      success: CompactedResponse
    }).annotate(OpenApi.Summary, "A conversation made shorter, by a backend that can do that itself; else 501")
  )
  .annotate(
    OpenApi.Description,
    "OpenAI's Responses, translated for backends that do not speak them. What cannot be carried over is refused, or named in x-nexus-dropped"
  )

/** What is documented of them. */
export const documentedResponses: Documented = { groups: [Responses], schemas: [], failure: openAiFailure }
