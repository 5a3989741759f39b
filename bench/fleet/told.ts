/**
 * What servers tell of themselves, each as its kind does.
 */
import type { Machine, MachineSpec } from "./machine.ts"

const contextLength = 131_072

const list = ({ kind, models }: MachineSpec): Response => {
  const owner = { vllm: "vllm", llamacpp: "llamacpp", ollama: "library", generic: "system" }[kind]
  const more = {
    vllm: { max_model_len: contextLength },
    llamacpp: { meta: { n_ctx: contextLength } },
    ollama: {},
    generic: {}
  }[kind]
  return Response.json({
    object: "list",
    data: models.map((id) => ({ id, object: "model", created: 1_700_000_000, owned_by: owner, ...more }))
  })
}

const metrics = (machine: Machine): Response => {
  const { cacheTokens, models } = machine.spec
  const labels = `engine="0",model_name="${models[0] ?? ""}"`
  const block = 16
  return new Response(
    [
      "# TYPE vllm:num_requests_running gauge",
      `vllm:num_requests_running{${labels}} ${String(machine.running())}.0`,
      "# TYPE vllm:num_requests_waiting gauge",
      `vllm:num_requests_waiting{${labels}} ${String(machine.waiting())}.0`,
      "# TYPE vllm:cache_config_info gauge",
      `vllm:cache_config_info{block_size="${String(block)}",enable_prefix_caching="True",engine="0",` +
        `kv_cache_size_tokens="${String(cacheTokens)}",num_gpu_blocks="${String(Math.floor(cacheTokens / block))}"} 1.0`,
      ""
    ].join("\n"),
    { headers: { "content-type": "text/plain; version=0.0.4" } }
  )
}

type Telling = (machine: Machine, request: Request) => Response | Promise<Response>

const well: Telling = () => Response.json({ status: "ok" })

const models: Telling = ({ spec }) => list(spec)

const entry = (name: string) => ({
  name,
  model: name,
  digest: `sha256-${name}`,
  size: 4_000_000_000,
  details: { format: "gguf", family: "llama", parameter_size: "8B", quantization_level: "Q4_K_M" }
})

const loadedEntry = (name: string) => Object.assign(entry(name), { context_length: contextLength, size_vram: 4e9 })

const preload: Telling = async (machine, request) => {
  const { model } = (await request.json()) as { readonly model: string } // reason: only what gateways send
  machine.preload(model)
  return Response.json({ model, response: "", done: true, done_reason: "load" })
}

const paths: Readonly<Record<MachineSpec["kind"], Readonly<Record<string, Telling>>>> = {
  generic: { "/v1/models": models },
  vllm: {
    "/v1/models": models,
    "/health": well,
    "/version": () => Response.json({ version: "0.32.0" }),
    "/metrics": metrics
  },
  llamacpp: {
    "/v1/models": models,
    "/health": well,
    "/props": ({ spec }) =>
      Response.json({
        total_slots: spec.slots,
        build_info: "b11669-0000000",
        default_generation_settings: { n_ctx: contextLength },
        chat_template_caps: { supports_tools: true, supports_tool_calls: true },
        modalities: { vision: false }
      }),
    "/slots": (machine) =>
      Response.json(
        machine.slots().map(({ busy, tokens }, id) => ({
          id,
          n_ctx: contextLength,
          is_processing: busy,
          n_prompt_tokens: tokens
        }))
      )
  },
  ollama: {
    "/v1/models": models,
    "/api/version": () => Response.json({ version: "0.33.0" }),
    "/api/tags": ({ spec }) => Response.json({ models: spec.models.map(entry) }),
    "/api/ps": (machine) =>
      Response.json({
        models: machine.loaded().map(loadedEntry)
      }),
    "/api/show": () => Response.json({ capabilities: ["completion", "tools"] }),
    "/api/generate": preload
  }
}

/** The answer to a question that costs nothing. */
export const told: (machine: Machine, path: string, request: Request) => Response | Promise<Response> = (
  machine,
  path,
  request
) =>
  paths[machine.spec.kind][path]?.(machine, request) ??
  Response.json({ error: { message: "Not Found", type: "NotFoundError" } }, { status: 404 })
