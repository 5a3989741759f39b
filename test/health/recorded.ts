/**
 * Answers as real servers give them, shortened.
 */

/** `/v1/models` of a llama-server with a context of 4096 tokens per slot. */
export const llamaModels = {
  models: [
    { name: "tiny-random", model: "tiny-random", capabilities: ["completion"], details: { format: "gguf", family: "" } }
  ],
  object: "list",
  data: [
    {
      id: "tiny-random",
      aliases: ["tiny-random"],
      tags: [],
      object: "model",
      created: 1795000000,
      owned_by: "llamacpp",
      architecture: { input_modalities: ["text"], output_modalities: ["text"] },
      meta: {
        vocab_type: 1,
        n_vocab: 32064,
        n_ctx: 4096,
        n_ctx_train: 32768,
        n_embd: 64,
        n_params: 4178240,
        ftype: "F16"
      }
    }
  ]
}

/** `/props` of the same server. */
export const llamaProps = {
  default_generation_settings: { params: { temperature: 0.8 }, n_ctx: 4096 },
  total_slots: 4,
  model_alias: "tiny-random",
  modalities: { vision: false, video: false, audio: false },
  chat_template_caps: { supports_tools: true, supports_tool_calls: true, supports_system_role: true },
  build_info: "b11669-abcdef",
  is_sleeping: false
}

/** Any route of a llama-server that loads its model; status 503. */
export const llamaLoading = { error: { message: "Loading model", type: "unavailable_error", code: 503 } }

/** `/api/tags` of an Ollama. */
export const ollamaTags = {
  models: [
    {
      name: "tiny:latest",
      model: "tiny:latest",
      modified_at: "2026-11-01T10:00:00Z",
      size: 8357120,
      digest: "aaaa",
      details: { parent_model: "", format: "gguf", family: "llama", families: null, context_length: 32768 },
      capabilities: ["completion"]
    },
    { name: "nomic-embed-text:latest", model: "nomic-embed-text:latest", digest: "bbbb", details: null },
    { name: "tiny-again:latest", model: "tiny-again:latest", digest: "aaaa", details: {} }
  ]
}

/** `/api/show` of its chat model. */
export const ollamaShowChat = {
  capabilities: ["completion", "tools", "insert", "thinking"],
  model_info: { "general.architecture": "llama", "llama.context_length": 32768, "llama.embedding_length": 64 },
  parameters: 'stop                           "<|im_end|>"\nnum_ctx                        8192'
}

/** `/api/show` of its embedding model. */
export const ollamaShowEmbed = {
  capabilities: ["embedding"],
  model_info: { "general.architecture": "nomic-bert", "nomic-bert.context_length": 2048 }
}

/** `/api/ps` with the chat model loaded. */
export const ollamaPs = {
  models: [{ name: "tiny:latest", model: "tiny:latest", digest: "aaaa", size_vram: 0, context_length: 4096 }]
}

/** `/v1/models` of a vLLM with a LoRA adapter. */
export const vllmModels = {
  object: "list",
  data: [
    { id: "Qwen/Qwen3-8B", object: "model", owned_by: "vllm", root: "/models/q", parent: null, max_model_len: 32768 },
    {
      id: "sql-lora",
      object: "model",
      owned_by: "vllm",
      root: "/loras/sql",
      parent: "Qwen/Qwen3-8B",
      max_model_len: null
    }
  ]
}

/** `/api/v1/models` of an LM Studio 0.4. */
export const lmstudioV1 = {
  models: [
    {
      type: "llm",
      publisher: "google",
      key: "google/gemma-3-4b",
      architecture: "gemma3",
      loaded_instances: [{ id: "google/gemma-3-4b", config: { context_length: 4096, parallel: 4 } }],
      max_context_length: 131072,
      capabilities: { vision: true, trained_for_tool_use: false, reasoning: null }
    },
    {
      type: "embedding",
      key: "text-embedding-nomic-embed-text-v1.5",
      loaded_instances: [],
      max_context_length: 2048
    }
  ]
}

/** What LM Studio answers, with status 200, on a path it does not know. */
export const lmstudioUnknown = { error: "Unexpected endpoint or method. (GET /api/v1/models)" }

/** `/api/v0/models` of an LM Studio 0.3. */
export const lmstudioV0 = {
  object: "list",
  data: [
    {
      id: "qwen2-vl-7b-instruct",
      object: "model",
      type: "vlm",
      publisher: "mlx-community",
      state: "loaded",
      max_context_length: 32768,
      loaded_context_length: 8192,
      capabilities: ["tool_use"]
    },
    { id: "nomic-embed", object: "model", type: "embeddings", state: "not-loaded", max_context_length: 2048 }
  ]
}

/** `/v1/models?status=downloaded` of an exo. */
export const exoModels = {
  object: "list",
  data: [
    {
      id: "mlx-community/Llama-3.2-1B-Instruct-4bit",
      owned_by: "exo",
      name: "Llama 3.2 1B",
      context_length: 131072,
      capabilities: ["text"],
      tasks: ["TextGeneration"]
    }
  ]
}
