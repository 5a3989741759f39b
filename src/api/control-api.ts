/**
 * The contract of the endpoints that change the running gateway: its config and its backends.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { backendTypes } from "../backend/all.ts"
import { modes } from "../domain/server.ts"
import { Refusal } from "./refusal.ts"

/** A setting that differs, spelled as in the file; null where it is not there. No secret is in it. */
export const SettingChange = Schema.Struct({
  key: Schema.String,
  before: Schema.Unknown,
  after: Schema.Unknown,
  /** Whether it takes effect at the next start alone. */
  needs_restart: Schema.Boolean
})

/** Type of {@link SettingChange}. */
export type SettingChange = typeof SettingChange.Type

/** Which config is in force: the number of the last one that was taken, and what became of the last try; times since 1970. */
export const ConfigStatus = Schema.Struct({
  generation: Schema.Finite,
  loaded_at: Schema.Finite,
  path: Schema.NullOr(Schema.String),
  /** Keys of the file that differ from what the gateway was started with, and wait for the next start. */
  needs_restart: Schema.Array(Schema.String),
  /** Why the last reload was refused; null when it was not. */
  failure: Schema.NullOr(Schema.Struct({ at: Schema.Finite, message: Schema.String }))
})

/** Type of {@link ConfigStatus}. */
export type ConfigStatus = typeof ConfigStatus.Type

/** What a reload changed, or would change. */
export const ReloadChanges = Schema.Struct({ generation: Schema.Finite, changes: Schema.Array(SettingChange) })

/** Type of {@link ReloadChanges}. */
export type ReloadChanges = typeof ReloadChanges.Type

/** A setting in force: its key and value as in the file, and where it comes from; no secret is in it. */
const SettingInForce = Schema.Struct({ key: Schema.String, value: Schema.Unknown, origin: Schema.String })

/** All settings in force, defaults included, in the order of the file. */
export const SettingsInForce = Schema.Struct({ settings: Schema.Array(SettingInForce) })

/** Type of {@link SettingsInForce}. */
export type SettingsInForce = typeof SettingsInForce.Type

/** A backend to add; what it is called and what kind it is are found out when they are absent. */
export const NewBackend = Schema.Struct({
  url: Schema.String,
  name: Schema.optionalKey(Schema.String),
  type: Schema.optionalKey(Schema.Literals(backendTypes)),
  zone: Schema.optionalKey(Schema.String),
  priority: Schema.optionalKey(Schema.Finite),
  max_concurrent: Schema.optionalKey(Schema.Finite),
  api_key_env: Schema.optionalKey(Schema.String),
  /** Whether any certificate will do. */
  insecure_skip_verify: Schema.optionalKey(Schema.Boolean),
  /** Whether it is written to the config file. */
  save: Schema.optionalKey(Schema.Boolean)
})

/** Type of {@link NewBackend}. */
export type NewBackend = typeof NewBackend.Type

/** What was done to a backend; `saved` is the file it was written to, and `note` what a person should know. */
export const BackendChange = Schema.Struct({
  name: Schema.String,
  url: Schema.String,
  type: Schema.Literals(backendTypes),
  mode: Schema.Literals(modes),
  status: Schema.String,
  models: Schema.Finite,
  in_flight: Schema.Finite,
  saved: Schema.NullOr(Schema.String),
  note: Schema.NullOr(Schema.String)
})

/** Type of {@link BackendChange}. */
export type BackendChange = typeof BackendChange.Type

/** What can be done to a backend that is there, by the last word of the path. */
export const modeActions = { enable: "enabled", drain: "draining", disable: "disabled" } as const

const name = { name: Schema.String }

const refusals = [
  Refusal.pipe(HttpApiSchema.status(400)),
  Refusal,
  Refusal.pipe(HttpApiSchema.status(409)),
  Refusal.pipe(HttpApiSchema.status(422))
] as const

/** All endpoints that change the running gateway. */
export const ControlGroup = HttpApiGroup.make("control").add(
  HttpApiEndpoint.get("config", "/admin/v1/config", { success: ConfigStatus }).annotate(
    OpenApi.Summary,
    "Which config is in force, and what became of the last reload"
  ),
  HttpApiEndpoint.get("settings", "/admin/v1/config/settings", { success: SettingsInForce, error: refusals }).annotate(
    OpenApi.Summary,
    "All settings in force, each with where it comes from"
  ),
  HttpApiEndpoint.get("compare", "/admin/v1/config/diff", { success: ReloadChanges, error: refusals }).annotate(
    OpenApi.Summary,
    "What a reload would change"
  ),
  HttpApiEndpoint.post("reload", "/admin/v1/config/reload", { success: ReloadChanges, error: refusals }).annotate(
    OpenApi.Summary,
    "Take over the config as it is now; one with mistakes changes nothing"
  ),
  HttpApiEndpoint.post("add", "/admin/v1/backends", {
    payload: NewBackend,
    success: BackendChange,
    error: refusals
  }).annotate(OpenApi.Summary, "Add a backend, at once"),
  HttpApiEndpoint.delete("remove", "/admin/v1/backends/:name", {
    params: name,
    query: { save: Schema.optionalKey(Schema.Literals(["true", "false"])) },
    success: BackendChange,
    error: refusals
  }).annotate(OpenApi.Summary, "Take a backend out; its requests end as they would have"),
  HttpApiEndpoint.post("act", "/admin/v1/backends/:name/:action", {
    params: { ...name, action: Schema.Literals(["enable", "drain", "disable", "wake"]) },
    success: BackendChange,
    error: refusals
  }).annotate(OpenApi.Summary, "Enable, drain, disable or wake a backend")
)
