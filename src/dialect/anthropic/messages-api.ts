/**
 * Messages as a contract that only documents.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxModelLength } from "../../domain/request.ts"
import type { Documented } from "../Dialect.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(Schema.NullOr(schema).annotate({ description }))

const content = Schema.Union([Schema.String, Schema.Array(open({ type: Schema.String }))])

const prompt = {
  model: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(maxModelLength)).annotate({
    description: "A model of /v1/models, or an alias of one"
  }),
  messages: Schema.Array(open({ role: Schema.Literals(["user", "assistant", "system"]), content })),
  system: maybe(content, "What goes before all turns"),
  tools: maybe(
    Schema.Array(Schema.Unknown),
    "Asks for a model that calls tools; those that Anthropic runs are left out"
  )
}

const request = {
  ...prompt,
  max_tokens: maybe(Schema.Finite, "Most tokens of the answer; counted against the context of a backend"),
  stream: maybe(Schema.Boolean, "Answer as events while the text is made"),
  thinking: maybe(open({}), "How much the model is to think"),
  output_config: maybe(open({}), "The effort of the model, and the form of its answer")
}

const MessagesRequest = open(request).annotate({ identifier: "MessagesRequest" })

const { model: _, ...placed } = request

const VertexMessagesRequest = open({
  ...placed,
  anthropic_version: maybe(Schema.String, "Taken, and not looked at")
}).annotate({ identifier: "VertexMessagesRequest", description: "MessagesRequest whose model is in the path" })

const CountTokensRequest = open(prompt).annotate({ identifier: "CountTokensRequest" })

const Message = open({
  id: Schema.String,
  type: Schema.Literal("message"),
  role: Schema.Literal("assistant"),
  model: Schema.String,
  content: Schema.Array(open({ type: Schema.String })),
  stop_reason: Schema.NullOr(Schema.String),
  stop_sequence: Schema.NullOr(Schema.String),
  usage: open({ input_tokens: Schema.Finite, output_tokens: Schema.Finite })
}).annotate({ identifier: "AnthropicMessage", description: "The backend's answer, translated" })

const TokenCount = open({ input_tokens: Schema.Finite }).annotate({
  identifier: "AnthropicTokenCount",
  description: "An estimate, as the header x-nexus-estimated says"
})

const events = Schema.String.annotate({
  description:
    "With stream: true, the events of Messages from message_start to message_stop. An answer that breaks off ends with the event error"
}).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))

const atVertexSummary = "The same, where clients of Vertex AI ask, below any project and place or none"

const atVertex = (verb: string) =>
  HttpApiEndpoint.post(`messagesBy${verb}`, `/v1/publishers/anthropic/models/:model:${verb}`, {
    params: { model: Schema.String },
    payload: VertexMessagesRequest,
    success: [Message, events]
  }).annotate(OpenApi.Summary, atVertexSummary)

const Anthropic = HttpApiGroup.make("anthropic")
  .add(
    HttpApiEndpoint.post("messages", "/v1/messages", {
      payload: MessagesRequest,
      success: [Message, events]
    }).annotate(OpenApi.Summary, "The next message of a chat, in Anthropic's dialect"),
    HttpApiEndpoint.post("countTokens", "/v1/messages/count_tokens", {
      payload: CountTokensRequest,
      success: TokenCount
    }).annotate(OpenApi.Summary, "How many tokens a request makes"),
    atVertex("rawPredict"),
    atVertex("streamRawPredict"),
    HttpApiEndpoint.post("countTokensByrawPredict", "/v1/publishers/anthropic/models/count-tokens:rawPredict", {
      payload: CountTokensRequest,
      success: TokenCount
    }).annotate(OpenApi.Summary, atVertexSummary)
  )
  .annotate(
    OpenApi.Description,
    "Anthropic's Messages, translated for backends that do not speak it. What cannot be carried over is refused, or named in x-nexus-dropped"
  )

const failure: Documented["failure"] = {
  type: "object",
  description: "A failure in Anthropic's shape",
  properties: {
    type: { type: "string", enum: ["error"] },
    error: {
      type: "object",
      properties: { type: { type: "string" }, message: { type: "string" } },
      required: ["type", "message"]
    },
    request_id: { type: "string" }
  },
  required: ["type", "error"]
}

/** What is documented of them. */
export const documentedMessages: Documented = { groups: [Anthropic], schemas: [], failure }
