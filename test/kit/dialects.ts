/**
 * How each kind of server answers when it is asked about itself, made from a few facts about its models.
 */
import type { BackendType } from "../../src/backend/all.ts"

/** A model as a fake server has it. */
export interface FakeModel {
  readonly id: string
  /** Context in tokens; 32768 when absent. */
  readonly context?: number
  readonly vision?: boolean
  readonly tools?: boolean
  readonly embeddings?: boolean
}

/** The JSON a path answers; undefined is a 404. */
export type Dialect = (models: ReadonlyArray<FakeModel>) => (method: string, target: string, body: string) => unknown

const context = (model: FakeModel): number => model.context ?? 32_768

const list = (models: ReadonlyArray<FakeModel>, of: (model: FakeModel) => object) => ({
  object: "list",
  data: models.map((model) => ({ id: model.id, object: "model", created: 1_700_000_000, ...of(model) }))
})

/** Answers by path, without the query. */
const paths =
  (table: (models: ReadonlyArray<FakeModel>) => Readonly<Record<string, unknown>>): Dialect =>
  (models) => {
    const answers = table(models)
    return (_method, target) => answers[target.split("?")[0] ?? ""]
  }

const openai = paths((models) => ({ "/v1/models": list(models, () => ({ owned_by: "fake" })) }))

const ollama: Dialect = (models) => {
  const entry = ({ id }: FakeModel) => ({ name: id, model: id, digest: `digest-of-${id}`, details: { format: "gguf" } })
  const answers: Readonly<Record<string, unknown>> = {
    "/api/version": { version: "0.12.0" },
    "/api/tags": { models: models.map(entry) },
    "/api/ps": { models: models.map((model) => ({ ...entry(model), context_length: context(model) })) },
    "/v1/models": { object: "list", data: models.length === 0 ? null : models.map(({ id }) => ({ id })) }
  }
  return (_method, target, body) => {
    if (target !== "/api/show") return answers[target]
    const asked: unknown = JSON.parse(body)
    const model = models.find(
      ({ id }) => typeof asked === "object" && asked !== null && "model" in asked && asked.model === id
    )
    if (model === undefined) return undefined
    return {
      capabilities: [
        model.embeddings === true ? "embedding" : "completion",
        ...(model.vision === true ? ["vision"] : []),
        ...(model.tools === true ? ["tools"] : [])
      ],
      model_info: { "general.architecture": "llama", "llama.context_length": context(model) }
    }
  }
}

const llamacpp = paths((models) => {
  const [first] = models
  return {
    "/health": { status: "ok" },
    "/props": {
      default_generation_settings: { n_ctx: first === undefined ? 4096 : context(first) },
      total_slots: 4,
      modalities: { vision: first?.vision ?? false },
      chat_template_caps: { supports_tools: first?.tools ?? false }
    },
    "/v1/models": list(models, (model) => ({ owned_by: "llamacpp", meta: { n_ctx: context(model) } }))
  }
})

const llamaswap = paths((models) => ({
  "/health": "OK",
  "/running": { running: models.map(({ id }) => ({ model: id, state: "ready", ttl: 0 })) },
  "/v1/models": list(models, (model) => ({ owned_by: "llama-swap", context_length: context(model) }))
}))

const vllm = paths((models) => ({
  "/health": {},
  "/version": { version: "0.11.0" },
  "/v1/models": list(models, (model) => ({ owned_by: "vllm", max_model_len: context(model) }))
}))

const sglang = paths((models) => ({
  "/health": {},
  "/v1/loads": { loads: [{ dp_rank: 0, num_running_reqs: 0, num_waiting_reqs: 0, max_running_requests: 48 }] },
  "/model_info": { model_path: models[0]?.id ?? "none", is_generation: models[0]?.embeddings !== true },
  "/v1/models": list(models, (model) => ({ owned_by: "sglang", max_model_len: context(model) }))
}))

const lmstudio = paths((models) => ({
  "/api/v1/models": {
    models: models.map((model) => ({
      type: model.embeddings === true ? "embedding" : "llm",
      key: model.id,
      loaded_instances: [{ id: model.id, config: { context_length: context(model) } }],
      max_context_length: context(model),
      capabilities: { vision: model.vision ?? false, trained_for_tool_use: model.tools ?? false }
    }))
  },
  "/v1/models": list(models, () => ({ owned_by: "organization_owner" }))
}))

const exo = paths((models) => ({
  "/node_id": "12D3Koo",
  "/v1/models": list(models, (model) => ({
    owned_by: "exo",
    context_length: context(model),
    tasks: ["TextGeneration"]
  }))
}))

const gemini = paths((models) => ({
  "/v1beta/models": {
    models: models.map((model) => ({
      name: `models/${model.id}`,
      displayName: model.id,
      inputTokenLimit: context(model),
      outputTokenLimit: 8192,
      supportedGenerationMethods: model.embeddings === true ? ["embedContent"] : ["generateContent", "countTokens"]
    }))
  }
}))

const vertex = paths((models) => ({
  "/v1beta1/publishers/google/models": {
    publisherModels: models.map(({ id }) => ({ name: `publishers/google/models/${id}` }))
  }
}))

const anthropic = paths((models) => ({
  "/v1/models": {
    data: models.map((model) => ({
      type: "model",
      id: model.id,
      display_name: model.id,
      created_at: "2025-09-29T00:00:00Z",
      max_input_tokens: context(model),
      max_tokens: 8192,
      capabilities: { image_input: { supported: model.vision ?? false } }
    })),
    has_more: false,
    first_id: models[0]?.id ?? null,
    last_id: models.at(-1)?.id ?? null
  }
}))

const openrouter = paths((models) => ({
  "/v1/key": { data: { label: "a key", limit: null, usage: 0 } },
  "/v1/models": list(models, (model) => ({
    context_length: context(model),
    architecture: { input_modalities: model.vision === true ? ["text", "image"] : ["text"] },
    supported_parameters: model.tools === true ? ["tools", "tool_choice"] : ["max_tokens"],
    top_provider: { max_completion_tokens: 4096 }
  }))
}))

// It has them where OpenAI's are as well, for who asks without knowing what it is.
const belowOpenAi = paths((models) => {
  const all = list(models, () => ({ owned_by: "system" }))
  return { "/openai/v1/models": all, "/v1/models": all }
})

/** Every dialect by the type of its backend. */
export const dialects: Readonly<Record<BackendType, Dialect>> = {
  ollama,
  llamacpp,
  llamaswap,
  vllm,
  lmstudio,
  exo,
  sglang,
  openai,
  azure: belowOpenAi,
  openrouter,
  anthropic,
  bedrock: belowOpenAi,
  gemini,
  vertex,
  generic: openai
}
