/**
 * What becomes of Olla's settings: the table that the import goes by, and the documentation shows.
 */
import type { Format } from "./format.ts"

const builtIn = "it is known from the type of the backend"
const noEffect = "Olla takes no notice of it; routing.max_retries says how often Nexus tries again"

/** What is carried over. */
export const ollaMapped: Format["mapped"] = [
  {
    from: "server.host, port",
    to: "`server.host`, `server.port`; an address beyond this machine only when there are keys"
  },
  {
    from: "server.read_timeout, shutdown_timeout",
    to: "`server.upload_timeout_seconds`, `server.shutdown_grace_seconds`"
  },
  { from: "server.request_limits.max_body_size", to: "`server.max_body_mb`" },
  { from: "server.cors.enabled, allowed_origins", to: "`server.cors.origins`; `*` is not taken" },
  {
    from: "proxy.load_balancer",
    to: "`routing.strategy`: `round-robin` is `round_robin`, `priority` is `priority_only`, `least-connections` is `smart` with the weight of the load alone"
  },
  {
    from: "proxy.connection_timeout, response_timeout, response_header_timeout, read_timeout",
    to: "`connect_timeout_seconds`, `request_timeout_seconds`, `first_byte_timeout_seconds`, `idle_timeout_seconds` of `[server]`"
  },
  {
    from: "discovery.static.endpoints[].url, name, type",
    to: "`[[backends]]`; without `preserve_path`, the address without its path, as Olla calls it; types that Nexus has no name for are `generic`"
  },
  {
    from: "discovery.static.endpoints[].priority",
    to: "`backends[].priority`, turned round: Nexus prefers the lower number"
  },
  {
    from: "discovery.static.endpoints[].check_interval, check_timeout",
    to: "`health_check.interval_seconds` (the shortest), `health_check.timeout_seconds` (the longest)"
  },
  { from: "discovery.static.endpoints[].auth", to: "of type `bearer`: `api_key_env` or `api_key_file`" },
  { from: "model_aliases", to: "`[routing.aliases]` for the first model, `[routing.fallbacks]` for the others" },
  { from: "logging.level, format", to: "`logging.level`, `logging.format`" },
  { from: "server.request_logging", to: "`logging.access_log`" }
]

/** What is not, and why. */
export const ollaUnsupported: Format["unsupported"] = [
  {
    key: "server.rate_limits",
    why: "requests are counted by the minute for keys and models ([limits]), not for addresses; see also server.max_concurrent_requests"
  },
  { key: "server.request_limits.max_header_size", why: "the size of headers is fixed" },
  { key: "server.cors.*", why: "what a browser may send and read is fixed; only the origins are set" },
  { key: "server.cors", why: "browsers are let in only from the origins of server.cors.origins" },
  { key: "server.write_timeout", why: "request_timeout_seconds and stall_timeout_seconds bound an answer" },
  { key: "server.*", why: "no setting of the server here" },
  { key: "proxy.retry", why: noEffect },
  { key: "proxy.max_retries", why: noEffect },
  { key: "proxy.retry_backoff", why: noEffect },
  { key: "proxy.tls_handshake_timeout", why: "connect_timeout_seconds counts until TLS is agreed" },
  {
    key: "proxy.sticky_sessions",
    why: "conversations stay by themselves where their prompts are cached; see routing.affinity"
  },
  { key: "proxy.*", why: "no setting here: answers are always passed on as they come" },
  { key: "discovery.static.endpoints[].health_check_url", why: builtIn },
  { key: "discovery.static.endpoints[].model_url", why: builtIn },
  { key: "discovery.static.endpoints[].model_filter", why: "all models of a backend are used" },
  { key: "discovery.static.endpoints[].headers", why: "no headers of your own are sent to backends" },
  { key: "discovery.static.endpoints[].*", why: "no setting of a backend here" },
  {
    key: "discovery.model_discovery",
    why: "models are listed with every probe, see health_check.interval_seconds"
  },
  { key: "discovery.health_check", why: "backends are probed as soon as Nexus starts" },
  { key: "discovery.*", why: "no setting here: backends are named in the file, or found by their ports" },
  { key: "model_registry", why: "a model is the name its server lists; requests go to servers that list it" },
  { key: "translators", why: "all dialects are served, and translated where a backend does not speak them" },
  { key: "logging.output", why: "the log goes to standard error" },
  { key: "dashboard", why: "the live page is at /ui" },
  { key: "engineering", why: "no setting here" },
  { key: "*", why: "no section of Nexus" }
]
