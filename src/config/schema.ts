/**
 * The whole of nexus.toml as one Schema: every key, default and bound lives here and nowhere else.
 */
import * as Schema from "effect/Schema"
import { backendTypes, kindNamed, plainType } from "../backend/all.ts"
import { memberSources } from "../backend/followed.ts"
import { dialectIds, nativeRules } from "../backend/speech.ts"
import { livePageModes, modelChangers } from "../domain/server.ts"
import { strategies } from "../domain/routing.ts"
import { Auth, RateSettings } from "./auth-schema.ts"
import { Cluster } from "./cluster-schema.ts"
import { Cache, Capture, Discovery, ModelPolicy, Privacy } from "./policy-schema.ts"
import { HookEntry } from "./hook-schema.ts"
import { RouteEntry } from "./route-schema.ts"
import { BudgetEntry, PriceEntry, UsageSection } from "./usage-schema.ts"
import {
  formed,
  limit,
  maybe,
  or,
  plainName,
  seconds,
  share,
  tlsFiles,
  weightParts,
  whole,
  zone
} from "./schema-parts.ts"
import { Logging, Telemetry } from "./telemetry-schema.ts"

const Cors = Schema.Struct({
  origins: or(
    Schema.Array(Schema.String),
    [],
    "Browser origins that may call Nexus, such as https://chat.example; none by default"
  )
})

const Server = Schema.Struct({
  host: or(Schema.NonEmptyString, "127.0.0.1", "Address to listen on"),
  port: or(whole(0, 65_535), 8000, "Port to listen on; 0 takes any free one"),
  workers: or(whole(0, 64), 1, "Processes that share the port (Linux); 0 is one for each core"),
  wire: or(
    Schema.Literals(["bun", "own"]),
    "bun",
    "What speaks HTTP with clients: Bun's server, or the stricter one of Nexus' own, which is experimental"
  ),
  insecure: or(Schema.Boolean, false, "Allow an address beyond loopback without [auth] keys"),
  allowed_hosts: or(
    Schema.Array(Schema.String),
    [],
    "Host names accepted on loopback besides localhost, 127.0.0.1 and [::1]; *.ts.net is every name below ts.net"
  ),
  trusted_proxies: or(
    Schema.Array(Schema.NonEmptyString),
    [],
    "Networks of proxies in front, such as 10.0.0.0/8, whose X-Forwarded-For is believed: a client's address is then the last one in it that is none of theirs"
  ),
  request_timeout_seconds: or(
    limit,
    300,
    "Total time of a request, from its arrival to the end of the answer; 0 is no limit"
  ),
  connect_timeout_seconds: or(
    limit,
    5,
    "Time to connect to a backend, TLS included, and for one on a kept connection to take what is sent"
  ),
  dns_refresh_seconds: or(
    limit,
    30,
    "Longest time that the addresses of a backend's name are relied on; a failed connection has them looked up at once"
  ),
  first_byte_timeout_seconds: maybe(limit, "Time from an attempt's start to the answer's head; the total when absent"),
  idle_timeout_seconds: or(
    limit,
    120,
    "Longest silence of a backend in the middle of an answer; comments are silence; 0 is no limit"
  ),
  upload_timeout_seconds: or(limit, 60, "Time for a client to send its request body; 0 is no limit"),
  stall_timeout_seconds: or(
    limit,
    60,
    "Longest time a client may take nothing of an answer that waits for it; 0 is no limit"
  ),
  shutdown_delay_seconds: or(
    limit,
    0,
    "Time after SIGTERM for which Nexus serves on, not ready any more, so that a balancer notices; the grace begins after it"
  ),
  keepalive_after_seconds: or(
    limit,
    0,
    "Longest silence before the client of a stream is sent its status, 200, and comments until the answer begins; 0 sends nothing before it"
  ),
  shutdown_grace_seconds: or(limit, 30, "Time that requests get to finish after SIGTERM, SIGINT or SIGQUIT"),
  max_body_mb: or(seconds(0.001, 1024), 50, "Largest request body, in MB (1,048,576 bytes)"),
  max_streamed_mb: or(
    seconds(0.001, 1_048_576),
    1024,
    "Largest request body that is passed on while it comes and not held (forms with files, files), in MB; up to max_body_mb of a form is held while its field `model` has not come"
  ),
  backend_paths: or(
    Schema.Boolean,
    false,
    "Pass /backend/NAME/… on to that backend with its key, whatever the path and method: whoever may ask may then do there whatever the key allows"
  ),
  model_changes: or(
    Schema.Literals(modelChangers),
    "admins",
    "Who may have an Ollama pull, push, create, copy or delete models: admins (a key with admin = true; without [auth] keys this machine, through no proxy), clients (whoever may ask) or never"
  ),
  max_answer_mb: or(
    seconds(0.001, 1024),
    10,
    "Largest answer that is held back and checked before it is sent, in MB; a larger one is passed on as it comes, and so is one above 64 KB while 16 MB of others are held"
  ),
  max_realtime_sessions: or(whole(0, 60_000), 100, "Realtime sessions (WebSockets) at a time; further ones get 429"),
  realtime_idle_timeout_seconds: or(
    limit,
    600,
    "Longest silence of a realtime session, in both directions; 0 is no limit"
  ),
  max_concurrent_requests: or(
    whole(1, 60_000),
    1000,
    "Requests handled at a time, counted once their bodies are there; further ones get 429"
  ),
  max_concurrent_uploads: maybe(
    whole(1, 60_000),
    "Request bodies on their way in at a time; further ones that are not there within a second get 429; as many as max_concurrent_requests when absent"
  ),
  max_uploads_mb: maybe(
    seconds(0.001, 1_048_576),
    "Request bodies held at a time, until they are answered, all together in MB; those up to 64 KB do not count; further ones get 429; a quarter of the memory of the container or machine when absent"
  ),
  upload_share_percent: or(
    whole(1, 100),
    50,
    "Part of max_concurrent_uploads and max_uploads_mb that one client address may take; 100 behind a proxy that is the only client and none of trusted_proxies"
  ),
  watch_config: or(Schema.Boolean, true, "Take over this file, and key files it names, when they change"),
  cors: or(Cors, {}, "Browser access")
})

