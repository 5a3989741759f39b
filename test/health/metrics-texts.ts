/**
 * What vLLM and llama-server tell Prometheus, as they write it.
 */

/** What there is to say of one engine of vLLM. */
export interface FakeEngine {
  readonly running?: number | string
  readonly waiting?: number | string
  readonly model?: string
  readonly cache?: Readonly<Record<string, string>>
  readonly sleep?: string
}

/** The cache of a vLLM 0.32 on a CPU. */
export const vllmCache = {
  block_size: "128",
  enable_prefix_caching: "True",
  kv_cache_max_concurrency: "64.0",
  kv_cache_size_tokens: "524288",
  num_gpu_blocks: "4096"
}

const labelled = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")

/** `/metrics` of a vLLM. */
export const vllmMetrics = (...engines: ReadonlyArray<FakeEngine>): string => {
  const lines = engines.flatMap(({ cache, model = "Qwen/Qwen3-8B", running = 0, sleep, waiting = 0 }, at) => {
    const labels = labelled({ engine: String(at), model_name: model })
    const states = sleep === undefined ? [] : ["awake", "weights_offloaded", "discard_all"]
    return [
      `vllm:num_requests_running{${labels}} ${running}${typeof running === "number" ? ".0" : ""}`,
      `vllm:num_requests_waiting{${labels}} ${waiting}${typeof waiting === "number" ? ".0" : ""}`,
      `vllm:num_requests_waiting_by_reason{${labels},reason="capacity"} ${waiting}`
    ].concat(
      cache === undefined ? [] : `vllm:cache_config_info{${labelled({ ...cache, engine: String(at) })}} 1.0`,
      states.map(
        (state) => `vllm:engine_sleep_state{${labels},sleep_state="${state}"} ${state === sleep ? "1.0" : "0.0"}`
      )
    )
  })
  return [
    "# HELP vllm:num_requests_running Number of requests in model execution batches.",
    "# TYPE vllm:num_requests_running gauge",
    ...lines,
    'vllm:prompt_tokens_total{engine="0",model_name="Qwen/Qwen3-8B"} 12.0',
    ""
  ].join("\n")
}

/** `/metrics` of a llama-server. */
export const llamaMetrics = (processing: number | string, deferred: number | string): string =>
  [
    "# HELP llamacpp:requests_processing Number of requests processing.",
    "# TYPE llamacpp:requests_processing gauge",
    `llamacpp:requests_processing ${processing}`,
    "# HELP llamacpp:requests_deferred Number of requests deferred.",
    "# TYPE llamacpp:requests_deferred gauge",
    `llamacpp:requests_deferred ${deferred}`,
    ""
  ].join("\n")
