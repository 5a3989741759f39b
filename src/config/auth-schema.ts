/**
 * The keys of clients in nexus.toml.
 */
import * as Schema from "effect/Schema"
import { priorityClasses } from "../domain/request.ts"
import { formed, maybe, or, rateLimits, seconds, zones } from "./schema-parts.ts"

const digest = formed(/^[0-9a-f]{64}$/u, "64 lower-case hexadecimal digits (a SHA-256 digest)")

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
    "Networks that it may come from, such as 10.0.0.0/8 or fd00::/8: by the address that connects, or that one of server.trusted_proxies tells of"
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

const globs = Schema.NonEmptyArray(Schema.NonEmptyString)

const wantedClaims = Schema.Record(Schema.String, globs)

/** What a token lets do, as a key does. */
const tokenTerms = (of: string) => ({
  owner: maybe(Schema.NonEmptyString, `Whose ${of} are, in usage and limits, where no claim says so`),
  models: maybe(globs, `Models, aliases and groups that ${of} may ask for, as in [[auth.keys]]; all when absent`),
  backends: maybe(globs, `Backends that may answer ${of}; all when absent`),
  zones: maybe(zones, `Zones that requests with ${of} may go to; any when absent`),
  ...rateLimits(` with each name that ${of} bear`),
  metrics: maybe(Schema.Boolean, `Whether ${of} are for /metrics alone`),
  admin: maybe(Schema.Boolean, `Whether ${of} may administer the gateway from other machines as well`),
  priority: maybe(Schema.Literals(priorityClasses), `Class of requests with ${of} while they wait for a slot`)
})

/** Ways in which tokens may be signed: those alone where whoever checks cannot sign. */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] as const

const Issuer = Schema.Struct({
  name: formed(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/u,
    "1 to 32 letters, digits, dots, dashes and underscores, starting with a letter or digit"
  ).annotate({ description: "What it is called in names of keys: corp makes corp:alice" }),
  issuer: Schema.NonEmptyString.annotate({
    description: "Its own name for itself, letter for letter as its tokens have it in `iss`; most are an address"
  }),
  audience: Schema.NonEmptyArray(Schema.NonEmptyString).annotate({
    description: "Whom tokens have to be for (`aud`), one of these: what the issuer calls the gateway"
  }),
  jwks_url: maybe(
    Schema.NonEmptyString,
    "Address of its public keys (JWKS); when absent it is asked for it, at issuer + /.well-known/openid-configuration"
  ),
  jwks_file: maybe(Schema.NonEmptyString, "File with its public keys (JWKS): then it is never asked for anything"),
  ca_file: maybe(
    Schema.NonEmptyString,
    "File with the authorities (PEM) that its certificate may come from, in place of those of the system"
  ),
  algorithms: or(
    Schema.NonEmptyArray(Schema.Literals(algorithms)),
    ["RS256", "PS256", "ES256", "EdDSA"],
    "Ways in which its tokens may be signed"
  ),
  clock_tolerance_seconds: or(seconds(0, 300), 30, "How far its clock and that of this machine may be apart"),
  refresh_seconds: or(seconds(1, 86_400), 300, "How often its public keys are got anew"),
  keys_kept_hours: or(
    seconds(0.01, 8760),
    24,
    "How long the public keys that it gave last count while it cannot be reached"
  ),
  name_claim: or(Schema.NonEmptyString, "sub", "Claim that says whose a token is"),
  owner_claim: maybe(Schema.NonEmptyString, "Claim that names the owner, such as a team"),
  models_claim: maybe(
    Schema.NonEmptyString,
    "Claim with the models that a token may ask for, a list of globs; a token without it gets those of `models`, and nobody in where there are none"
  ),
  label_claims: or(
    Schema.Record(Schema.String, Schema.NonEmptyString),
    {},
    "Labels, each by the claim that it is taken from"
  ),
  required_claims: or(
    wantedClaims,
    {},
    "Claims that each have to hold one of these texts, such as a group; * and ? as above; one inside of another as realm_access.roles"
  ),
  ...tokenTerms("its tokens"),
  roles: or(
    Schema.Array(
      Schema.Struct({
        name: Schema.NonEmptyString.annotate({ description: "Name of the role in this file" }),
        claims: wantedClaims.annotate({ description: "Claims that its tokens have, as in required_claims" }),
        ...tokenTerms("tokens of the role")
      })
    ),
    [],
    "What some of its tokens let do in place of what all do; the first whose claims a token has counts"
  )
})

/** Who may use the gateway. */
export const Auth = Schema.Struct({
  keys: or(Schema.Array(AuthKey), [], "Keys that clients must send as `Authorization: Bearer …`; none means open"),
  issuers: or(
    Schema.Array(Issuer),
    [],
    "Issuers (OIDC) whose signed tokens (JWT) are taken as keys; with one nobody gets in without either"
  ),
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
