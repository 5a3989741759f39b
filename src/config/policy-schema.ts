/**
 * How far the gateway goes: where servers are looked for, what may leave this machine, and what holds for requests by the names
 * of their models.
 */
import * as Schema from "effect/Schema"
import { cachedRequests } from "../domain/cache-policy.ts"
import { limit, maybe, or, rateLimits, seconds, zones } from "./schema-parts.ts"

/** How far the gateway goes, whatever asks for it. */
export const Privacy = Schema.Struct({
  mode: or(
    Schema.Literals(["open", "local-only"]),
    "open",
    "local-only connects to nothing beyond this machine and the networks below, whatever asks for it and whatever names lead to; open connects wherever backends are"
  ),
  networks: or(
    Schema.Array(Schema.String),
    [],
    "With local-only: networks beside this machine, such as 10.0.0.0/8; part of the loopback network takes the place of all of it"
  )
})

const Kubernetes = Schema.Struct({
  url: maybe(
    Schema.NonEmptyString,
    "Where the API of Kubernetes is asked, such as http://127.0.0.1:8001 (kubectl proxy); that of the cluster Nexus runs in when absent"
  ),
  token_file: maybe(
    Schema.NonEmptyString,
    "File with the token for it, read anew each time; that of the pod's service account when absent and url is as well"
  ),
  ca_file: maybe(
    Schema.NonEmptyString,
    "File with the authorities (PEM) that its certificate may come from; that of the pod's service account when absent and url is as well"
  ),
  namespace: maybe(
    Schema.NonEmptyString,
    "Namespace of Services that are named without one; that of the pod when absent, else default"
  )
})

/** Where servers are looked for. */
export const Discovery = Schema.Struct({
  enabled: or(
    Schema.Boolean,
    true,
    "Look for LLM servers on well-known ports of this machine, and wherever the keys below say; beside [[backends]] as well"
  ),
  interval_seconds: or(seconds(1, 86_400), 15, "Time between two looks"),
  hosts: or(
    Schema.Array(Schema.String),
    [],
    "Other machines to look at, such as gpu-box (on the well-known ports), box:9000 or [fd00::1]; 64 at most"
  ),
  grace_seconds: or(limit, 60, "Time that a found server may be away before it is taken out"),
  mdns: or(Schema.Boolean, false, "Find servers that announce themselves on the local network (mDNS)"),
  mdns_types: or(
    Schema.Array(Schema.String),
    [],
    "Service types to look for besides _ollama._tcp and _llm._tcp; 16 at most"
  ),
  mdns_interface: maybe(
    Schema.NonEmptyString,
    "Network interface for mDNS, by its name or IPv4 address; all but loopback when absent"
  ),
  announce: or(Schema.Boolean, false, "Announce Nexus itself on the local network, as _llm._tcp"),
  dns_servers: or(
    Schema.Array(Schema.String),
    [],
    'Where the names of backends with members = "dns" are asked for, such as 10.0.0.53 or 127.0.0.1:8600; the servers of the system (/etc/resolv.conf) when empty'
  ),
  kubernetes: or(Kubernetes, {}, 'Where Services are asked for of backends with members = "kubernetes"')
})

/** How much of answers is kept to be given again. */
export const Cache = Schema.Struct({
  max_mb: or(
    seconds(0.001, 65_536),
    64,
    "Answers kept at a time, in MB; those that were not asked for longest go first"
  ),
  max_answer_mb: or(seconds(0.001, 1024), 1, "Largest answer that is kept, in MB"),
  store: or(
    Schema.Literals(["memory", "shared"]),
    "memory",
    "Where answers are kept: memory of each process, or shared, the store of [cluster], where all replicas find them"
  )
})

/** Prompts and answers that are stored. */
export const Capture = Schema.Struct({
  keys: or(
    Schema.Array(Schema.NonEmptyString),
    [],
    "Names of the keys whose prompts and answers are stored, with * and ?; none by default"
  ),
  models: or(
    Schema.Array(Schema.NonEmptyString),
    [],
    "Models whose prompts and answers are stored, by any name that leads to them, with * and ?; none by default"
  ),
  path: or(
    Schema.NonEmptyString,
    "nexus-captures.sqlite",
    "The file that they are stored in (SQLite), sealed (AES-256-GCM); below the directory of this file, and made where there is none"
  ),
  key_env: maybe(
    Schema.NonEmptyString,
    "Environment variable that holds the key that they are sealed with: 32 bytes in base64 or hexadecimal"
  ),
  key_file: maybe(Schema.NonEmptyString, "File that holds that key"),
  max_mb: or(seconds(0.01, 1_048_576), 256, "How much is stored, in MB; the oldest go first"),
  retention_days: or(seconds(0.001, 36_500), 7, "How long they are stored")
})

/** An entry of `[[models]]`. */
export const ModelPolicy = Schema.Struct({
  name: Schema.NonEmptyString.annotate({
    description: "Alias, group or model; * is any text, ? one character"
  }),
  ...rateLimits(" for this model, each model that is meant by itself"),
  cache_seconds: maybe(
    limit,
    "How long an answer is given again to the very same request, in place of asking anybody; the shortest of all that match counts, and 0 keeps nothing; nothing is kept when absent"
  ),
  cache_requests: or(
    Schema.Literals(cachedRequests),
    "all",
    "Whose answers are kept: of all requests, or deterministic: those alone that ask for the likeliest answer (a temperature of 0, or a top_k of 1), and vectors"
  ),
  cache_shared: or(Schema.Boolean, false, "Give what one key has got to others as well"),
  zones: maybe(zones, "Zones that requests for it may go to, fallbacks included; any when absent")
})
