/**
 * Every metric that `/metrics` tells: its name with the unit in it, its labels, which are closed sets, and what it means.
 */
import { counter, gauge, type HistogramDefinition, type MetricDefinition } from "./metric-definition.ts"
import { shadowAlike, shadowPairs, shadows, shadowSeconds, shadowTokens } from "./shadow-metrics.ts"

/** Requests to the forwarded endpoints that have ended. */
export const requests = counter(
  "nexus_requests_total",
  "requests",
  ["endpoint", "model", "backend", "outcome", "status", "stream"],
  "Requests to the forwarded endpoints that have ended, whole answers and streams alike"
)

/** Requests refused before they were read. */
export const turnedAway = counter(
  "nexus_turned_away_total",
  "requests",
  ["code"],
  "Requests refused before anything of them was read: not let in, malformed, too many at a time, or stopping"
)

/** Calls to backends. */
export const attempts = counter(
  "nexus_attempts_total",
  "attempts",
  ["model", "backend", "outcome"],
  "Calls to backends that have ended; a request makes one, and one more each time it is tried again or asked of a second backend"
)

/** Requests that moved on. */
export const failovers = counter(
  "nexus_failovers_total",
  "failovers",
  ["model", "backend"],
  "Times that a request was tried again after its attempt at this backend had failed"
)

/** First tokens that were late. */
export const hedges = counter(
  "nexus_hedges_total",
  "requests",
  ["model", "backend", "outcome"],
  "Requests whose first token was late at this backend, so that a second one was asked beside it, or would have been (`routing.hedge`)"
)

/** Tokens by what backends say. */
export const tokens = counter(
  "nexus_tokens_total",
  "tokens",
  ["model", "backend", "kind"],
  "Tokens as backends tell them in the usage of their answers; answers without usage are not counted"
)

/** From arrival to the end of the answer. */
export const requestSeconds: HistogramDefinition = {
  name: "nexus_request_duration_seconds",
  kind: "histogram",
  unit: "seconds",
  labels: ["model", "backend"],
  meaning: "Time from the arrival of a request to the end of its answer",
  bounds: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600]
}

/** From arrival to the first event of a stream. */
export const firstTokenSeconds: HistogramDefinition = {
  name: "nexus_time_to_first_token_seconds",
  kind: "histogram",
  unit: "seconds",
  labels: ["model", "backend"],
  meaning:
    "Time from the arrival of a request for a stream to the first event of its answer, earlier attempts included",
  bounds: [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 1.5, 2.5, 4, 6, 10, 20, 60]
}

/** Between two pieces of a stream. */
export const gapSeconds: HistogramDefinition = {
  name: "nexus_time_between_tokens_seconds",
  kind: "histogram",
  unit: "seconds",
  labels: ["model", "backend"],
  meaning:
    "Time between two pieces of an event stream as they come from the backend; most backends send a token a piece",
  bounds: [0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
}

/** The gateway's own time. */
export const overheadSeconds: HistogramDefinition = {
  name: "nexus_gateway_overhead_seconds",
  kind: "histogram",
  unit: "seconds",
  labels: [],
  meaning:
    "Time from the arrival of a request to the start of its answer that was spent neither on waiting for the client to send it nor in a call to a backend",
  bounds: [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1]
}

/** Requests under way. */
export const inFlight = gauge(
  "nexus_requests_in_flight",
  "requests",
  [],
  "Requests to the forwarded endpoints that are under way"
)

/** Requests under way at one backend. */
export const backendInFlight = gauge(
  "nexus_backend_requests_in_flight",
  "requests",
  ["backend"],
  "Requests that are under way at a backend"
)

/** Streams under way. */
export const openStreams = gauge("nexus_open_streams", "streams", [], "Event streams that have begun and not ended")

/** Requests that wait for a slot. */
export const queued = gauge(
  "nexus_queued_requests",
  "requests",
  ["model", "class"],
  "Requests that wait in Nexus for a slot of a backend"
)

/** How long they waited. */
export const queueSeconds: HistogramDefinition = {
  name: "nexus_queue_wait_seconds",
  kind: "histogram",
  unit: "seconds",
  labels: ["model", "class"],
  meaning:
    "Time that requests waited for a slot, of those that had to: until they had one, were refused, or their client left",
  bounds: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600]
}

