/**
 * The section of nexus.toml that is about replicas which act as one.
 */
import * as Schema from "effect/Schema"
import { maybe, or, plainName, tlsFiles } from "./schema-parts.ts"

/** What becomes of requests under limits or hard budgets while the store is away. */
export const awayRules = ["count_locally", "refuse"] as const

/** The section. */
export const Cluster = Schema.Struct({
  url: maybe(
    Schema.NonEmptyString,
    "The Valkey or Redis that replicas share limits, budgets, usage and keys through, such as redis://valkey:6379 or rediss://user@valkey:6380/1 (TLS); a single gateway when absent"
  ),
  password_env: maybe(Schema.NonEmptyString, "Environment variable that holds the password for it"),
  password_file: maybe(Schema.NonEmptyString, "File that holds the password for it"),
  ...tlsFiles,
  insecure_skip_verify: or(
    Schema.Boolean,
    false,
    "Take any certificate of it: whoever sits in between can read and change everything"
  ),
  name: or(
    plainName,
    "nexus",
    "What all replicas that belong together call what they keep there: others may use the same server under another name"
  ),
  replica_name: maybe(Schema.NonEmptyString, "What this replica is called; the name of its machine when absent"),
  when_away: or(
    Schema.Literals(awayRules),
    "count_locally",
    "What becomes of requests under limits or hard budgets while it does not answer: each replica counts its share of what was left, or they are refused"
  )
})
