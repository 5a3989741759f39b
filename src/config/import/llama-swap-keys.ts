/**
 * What becomes of llama-swap's settings: the table that the import goes by, and the documentation shows.
 */
import type { Format } from "./format.ts"

const noServers = "Nexus starts and stops no servers"
const noSwap = `${noServers}, so nothing is swapped, loaded or unloaded`
const asTheyCome = "requests are forwarded as they come: nothing is set, renamed or dropped in them"
const noTexts = "the list of models holds no such texts"
const connections = "connections are kept and watched by Nexus itself"
const log = "the log goes to standard error, as text or JSON; see logging.format"

/** What is carried over. */
export const llamaSwapMapped: Format["mapped"] = [
  {
    from: "models.*.proxy",
    to: "`backends[].url`; `${PORT}` counts from `startPort` as llama-swap counts; models with the same address are one backend"
  },
  { from: "models.*", to: "`[[backends.models]]`; the type of the backend is told from the command" },
  { from: "models.*.useModelName", to: "the id of the model; the name itself becomes an alias" },
  { from: "models.*.aliases", to: "`[routing.aliases]`" },
  { from: "models.*.concurrencyLimit", to: "`backends[].max_concurrent`" },
  {
    from: "models.*.timeouts.connect, responseHeader; the same of peers",
    to: "`connect_timeout_seconds`, `first_byte_timeout_seconds` of the backend"
  },
  {
    from: "models.*.capabilities.in, tools, context",
    to: "`[[backends.models]]`: `vision`, `tools`, `context_length`"
  },
  { from: "macros, models.*.macros", to: "written out where an address, a key or a name uses them" },
  { from: "peers.*.proxy, apiKey, models", to: "`[[backends]]`; `peer/model` becomes an alias" },
  { from: "selectors.*.targets", to: "an alias for the first, and `[routing.fallbacks]` for the others" },
  { from: "apiKeys", to: "`[[auth.keys]]` with `env`" },
  { from: "logLevel, logRequests", to: "`logging.level`, `logging.access_log`" }
]

/** What is not, and why. */
export const llamaSwapUnsupported: Format["unsupported"] = [
  { key: "models.*.cmd", why: `${noServers}: start it yourself, or keep llama-swap as a backend` },
  { key: "models.*.cmdStop", why: noServers },
  { key: "models.*.env", why: noServers },
  { key: "models.*.ttl", why: noSwap },
  { key: "models.*.unloadTimeout", why: noSwap },
  { key: "models.*.checkEndpoint", why: "how a server is probed is known from its type" },
  { key: "models.*.filters", why: asTheyCome },
  { key: "models.*.unlisted", why: "all models are listed" },
  { key: "models.*.name", why: noTexts },
  { key: "models.*.description", why: noTexts },
  { key: "models.*.metadata", why: noTexts },
  { key: "models.*.macros.*", why: "used in nothing that is carried over" },
  {
    key: "models.*.capabilities.*",
    why: "the abilities told apart are vision, tools, JSON mode and embeddings"
  },
  { key: "models.*.timeouts.*", why: connections },
  { key: "models.*.concurrencyLimit", why: "0 is no limit, and a limit counts for a whole server" },
  { key: "models.*.*", why: "no setting of a model here" },
  { key: "peers.*.filters", why: asTheyCome },
  { key: "peers.*.timeouts.*", why: connections },
  { key: "peers.*.*", why: "no setting of a backend here" },
  { key: "selectors.*.strategy", why: "the first target answers, and the others when it cannot" },
  { key: "selectors.*.*", why: "no setting of an alias here" },
  { key: "macros.*", why: "used in nothing that is carried over" },
  { key: "groups", why: noSwap },
  { key: "matrix", why: noSwap },
  { key: "routing", why: noSwap },
  { key: "hooks", why: noSwap },
  { key: "healthCheckTimeout", why: noSwap },
  { key: "globalTTL", why: noSwap },
  { key: "unloadTimeout", why: noSwap },
  { key: "startPort", why: "no address counts from it" },
  { key: "profiles", why: "aliases are those of the file; nothing switches them" },
  { key: "sendLoadingState", why: "answers are passed on as they come" },
  { key: "logTimeFormat", why: log },
  { key: "logToStdout", why: log },
  { key: "*", why: "no section of Nexus" }
]
