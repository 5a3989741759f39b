/**
 * What becomes of LiteLLM's settings: the table that the import goes by, and the documentation shows.
 */
import type { Format } from "./format.ts"
import { providers } from "./providers.ts"

const prefixes = providers.map(({ name }) => `\`${name}/\``).join(", ")

const asTheyCome = "requests are forwarded as they come: nothing is set, renamed or dropped in them"
const noRedis = "what replicas share goes through [cluster]"
const noServices = "no services are built in; see [telemetry.otlp], the access log and /metrics"

/** What is carried over. */
export const litellmMapped: Format["mapped"] = [
  {
    from: "model_list[].model_name",
    to: "`[routing.aliases]`, when it differs from the model; a second model of the same name becomes its fallback"
  },
  {
    from: "model_list[].litellm_params.model",
    to: `\`backends[].type\` by its prefix (${prefixes}), and \`[[backends.models]]\``
  },
  {
    from: "model_list[].litellm_params.api_base",
    to: "`backends[].url`; deployments with the same address and key are one backend"
  },
  {
    from: "model_list[].litellm_params.api_key",
    to: "`backends[].api_key_env`: the variable of `os.environ/…`, else a new one"
  },
  { from: "model_list[].litellm_params.timeout", to: "`backends[].request_timeout_seconds`" },
  { from: "model_list[].litellm_params.litellm_credential_name", to: "address and key of that credential" },
  {
    from: "model_list[].model_info.max_input_tokens, max_tokens, supports_*, mode",
    to: "`[[backends.models]]`: context and abilities"
  },
  {
    from: "router_settings.routing_strategy",
    to: "`routing.strategy`: `simple-shuffle` is `random`; `least-busy` and `latency-based-routing` are `smart` with that weight alone"
  },
  {
    from: "router_settings.num_retries, timeout, fallbacks",
    to: "`routing.max_retries`, `server.request_timeout_seconds`, `[routing.fallbacks]`; also from `litellm_settings`"
  },
  { from: "router_settings.model_group_alias", to: "`[routing.aliases]`" },
  { from: "litellm_settings.set_verbose, json_logs", to: "`logging.level`, `logging.format`" },
  { from: "general_settings.master_key", to: "`[[auth.keys]]` with `env`" },
  {
    from: "general_settings.max_request_size_mb, global_max_parallel_requests, health_check_interval",
    to: "`server.max_body_mb`, `server.max_concurrent_requests`, `health_check.interval_seconds`"
  }
]

const ofDeployments: Format["unsupported"] = [
  {
    key: "model_list[].litellm_params.rpm",
    why: "requests are counted by the minute for keys and models ([limits]), not for a backend; its max_concurrent limits how many it has at a time"
  },
  {
    key: "model_list[].litellm_params.tpm",
    why: "tokens are counted by the minute for keys and models ([limits]), not for a backend"
  },
  { key: "model_list[].litellm_params.weight", why: "backends have a priority and no weight" },
  {
    key: "model_list[].litellm_params.order",
    why: "priority belongs to a whole server; set priority of the backend"
  },
  {
    key: "model_list[].litellm_params.max_parallel_requests",
    why: "the limit belongs to a whole server; set max_concurrent of the backend"
  },
  {
    key: "model_list[].litellm_params.stream_timeout",
    why: "one limit counts for streams and others; see first_byte_timeout_seconds and idle_timeout_seconds"
  },
  { key: "model_list[].litellm_params.max_retries", why: "retries are set for all: routing.max_retries" },
  { key: "model_list[].litellm_params.api_version", why: "Nexus speaks the OpenAI API as it is" },
  { key: "model_list[].litellm_params.organization", why: "no organization header is sent" },
  { key: "model_list[].litellm_params.extra_headers", why: "no headers of your own are sent to backends" },
  { key: "model_list[].litellm_params.*", why: asTheyCome },
  { key: "model_list[].model_info.*", why: "Nexus keeps no such information; prices are in [[prices]]" },
  { key: "model_list[].*", why: "no key of a model that can be carried over" },
  { key: "credential_list[].*", why: "not used by a model that is carried over" }
]

const ofBoth = (section: string): Format["unsupported"] => [
  {
    key: `${section}.context_window_fallbacks`,
    why: "a model whose context is too short is passed over by itself; its fallbacks are those of [routing.fallbacks]"
  },
  { key: `${section}.content_policy_fallbacks`, why: "a refusal for its content is the client's to see" },
  { key: `${section}.default_fallbacks`, why: "fallbacks are named for each model; there are none for all" }
]

/** What is not, and why. */
export const litellmUnsupported: Format["unsupported"] = [
  ...ofDeployments,
  {
    key: "router_settings.allowed_fails",
    why: "circuits are built in: three failures in a row leave a model of a backend alone for 2 s, doubling to 60 s"
  },
  { key: "router_settings.cooldown_time", why: "circuits are built in and end by themselves" },
  { key: "router_settings.enable_pre_call_checks", why: "the context is always checked" },
  { key: "router_settings.redis_host", why: noRedis },
  { key: "router_settings.redis_port", why: noRedis },
  { key: "router_settings.redis_password", why: noRedis },
  { key: "router_settings.redis_url", why: noRedis },
  { key: "router_settings.redis_db", why: noRedis },
  ...ofBoth("router_settings"),
  { key: "router_settings.*", why: "no setting of the routing here" },
  ...ofBoth("litellm_settings"),
  { key: "litellm_settings.fallbacks", why: "router_settings.fallbacks goes before it" },
  { key: "litellm_settings.num_retries", why: "router_settings.num_retries goes before it" },
  { key: "litellm_settings.request_timeout", why: "router_settings.timeout goes before it" },
  { key: "litellm_settings.drop_params", why: asTheyCome },
  {
    key: "litellm_settings.cache",
    why: "answers are kept where a model or alias says cache_seconds, see docs/cache.md"
  },
  {
    key: "litellm_settings.cache_params",
    why: "answers are kept where a model or alias says cache_seconds, see docs/cache.md"
  },
  { key: "litellm_settings.callbacks", why: noServices },
  { key: "litellm_settings.success_callback", why: noServices },
  { key: "litellm_settings.failure_callback", why: noServices },
  { key: "litellm_settings.service_callbacks", why: noServices },
  { key: "litellm_settings.*", why: "no setting of Nexus" },
  {
    key: "general_settings.database_url",
    why: "keys are in the file or in a store of Nexus' own, see `nexus keys new`"
  },
  { key: "general_settings.max_response_size_mb", why: "answers are passed on whatever their size" },
  {
    key: "general_settings.background_health_checks",
    why: "backends are probed in the background unless health_check.enabled = false"
  },
  { key: "general_settings.*", why: "no setting of Nexus; budgets are in [[budgets]]" },
  { key: "environment_variables", why: "set them in the environment that starts Nexus" },
  { key: "guardrails", why: "requests and answers are looked into by a service of your own, see [[hooks]]" },
  { key: "callback_settings", why: noServices },
  { key: "mcp_servers", why: "tools are the clients' own" },
  { key: "*", why: "no section of Nexus" }
]