/** How backends stand. */
export const backendState = gauge(
  "nexus_backend_state",
  "1 or 0",
  ["backend", "state"],
  "1 for the state a backend is in, 0 for the others"
)

/** Models with open circuits. */
export const openCircuits = gauge(
  "nexus_backend_open_circuits",
  "models",
  ["backend"],
  "Models of a backend that are left out because its last answers for them failed"
)

/** Models that backends list. */
export const backendModels = gauge("nexus_backend_models", "models", ["backend"], "Models that a backend lists")

/** What backends work on at once. */
export const backendSlots = gauge(
  "nexus_backend_slots",
  "requests",
  ["backend", "model"],
  "Requests that a backend works on at once for a model, as the config, the backend or what it does tells; absent where nothing does"
)

/** How long probes take. */
export const probeSeconds = gauge(
  "nexus_backend_probe_latency_seconds",
  "seconds",
  ["backend"],
  "How long the last good probe of a backend took; absent before the first one"
)

/** Memory of each process. */
export const memory = gauge(
  "nexus_process_resident_memory_bytes",
  "bytes",
  ["worker"],
  "Memory of a process that answers requests"
)

/** Processor time of each process. */
export const cpuSeconds = counter(
  "nexus_process_cpu_seconds_total",
  "seconds",
  ["worker"],
  "Processor time of a process that answers requests"
)

/** Whether the store of replicas answers. */
export const storeConnected = gauge(
  "nexus_shared_store_connected",
  "1",
  [],
  "1 while the Valkey or Redis that replicas share answers, else 0; absent without `[cluster]`"
)

/** How often it did not. */
export const storeLosses = counter(
  "nexus_shared_store_losses_total",
  "losses",
  [],
  "How often the Valkey or Redis that replicas share went away; absent without `[cluster]`"
)

/** How many gateways act as one. */
export const replicas = gauge(
  "nexus_replicas",
  "gateways",
  [],
  "Gateways that act as one now, this one among them, as it knows of them; absent without `[cluster]`"
)

/** Age of the gateway. */
export const uptimeSeconds = gauge("nexus_uptime_seconds", "seconds", [], "Time since the gateway began")

/** What is running. */
export const build = gauge("nexus_build_info", "1", ["version"], "Always 1; its label says what is running")

/** Requests by rules. */
export const ruleRequests = counter(
  "nexus_rule_requests_total",
  "requests",
  ["rule", "side"],
  "Requests that went by a rule of the route table, on its usual side or as its canary"
)

/** What a receiver of telemetry did not take. */
export const telemetryDropped = counter(
  "nexus_telemetry_dropped_total",
  "losses",
  ["signal"],
  "Requests whose traces, and sendings of metrics that, the receiver of `[telemetry.otlp]` did not take in time; absent while there was none"
)

/** What `traces_per_second` has left out. */
export const tracesUnsampled = counter(
  "nexus_traces_unsampled_total",
  "requests",
  [],
  "Requests that are not traced since there were more than `traces_per_second` of `[telemetry.otlp]` allows; absent while there was none"
)

/** Money by what requests cost. */
export const cost = counter(
  "nexus_cost_dollars_total",
  "dollars",
  ["model", "backend"],
  "Dollars that requests cost, as they are written down (`[usage]`); copies by rules and what has no known price are left out"
)

/** What the ledger could not take. */
export const usageLost = counter(
  "nexus_usage_lost_total",
  "records",
  [],
  "Records of usage that were given up, since the file could not be written for too long; absent while there was none"
)

/** Requests whose answers may be given again. */
export const cacheLookups = counter(
  "nexus_cache_lookups_total",
  "requests",
  ["name", "cache"],
  "Requests for models with `cache_seconds`: answered by what was kept, or not"
)