const Admin = Schema.Struct({
  listen: maybe(
    Schema.NonEmptyString,
    "Where the administration (/admin/v1) listens instead: host:port, or the whole path of a Unix socket that this user alone may open; on the gateway's own port when absent"
  ),
  live_page: or(
    Schema.Literals(livePageModes),
    "on",
    "The live page at /ui: on, read_only (it may look and ask models, and change nothing) or off"
  )
})

const HealthCheck = Schema.Struct({
  enabled: or(
    Schema.Boolean,
    true,
    "Probe the backends; when off, each is probed once at start for its models and then taken to be healthy"
  ),
  interval_seconds: or(seconds(0.05, 86_400), 30, "Time between two probes of a backend"),
  timeout_seconds: or(seconds(0.01, 3600), 5, "Time a probe may take"),
  failure_threshold: or(whole(1, 1000), 3, "Failed probes in a row that make a backend unhealthy"),
  recovery_threshold: or(whole(1, 1000), 2, "Good probes in a row that make it healthy again")
})

const Hedge = Schema.Struct({
  models: or(
    Schema.Array(Schema.NonEmptyString),
    [],
    "Models, aliases and groups whose streams are asked of a second backend as well when the first token is late; the first to speak is kept, the other is closed"
  ),
  max_share: or(share, 0.05, "Most of the requests for a model that may be asked twice, as a part of its last 1000"),
  min_wait_seconds: or(
    limit,
    0.05,
    "How much longer than twice its usual time a first token takes at least before it is late; it is also later than 95 % of the last ones"
  ),
  clouds: or(Schema.Boolean, false, "Ask cloud backends as the second one too, which take money for both")
})

const Routing = Schema.Struct({
  strategy: or(Schema.Literals(strategies), "smart", "How candidates are ordered"),
  max_retries: or(whole(0, 10), 2, "Further attempts after the first"),
  weights: or(weightParts, {}, "What matters to the smart strategy; any subset, only proportions count"),
  affinity: or(
    Schema.Boolean,
    true,
    "Let the smart strategy weigh which server has read the beginning of a prompt before, and so need not read it again"
  ),
  slot_pinning: or(
    Schema.Boolean,
    true,
    "With affinity, name the slot that is to take a request to llama-servers, as long as that shows to keep conversations cached"
  ),
  session_headers: or(
    Schema.Array(Schema.NonEmptyString),
    ["x-claude-code-session-id", "session-id", "thread-id", "x-session-affinity"],
    "Headers of clients that tell their conversations apart, the first that is there counts; beside them the field prompt_cache_key"
  ),
  strip_prefixes: or(
    Schema.Boolean,
    true,
    "Take openai/gpt-4o for gpt-4o where the whole name is nobody's and the plain one is somebody's"
  ),
  model_suffixes: or(
    Schema.Boolean,
    true,
    "Take model:nitro, :free, :online and OpenRouter's other suffixes for model where the whole name is nobody's"
  ),
  keep_warm: or(
    Schema.Array(Schema.NonEmptyString),
    [],
    "Models that are loaded at start and again when they are found not to be, as model@backend; where the kind of the backend can load models"
  ),
  list_aliases: or(Schema.Boolean, true, "List aliases and groups in /v1/models; they work all the same"),
  aliases: or(
    Schema.Record(Schema.String, Schema.NonEmptyString),
    {},
    "Name a client uses = model it stands for (3 hops at most)"
  ),
  groups: or(
    Schema.Record(Schema.String, Schema.NonEmptyArray(Schema.NonEmptyString)),
    {},
    "Name a client uses = models it stands for all together, each at any backend, or at one (model@backend)"
  ),
  fallbacks: or(
    Schema.Record(Schema.String, Schema.Array(Schema.NonEmptyString)),
    {},
    "Model = models that may answer in its place, in order"
  ),
  hedge: or(Hedge, {}, "A second backend for a first token that is late")
})

