/**
 * The keys of clients in nexus.toml.
 */
import * as Schema from "effect/Schema"
import { priorityClasses } from "../domain/request.ts"
import { maybe, or, rateLimits, zones } from "./schema-parts.ts"

const digest = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{64}$/u, { expected: "64 lower-case hexadecimal digits (a SHA-256 digest)" })
)

const moment = Schema.NonEmptyString

const AuthKey = Schema.Struct({
  name: Schema.NonEmptyString.annotate({ description: "Name of the key in logs" }),
  sha256: maybe(digest, "SHA-256 digest of the key, as `nexus keys new` prints it"),
  env: maybe(Schema.NonEmptyString, "Environment variable that holds the key itself"),
  key_file: maybe(Schema.NonEmptyString, "File that holds the key itself"),
  key: maybe(
    Schema.NonEmptyString,
    "The key itself: taken by its digest at once, and never shown; everybody who may read the file has it"
  ),
  previous_sha256: maybe(
    digest,
    "SHA-256 digest of the key before it, which is good until previous_until, so that clients can change over"
  ),
  previous_until: maybe(moment, "When the key before it ends"),
  owner: maybe(Schema.NonEmptyString, "Whose it is: a person or a team, in usage and limits"),
  labels: maybe(Schema.Record(Schema.String, Schema.String), "What else is to be known of it, in usage"),
  models: maybe(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    "Models, aliases and groups that it may ask for; * is any text and ? one character; all when absent"
  ),
  backends: maybe(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    "Backends that may answer it; * and ? as above; all when absent"
  ),
  zones: maybe(zones, "Zones that its requests may go to, such as local and lan; any when absent"),
  not_before: maybe(moment, "When it begins to be good: a day, or a moment, in UTC where no zone is told"),
  expires: maybe(moment, "When it ends, written alike"),
  networks: maybe(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    "Networks that it may come from, such as 10.0.0.0/8 or fd00::/8: by the address that connects, which is a proxy's behind one"
  ),
  ...rateLimits(" with this key"),
  metrics: or(Schema.Boolean, false, "Is for /metrics alone"),
  admin: or(Schema.Boolean, false, "May administer the gateway from other machines as well"),
  priority: or(
    Schema.Literals(priorityClasses),
    "normal",
    "Class of its requests while they wait for a slot; x-nexus-priority may lower it for one request"
  )
})

/** Who may use the gateway. */
export const Auth = Schema.Struct({
  keys: or(Schema.Array(AuthKey), [], "Keys that clients must send as `Authorization: Bearer …`; none means open"),
  store: maybe(
    Schema.NonEmptyString,
    "File (SQLite) for further keys, which `nexus keys` makes and revokes while the gateway runs; below the directory of this file, and made where there is none. With it nobody gets in without a key, be there none yet"
  )
})

/** How much may be asked. */
export const RateSettings = Schema.Struct({
  ...rateLimits(" with each key that says nothing else of it"),
  owners: or(
    Schema.Array(
      Schema.Struct({
        name: Schema.NonEmptyString.annotate({
          description:
            "The owner in [[auth.keys]]; * and ? as there, each owner counted by itself; the first that is meant counts"
        }),
        ...rateLimits(" of all keys of this owner")
      })
    ),
    [],
    "Limits of owners, for all of their keys together"
  )
})
