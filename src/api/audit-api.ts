/**
 * The endpoint that tells which hosts the gateway may contact, and which it has contacted.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"

const PossibleHost = Schema.Struct({
  host: Schema.String,
  port: Schema.NullOr(Schema.Finite),
  zone: Schema.String,
  purpose: Schema.String,
  why_not: Schema.NullOr(Schema.String)
})

/** A host that was contacted since the start: where it led, how often, and how long ago the last time was. */
export const ContactedHost = Schema.Struct({
  host: Schema.String,
  port: Schema.Finite,
  zones: Schema.Array(Schema.String),
  addresses: Schema.Array(Schema.String),
  connections: Schema.Finite,
  calls: Schema.Finite,
  last_ms_ago: Schema.Finite
})

/** Type of {@link ContactedHost}. */
export type ContactedHost = typeof ContactedHost.Type

/** What may be contacted, and what was; `contacted` is null where no gateway runs that could tell. */
export const Audit = Schema.Struct({
  mode: Schema.Literals(["open", "local-only"]),
  networks: Schema.Array(Schema.String),
  possible: Schema.Array(PossibleHost),
  contacted: Schema.NullOr(Schema.Array(ContactedHost)),
  /** Whether every process of the gateway has told what it contacted. */
  complete: Schema.Boolean
})

/** Type of {@link Audit}. */
export type Audit = typeof Audit.Type

/** The endpoints. */
export const AuditGroup = HttpApiGroup.make("audit").add(
  HttpApiEndpoint.get("audit", "/admin/v1/audit", { success: Audit }).annotate(
    OpenApi.Summary,
    "Every host that the config lets the gateway contact, and every one that it has contacted since its start"
  )
)