const Queue = Schema.Struct({
  enabled: or(
    Schema.Boolean,
    true,
    "Let requests wait in Nexus for a slot while every backend of their model has all it works on at once; when off they get 429, or wait inside of the backend"
  ),
  max_queue: or(whole(1, 60_000), 1000, "Requests of one model that wait at a time; further ones get 429"),
  queue_timeout_seconds: or(
    limit,
    300,
    "Longest time that a request waits for a slot; one that cannot be expected to have one by then gets 429 at once; 0 is no limit"
  )
})

const homes = backendTypes.filter((type) => kindNamed(type).home !== undefined).join(", ")

const option = Schema.Union([Schema.Finite, Schema.Boolean, Schema.String, Schema.Array(Schema.String)])

/** What an Ollama is told with each request, of all models or of one. */
const tuning = {
  options: maybe(
    Schema.Record(Schema.String, option),
    "Options sent with each request where the client has none of its own, such as num_ctx, for backends of type ollama"
  ),
  keep_alive: maybe(
    Schema.Union([Schema.Finite, Schema.NonEmptyString]),
    "How long a model stays in memory that nobody asks, such as 30m or -1, for backends of type ollama"
  ),
  max_num_ctx: maybe(
    whole(1, 1_000_000_000),
    "Largest context that a model is loaded with, in tokens: options.num_ctx is doubled as often as a prompt needs it, for backends of type ollama"
  )
}

const slots = whole(1, 60_000)

const BackendModel = Schema.Struct({
  id: Schema.NonEmptyString.annotate({ description: "Model name as the backend knows it" }),
  context_length: maybe(whole(1, 1_000_000_000), "Usable context in tokens"),
  max_output_tokens: maybe(
    whole(1, 1_000_000_000),
    "Most tokens of an answer: what a backend that wants a limit is told for clients that set none"
  ),
  slots: maybe(slots, "Requests that the backend works on at once for this model; as the backend has it when absent"),
  vision: maybe(Schema.Boolean, "Takes images"),
  tools: maybe(Schema.Boolean, "Calls tools"),
  json_mode: maybe(Schema.Boolean, "Keeps to JSON when asked"),
  embeddings: maybe(Schema.Boolean, "Makes embeddings"),
  ...tuning
})

