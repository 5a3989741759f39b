/**
 * What servers tell of themselves, each as its kind does.
 */
import type { Machine } from "./machine.ts"

const json = (value: unknown): Response => Response.json(value)

const list = (machine: Machine, owner: string): Response =>
  json({
    object: "list",
    data: machine.spec.models.map((id) => ({ id, object: "model", created: 1_700_000_000, owned_by: owner }))
  })

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

const byVllm = (machine: Machine, path: string): Response | undefined => {
  switch (path) {
    case "/metrics":
      return metrics(machine)
    case "/version":
      return json({ version: "0.32.0" })
    case "/health":
      return new Response(null)
    default:
      return undefined
  }
}

/** The answer to a question that costs nothing. */
export const told = (machine: Machine, path: string): Response => {
  const { kind } = machine.spec
  if (path === "/v1/models") return list(machine, kind === "vllm" ? "vllm" : "system")
  const own = kind === "vllm" ? byVllm(machine, path) : undefined
  return own ?? Response.json({ error: { message: "Not Found", type: "NotFoundError" } }, { status: 404 })
}
