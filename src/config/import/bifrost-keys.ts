/**
 * What becomes of Bifrost's settings: the table that the import goes by, and the documentation shows.
 */
import type { Format } from "./format.ts"

const noStore = "what Nexus keeps is in files of its own: [usage], auth.store, [capture]"
const byTheMinute = "requests and tokens are counted by the minute for keys, owners and models ([limits])"

/** What is carried over. */
export const bifrostMapped: Format["mapped"] = [
  {
    from: "providers.*.keys[]",
    to: "`[[backends]]`, one for each key; without keys, one for the provider. The type and the address are those of the provider"
  },
  {
    from: "providers.*.keys[].name, value",
    to: "`backends[].name`, `api_key_env`: the variable of `env.…`, else a new one"
  },
  {
    from: "providers.*.keys[].models, aliases, azure_key_config.deployments, vllm_key_config.model_name",
    to: "`[[backends.models]]`, and `[routing.groups]` for `provider/model` and for names that are not the model's own"
  },
  {
    from: "providers.*.network_config.base_url; url, endpoint, api_version, region of a key",
    to: "`backends[].url`"
  },
  { from: "providers.*.custom_provider_config.base_provider_type", to: "`backends[].type`" },
  {
    from: "providers.*.network_config.default_request_timeout_in_seconds, stream_idle_timeout_in_seconds, insecure_skip_verify",
    to: "`request_timeout_seconds`, `idle_timeout_seconds`, `insecure_skip_verify` of the backend"
  },
  {
    from: "providers.*.concurrency_and_buffer_size.concurrency",
    to: "`backends[].max_concurrent`, of a provider with one key"
  },
  {
    from: "governance.virtual_keys[].name, value, provider_configs",
    to: "`[[auth.keys]]` with `env`, `models` and `backends`; the models are those of all its backends together, and `provider/*` where another one has a list"
  },
  { from: "version", to: "what a virtual key may ask for that lists nothing: all in version 1, nothing otherwise" },
  {
    from: "governance.virtual_keys[].team_id, customer_id",
    to: "`owner`, by the name of the team, else of the customer"
  },
  {
    from: "governance.rate_limits[] of a virtual key",
    to: "`requests_per_minute`, `tokens_per_minute` of the key, where the limit is for a minute"
  },
  {
    from: "governance.budgets[] of a virtual key, team or customer",
    to: "`[[budgets]]` for a day, a week or a month, which begin by the calendar"
  },
  {
    from: "client.max_request_body_size_mb, allowed_origins",
    to: "`server.max_body_mb`, `server.cors.origins`; `*` is not taken"
  }
]

const ofProviders: Format["unsupported"] = [
  { key: "providers.*.keys[].weight", why: "backends have a priority and no weight" },
  { key: "providers.*.keys[].blacklisted_models", why: "all models of a backend are used" },
  { key: "providers.*.keys[].use_for_batch_api", why: "each backend takes batches that speaks OpenAI's API" },
  { key: "providers.*.keys[].*", why: "no setting of a backend here" },
  { key: "providers.*.network_config.max_retries", why: "retries are set for all: routing.max_retries" },
  { key: "providers.*.network_config.extra_headers", why: "no headers of your own are sent to backends" },
  { key: "providers.*.network_config.ca_cert_pem", why: "put it into a file, and name that in ca_file of the backend" },
  {
    key: "providers.*.network_config.allow_private_network",
    why: "private networks are asked like others; [privacy] and zones keep requests to some"
  },
  { key: "providers.*.network_config.*", why: "no setting of a backend here" },
  {
    key: "providers.*.concurrency_and_buffer_size.buffer_size",
    why: "the queue is one for each model: queue.max_queue"
  },
  { key: "providers.*.proxy_config", why: "backends are connected to directly" },
  { key: "providers.*.*", why: "requests and answers are forwarded as they come" }
]

const ofGovernance: Format["unsupported"] = [
  { key: "governance.virtual_keys[].provider_configs[].weight", why: "backends have a priority and no weight" },
  { key: "governance.virtual_keys[].provider_configs[].*", why: "limits and budgets are those of the whole key" },
  { key: "governance.virtual_keys[].calendar_aligned", why: "budgets always begin by the calendar" },
  { key: "governance.virtual_keys[].mcp_configs", why: "tools are the clients' own" },
  { key: "governance.virtual_keys[].*", why: "no setting of a key here" },
  { key: "governance.rate_limits[].*", why: `not of a virtual key, or nothing that is counted: ${byTheMinute}` },
  { key: "governance.budgets[].*", why: "no setting of a budget here" },
  { key: "governance.teams[].*", why: "not of a virtual key, or no setting of an owner; see [[limits.owners]]" },
  { key: "governance.customers[].*", why: "not of a virtual key, or no setting of an owner; see [[limits.owners]]" },
  { key: "governance.routing_rules", why: "expressions are not translated; rules are [[routes]]" },
  { key: "governance.model_configs", why: "budgets for models are [[budgets]], and limits [limits]" },
  { key: "governance.auth_config", why: "the administration takes a key with admin = true, see docs/security.md" },
  { key: "governance.*", why: "no setting of Nexus" }
]

/** What is not, and why. */
export const bifrostUnsupported: Format["unsupported"] = [
  { key: "$schema", why: "the schema of Bifrost's file" },
  ...ofProviders,
  ...ofGovernance,
  { key: "client.drop_excess_requests", why: "requests wait in the queue: [queue]" },
  { key: "client.enable_logging", why: "the live page shows the last requests; [usage] writes down what each took" },
  { key: "client.disable_content_logging", why: "prompts and answers are never logged; see [capture]" },
  { key: "client.log_retention_days", why: "see usage.retention_days" },
  { key: "client.*", why: "no setting of Nexus" },
  { key: "auth_config", why: "the administration takes a key with admin = true, see docs/security.md" },
  { key: "config_store", why: noStore },
  { key: "logs_store", why: noStore },
  { key: "vector_store", why: "answers are kept for the very same request alone, see docs/cache.md" },
  { key: "plugins", why: "requests and answers are looked into by a service of your own, see [[hooks]]" },
  { key: "guardrails_config", why: "requests and answers are looked into by a service of your own, see [[hooks]]" },
  { key: "framework", why: "public prices come with Nexus; others are in [[prices]]" },
  { key: "mcp", why: "tools are the clients' own" },
  { key: "cluster_config", why: "what replicas share goes through [cluster]" },
  { key: "*", why: "no section of Nexus" }
]