const BackendEntry = Schema.Struct({
  name: plainName.annotate({ description: "Identity of the backend in headers, logs and commands" }),
  url: maybe(
    Schema.NonEmptyString,
    `Base URL as its provider gives it: with or without a trailing / or /v1, and with the query that belongs to every call; not needed for ${homes}, which have one`
  ),
  type: or(Schema.Literals(backendTypes), plainType, "What kind of server it is"),
  members: maybe(
    Schema.Literals(memberSources),
    "Make each server behind the name in url a backend of its own with these settings, and follow them: dns by the addresses of the name (and by SRV records where it begins as in _http._tcp.vllm.example), kubernetes by the EndpointSlices of the Service it names; one backend when absent"
  ),
  zone: maybe(
    zone,
    "How far away it is: local (this machine), lan (private networks), cloud, or a name of your own; by its type and its address when absent"
  ),
  priority: or(whole(0, 1_000_000), 50, "Lower is preferred"),
  api_key_env: maybe(Schema.NonEmptyString, "Environment variable that holds the key for this backend"),
  api_key_file: maybe(Schema.NonEmptyString, "File that holds the key for this backend"),
  ...tlsFiles,
  insecure_skip_verify: or(
    Schema.Boolean,
    false,
    "Take any certificate: whoever sits in between can read and change everything, the key included"
  ),
  user_agent: maybe(
    formed(
      /^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$/u,
      "1 to 200 printable ASCII characters, no blank at the ends"
    ),
    "What Nexus calls itself to this backend (`User-Agent`); nexus/VERSION when absent"
  ),
  forward_authorization: or(Schema.Boolean, false, "Send the client's own Authorization header on to this backend"),
  native: or(
    Schema.Literals(nativeRules),
    "trusted",
    "Whether it is asked in its clients' own dialect where it has it: where it is known to do it well, always, or never; all else is translated"
  ),
  native_dialects: or(
    Schema.Array(Schema.Literals(dialectIds)),
    [],
    "Dialects in which it is asked natively though it is not known to do them well"
  ),
  collect: or(
    Schema.Boolean,
    false,
    "Ask for whole chat answers as streams and put them together, so that it stops at once when a client leaves (llama-server does not otherwise)"
  ),
  sort_tools: maybe(
    Schema.Boolean,
    "Tell it the tools of translated requests sorted by name, so that a client which changes their order does not make it read the prompt anew; where it is local when absent"
  ),
  wake: maybe(
    formed(/^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$/u, "12 hexadecimal digits, such as aa:bb:cc:dd:ee:ff"),
    "Address of its network card (MAC), by which it is woken over the network (Wake-on-LAN) when requests want it and it sleeps"
  ),
  wake_address: maybe(
    Schema.NonEmptyString,
    "Where the packet goes that wakes it: the broadcast address of its network, with another port than 9 if need be; 255.255.255.255 when absent, which leaves by the default route alone"
  ),
  wake_password_env: maybe(
    Schema.NonEmptyString,
    "Environment variable that holds the SecureOn password of its network card, written as an address is"
  ),
  wake_timeout_seconds: maybe(
    seconds(1, 3600),
    "Time that it gets to answer after it was woken, for which requests wait; 90 when absent"
  ),
  max_concurrent: maybe(whole(1, 60_000), "Requests it is given at a time; no limit when absent"),
  slots: maybe(
    slots,
    "Requests that it works on at once for each of its models, in place of what it tells of that or what is learned"
  ),
  request_timeout_seconds: maybe(limit, "As in [server], for this backend"),
  connect_timeout_seconds: maybe(limit, "As in [server], for this backend"),
  first_byte_timeout_seconds: maybe(limit, "As in [server], for this backend"),
  idle_timeout_seconds: maybe(limit, "As in [server], for this backend"),
  ...tuning,
  models: or(Schema.Array(BackendModel), [], "What is known of its models better than the backend says it")
})

/** The decoded settings; keys are spelled as in the file. */
export const Settings = Schema.Struct({
  server: or(Server, {}, "The HTTP endpoint"),
  auth: or(Auth, {}, "Who may use it"),
  limits: or(RateSettings, {}, "How much may be asked in a minute and at a time"),
  admin: or(Admin, {}, "Where it is administered"),
  cluster: or(Cluster, {}, "Several replicas of Nexus that act as one"),
  privacy: or(Privacy, {}, "What may leave this machine"),
  discovery: or(Discovery, {}, "Finding servers"),
  health_check: or(HealthCheck, {}, "Watching the backends"),
  routing: or(Routing, {}, "Choosing a backend"),
  queue: or(Queue, {}, "Waiting for a slot"),
  usage: or(UsageSection, {}, "What requests take, written down"),
  prices: or(Schema.Array(PriceEntry), [], "What models cost"),
  budgets: or(Schema.Array(BudgetEntry), [], "How much may be spent; all that applies to a request counts"),
  routes: or(
    Schema.Array(RouteEntry),
    [],
    "Rules for those requests that are to go elsewhere; the first that matches counts"
  ),
  capture: or(Capture, {}, "Prompts and answers that are stored, for those keys and models alone that are named here"),
  cache: or(Cache, {}, "Answers that are given again, for those models that say so"),
  hooks: or(
    Schema.Array(HookEntry),
    [],
    "Who judges and changes requests and answers outside of Nexus; all that are for a request are asked, in this order"
  ),
  models: or(
    Schema.Array(ModelPolicy),
    [],
    "What holds for requests by the names of their models; all that match count"
  ),
  backends: or(Schema.Array(BackendEntry), [], "The servers to route to"),
  logging: or(Logging, {}, "What is written to the log"),
  telemetry: or(Telemetry, {}, "Where traces and metrics are sent")
})

/** Type of {@link Settings}. */
export type Settings = typeof Settings.Type
