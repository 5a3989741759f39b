/**
 * Ollama's API as a contract that only documents.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { maxModelLength } from "../../domain/request.ts"
import type { Documented } from "../Dialect.ts"

const any = Schema.Record(Schema.String, Schema.Unknown)
const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.StructWithRest(Schema.Struct(fields), [any])
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(Schema.NullOr(schema).annotate({ description }))

const model = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(maxModelLength)).annotate({
  description: "A model of /api/tags, or an alias of one"
})

const generation = {
  model,
  stream: maybe(Schema.Boolean, "Answer line by line while the text is made; true unless it is said"),
  format: maybe(
    Schema.Union([Schema.String, open({})]),
    "json or a JSON schema, which asks for a model that keeps to it"
  ),
  think: maybe(Schema.Union([Schema.Boolean, Schema.String]), "How much the model is to think"),
  keep_alive: maybe(Schema.Union([Schema.String, Schema.Finite]), "For Ollama alone"),
  options: maybe(
    open({ num_predict: maybe(Schema.Finite, "Most tokens of the answer; counted against the context of a backend") }),
    "How tokens are chosen; what only Ollama knows is left out for other backends"
  )
}

const ChatRequest = open({
  ...generation,
  messages: maybe(
    Schema.Array(open({ role: Schema.String, content: maybe(Schema.String, "What is said") })),
    "Without any, an Ollama loads the model, and every other backend has it"
  ),
  tools: maybe(Schema.Array(Schema.Unknown), "Asks for a model that calls tools")
}).annotate({ identifier: "OllamaChatRequest" })

const GenerateRequest = open({
  ...generation,
  prompt: maybe(Schema.String, "What is said; without it, a model is loaded as in /api/chat"),
  system: maybe(Schema.String, "What goes before it"),
  images: maybe(Schema.Array(Schema.String), "Images in base64")
}).annotate({ identifier: "OllamaGenerateRequest" })

const answer = { model: Schema.String, created_at: Schema.String, done: Schema.Boolean }

const ChatAnswer = open({ ...answer, message: open({ role: Schema.String, content: Schema.String }) }).annotate({
  identifier: "OllamaChatAnswer",
  description: "The backend's answer, translated where it is no Ollama"
})

const GenerateAnswer = open({ ...answer, response: Schema.String }).annotate({
  identifier: "OllamaGenerateAnswer",
  description: "The backend's answer, translated where it is no Ollama"
})

const lines = (of: string) =>
  Schema.String.annotate({
    description: `Unless stream is false, lines of which each is an ${of}, the last with done: true. An answer that breaks off ends with a line that is an OllamaError, and is cut`
  }).pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))

const vector = Schema.Array(Schema.Finite)

const EmbedRequest = open({
  model,
  input: Schema.Union([Schema.String, Schema.Array(Schema.String)]).annotate({ description: "One text, or several" }),
  dimensions: maybe(Schema.Finite, "How many numbers a vector is to have")
}).annotate({ identifier: "OllamaEmbedRequest" })

const EmbeddingsRequest = open({ model, prompt: Schema.String }).annotate({ identifier: "OllamaEmbeddingsRequest" })

const EmbedAnswer = open({ embeddings: Schema.Array(vector) }).annotate({ identifier: "OllamaEmbedAnswer" })

const EmbeddingsAnswer = open({ embedding: vector }).annotate({ identifier: "OllamaEmbeddingsAnswer" })

const Listed = open({ name: Schema.String, model: Schema.String })

const ListedModels = open({ models: Schema.Array(Listed) }).annotate({ identifier: "OllamaModelList" })

const ShowRequest = open({
  model: maybe(Schema.String, "A model of /api/tags, or an alias of one"),
  name: maybe(Schema.String, "The same in an older field")
}).annotate({ identifier: "OllamaShowRequest" })

const Shown = open({ capabilities: Schema.Array(Schema.String), model_info: open({}) }).annotate({
  identifier: "OllamaModel"
})

const PullRequest = open({
  model: maybe(Schema.String, "A name, before which that of a backend may stand, as in lab/qwen3:8b"),
  name: maybe(Schema.String, "The same in an older field"),
  stream: maybe(Schema.Boolean, "Tell of the progress line by line; true unless it is said")
}).annotate({ identifier: "OllamaPullRequest" })

const Progress = Schema.String.annotate({ description: "What the Ollama tells of its progress, line by line" }).pipe(
  HttpApiSchema.asText({ contentType: "application/x-ndjson" })
)

const Version = open({ version: Schema.String }).annotate({ identifier: "OllamaVersion" })

const Ollama = HttpApiGroup.make("ollama")
  .add(
    HttpApiEndpoint.post("ollamaChat", "/api/chat", {
      payload: ChatRequest,
      success: [ChatAnswer, lines("OllamaChatAnswer")]
    }).annotate(OpenApi.Summary, "The next message of a chat, in Ollama's dialect"),
    HttpApiEndpoint.post("ollamaGenerate", "/api/generate", {
      payload: GenerateRequest,
      success: [GenerateAnswer, lines("OllamaGenerateAnswer")]
    }).annotate(OpenApi.Summary, "The answer to a prompt, in Ollama's dialect"),
    HttpApiEndpoint.post("ollamaEmbed", "/api/embed", { payload: EmbedRequest, success: EmbedAnswer }).annotate(
      OpenApi.Summary,
      "Texts as vectors, in Ollama's dialect"
    ),
    HttpApiEndpoint.post("ollamaEmbeddings", "/api/embeddings", {
      payload: EmbeddingsRequest,
      success: EmbeddingsAnswer
    }).annotate(OpenApi.Summary, "One text as a vector, in Ollama's older form"),
    HttpApiEndpoint.get("ollamaTags", "/api/tags", { success: ListedModels }).annotate(
      OpenApi.Summary,
      "The models that can be asked for, as Ollama lists them"
    ),
    HttpApiEndpoint.get("ollamaPs", "/api/ps", { success: ListedModels }).annotate(
      OpenApi.Summary,
      "Those that a backend has in memory, as far as it says so"
    ),
    HttpApiEndpoint.get("ollamaVersion", "/api/version", { success: Version }).annotate(
      OpenApi.Summary,
      "The version of Ollama whose API this is"
    ),
    HttpApiEndpoint.post("ollamaShow", "/api/show", { payload: ShowRequest, success: Shown }).annotate(
      OpenApi.Summary,
      "What a model can do, as Ollama tells it"
    ),
    HttpApiEndpoint.post("ollamaPull", "/api/pull", { payload: PullRequest, success: Progress }).annotate(
      OpenApi.Summary,
      "Has an Ollama get a model, where who asks may; a success at once for one that is there"
    )
  )
  .annotate(
    OpenApi.Description,
    "Ollama's API over every backend: as it is for Ollama, translated for all others. What cannot be carried over is refused, or named in x-nexus-dropped"
  )

const failure: Documented["failure"] = {
  type: "object",
  description: "A failure in Ollama's shape",
  properties: { error: { type: "string" } },
  required: ["error"]
}

/** What is documented of it. */
export const documentedOllama: Documented = { groups: [Ollama], schemas: [], failure }
