/**
 * The contract of the endpoints that make, list and revoke keys of clients.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { LimitUse } from "../domain/limit-use.ts"
import { priorityClasses } from "../domain/request.ts"
import { zoneName } from "../domain/zones.ts"
import { Refusal } from "./refusal.ts"

const globs = Schema.NonEmptyArray(Schema.NonEmptyString)

const amount = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000 }))

const terms = {
  name: Schema.NonEmptyString,
  owner: Schema.optionalKey(Schema.NonEmptyString),
  labels: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  models: Schema.optionalKey(globs),
  backends: Schema.optionalKey(globs),
  networks: Schema.optionalKey(globs),
  zones: Schema.optionalKey(Schema.NonEmptyArray(Schema.String.check(Schema.isPattern(zoneName)))),
  priority: Schema.optionalKey(Schema.Literals(priorityClasses)),
  requests_per_minute: Schema.optionalKey(amount),
  tokens_per_minute: Schema.optionalKey(amount),
  max_concurrent: Schema.optionalKey(amount),
  admin: Schema.optionalKey(Schema.Boolean),
  metrics: Schema.optionalKey(Schema.Boolean)
}

/** A key to make, said as in `[[auth.keys]]`. */
export const NewClientKey = Schema.Struct({
  ...terms,
  not_before: Schema.optionalKey(Schema.NonEmptyString),
  expires: Schema.optionalKey(Schema.NonEmptyString)
})

/** Type of {@link NewClientKey}. */
export type NewClientKey = typeof NewClientKey.Type

/** A key that was made; it is told this once. */
export const MadeClientKey = Schema.Struct({ name: Schema.String, key: Schema.String, sha256: Schema.String })

/** Type of {@link MadeClientKey}. */
export type MadeClientKey = typeof MadeClientKey.Type

/** A key as it is listed; times in milliseconds since 1970, null where there is none. */
export const ClientKeyEntry = Schema.Struct({
  ...terms,
  from: Schema.Literals(["config", "store"]),
  made_at: Schema.NullOr(Schema.Finite),
  not_before: Schema.NullOr(Schema.Finite),
  expires: Schema.NullOr(Schema.Finite),
  /** Until when the one before it counts. */
  previous_until: Schema.NullOr(Schema.Finite)
})

/** Type of {@link ClientKeyEntry}. */
export type ClientKeyEntry = typeof ClientKeyEntry.Type

/** All keys of clients, and whether there is a file of keys in which they can be made and changed. */
const ClientKeyList = Schema.Struct({
  keys: Schema.Array(ClientKeyEntry),
  // A gateway of an earlier version does not tell.
  store: Schema.optionalKey(Schema.Boolean)
})

/** Type of all keys of clients. */
export type ClientKeyList = typeof ClientKeyList.Type

/** How near keys, owners and models are to their limits, of those 100 that are nearest, nearest first. */
const LimitUses = Schema.Struct({ limits: Schema.Array(LimitUse) })

/** Type of the limits and what is taken of them. */
export type LimitUses = typeof LimitUses.Type

/** Tokens of an issuer to revoke: all of a name, one by what its issuer calls it, or one by itself. */
export const NewRevocation = Schema.Struct({
  name: Schema.optionalKey(Schema.NonEmptyString),
  token_id: Schema.optionalKey(Schema.NonEmptyString),
  token: Schema.optionalKey(Schema.NonEmptyString),
  issued_before: Schema.optionalKey(Schema.NonEmptyString)
})

/** Type of {@link NewRevocation}. */
export type NewRevocation = typeof NewRevocation.Type

/** Tokens that were revoked; times in milliseconds since 1970, null where there is none. */
export const RevocationEntry = Schema.Struct({
  id: Schema.String,
  /** As keys are named: `corp:alice`, `corp:*` for everybody, `corp` where it is one token. */
  name: Schema.String,
  issuer: Schema.String,
  token_id: Schema.NullOr(Schema.String),
  issued_before: Schema.NullOr(Schema.Finite),
  revoked_at: Schema.Finite,
  /** When they have all ended, and the entry goes by itself. */
  until: Schema.NullOr(Schema.Finite)
})

/** Type of {@link RevocationEntry}. */
export type RevocationEntry = typeof RevocationEntry.Type

/** All that is revoked, and the names of the issuers whose tokens are taken. */
const RevocationList = Schema.Struct({
  revoked: Schema.Array(RevocationEntry),
  // A gateway of an earlier version does not tell.
  issuers: Schema.optionalKey(Schema.Array(Schema.String))
})

/** Type of all that is revoked. */
export type RevocationList = typeof RevocationList.Type

const refusals = [Refusal.pipe(HttpApiSchema.status(400)), Refusal.pipe(HttpApiSchema.status(409))] as const

const name = { name: Schema.String }
const id = { id: Schema.String }

/** All endpoints of keys. */
export const KeysGroup = HttpApiGroup.make("keys").add(
  HttpApiEndpoint.get("list", "/admin/v1/keys", { success: ClientKeyList }).annotate(
    OpenApi.Summary,
    "The keys of clients and what they are for; nothing by which they could be used"
  ),
  HttpApiEndpoint.post("make", "/admin/v1/keys", {
    payload: NewClientKey,
    success: MadeClientKey,
    error: refusals
  }).annotate(
    OpenApi.Summary,
    "Make a key, which is told this once; its digest is kept in the file of keys (auth.store)"
  ),
  HttpApiEndpoint.delete("revoke", "/admin/v1/keys/:name", {
    params: name,
    success: Schema.Struct(name),
    error: refusals
  }).annotate(OpenApi.Summary, "Revoke a key: it lets nobody in from now on"),
  HttpApiEndpoint.post("rotate", "/admin/v1/keys/:name/rotate", {
    params: name,
    query: {
      overlap_seconds: Schema.optionalKey(
        Schema.FiniteFromString.check(Schema.isBetween({ minimum: 0, maximum: 31_536_000 }))
      )
    },
    success: MadeClientKey,
    error: refusals
  }).annotate(OpenApi.Summary, "Make another key in the place of one, which counts for `overlap_seconds` (86400) more"),
  HttpApiEndpoint.get("limits", "/admin/v1/limits", { success: LimitUses }).annotate(
    OpenApi.Summary,
    "How near keys, owners and models are to their limits: what is taken of the requests and tokens of a minute and of the requests at a time"
  ),
  HttpApiEndpoint.get("revocations", "/admin/v1/revocations", {
    success: RevocationList
  }).annotate(OpenApi.Summary, "The tokens of issuers that were revoked before their end"),
  HttpApiEndpoint.post("revokeTokens", "/admin/v1/revocations", {
    payload: NewRevocation,
    success: RevocationEntry,
    error: refusals
  }).annotate(OpenApi.Summary, "Revoke tokens of an issuer: they let nobody in from now on"),
  HttpApiEndpoint.delete("lift", "/admin/v1/revocations/:id", {
    params: id,
    success: RevocationEntry,
    error: refusals
  }).annotate(OpenApi.Summary, "Let tokens count again that were revoked")
)