/** Prompts and answers that were to be stored. */
export const captures = counter(
  "nexus_captures_total",
  "requests",
  ["outcome"],
  "Requests for `[capture]`: `stored`, or `refused` since too many waited to be stored, one was too large, or the file could not be written"
)

/** How much of them was stored. */
export const capturedBytes = counter(
  "nexus_captured_bytes_total",
  "bytes",
  [],
  "What was stored of prompts and answers, sealed; what has made room since is not taken off"
)

/** Keys that are nobody's. */
export const failedTries = counter(
  "nexus_failed_tries_total",
  "tries",
  [],
  "Wrong keys and tokens that nobody has signed; one that an address sends again and again counts once"
)

/** Requests that are held up for them. */
export const slowedRequests = counter(
  "nexus_slowed_requests_total",
  "requests",
  [],
  "Requests that waited since their address had tried wrong keys, good ones among them"
)

/** Calls of hooks. */
export const hookCalls = counter(
  "nexus_hook_calls_total",
  "calls",
  ["hook", "phase", "outcome"],
  "What hooks have made of requests and answers: `allow`, `replace`, `block`, `failed` (no good answer of the hook) or `unseen` (it could not be shown, and went on)"
)

/** The time of hooks. */
export const hookSeconds = counter(
  "nexus_hook_seconds_total",
  "seconds",
  ["hook", "phase"],
  "Time that requests and answers have waited for hooks"
)

/** What the ledger has not written yet. */
export const usageWaiting = gauge(
  "nexus_usage_waiting_records",
  "records",
  ["worker"],
  "Records of usage that wait to be written; absent without `[usage]`"
)

/** Whether it cannot write. */
export const usageFailing = gauge(
  "nexus_usage_failing",
  "1 or 0",
  ["worker"],
  "1 while the file of usage cannot be written; absent without `[usage]`"
)

/** What was spent. */
export const budgetSpent = gauge(
  "nexus_budget_spent_dollars",
  "dollars",
  ["budget", "of"],
  "Dollars that were spent of a budget in the period that runs, as the ledger has it; it begins anew with each period"
)

/** What may be. */
export const budgetLimit = gauge(
  "nexus_budget_limit_dollars",
  "dollars",
  ["budget", "limit"],
  "Dollars that may be spent of a budget in a period, by each who has a part of their own"
)

/** What limits are. */
export const limitAllowed = gauge(
  "nexus_limit_allowed",
  "requests or tokens",
  ["scope", "of", "quota"],
  "What a limit of a key, an owner or a model allows: requests or tokens in a minute, or requests at a time"
)

/** What is taken of them. */
export const limitTaken = gauge(
  "nexus_limit_taken",
  "requests or tokens",
  ["scope", "of", "quota"],
  "What is taken of a limit now: of a minute's requests or tokens what has not come back yet (it comes back evenly), or the requests under way. More is refused where it reaches what is allowed. Of workers, each of which has a part of the limit, as the fullest of them has it; of `[cluster]` that of all replicas, absent while their store is away"
)

/** All metrics, in the order in which they are told. */
export const metrics: ReadonlyArray<MetricDefinition | HistogramDefinition> = [
  requests,
  turnedAway,
  attempts,
  failovers,
  hedges,
  tokens,
  ruleRequests,
  shadows,
  shadowPairs,
  shadowAlike,
  shadowSeconds,
  shadowTokens,
  telemetryDropped,
  tracesUnsampled,
  cost,
  usageLost,
  cacheLookups,
  captures,
  capturedBytes,
  failedTries,
  slowedRequests,
  hookCalls,
  hookSeconds,
  usageWaiting,
  usageFailing,
  budgetSpent,
  budgetLimit,
  limitAllowed,
  limitTaken,
  requestSeconds,
  firstTokenSeconds,
  gapSeconds,
  overheadSeconds,
  queueSeconds,
  inFlight,
  backendInFlight,
  openStreams,
  queued,
  backendState,
  openCircuits,
  backendModels,
  backendSlots,
  probeSeconds,
  memory,
  cpuSeconds,
  storeConnected,
  storeLosses,
  replicas,
  uptimeSeconds,
  build
]
