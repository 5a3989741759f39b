/**
 * The contract of what can be asked for: models, the names that lead to them, and what may answer in their place.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { healthStatuses } from "../domain/backend-health.ts"
import { modes, slotSources } from "../domain/server.ts"

/** How a backend stands. */
export const BackendStatus = Schema.Literals(healthStatuses)

const ability = Schema.optionalKey(Schema.Boolean)

/** What is known of a model at one backend; an ability that is absent is not known. */
export const modelFacts = {
  context_length: Schema.optionalKey(Schema.Finite),
  context_in_force: Schema.optionalKey(Schema.Finite),
  /** Requests that the backend works on at once, and how that is known: by the config, by its word, or by what it does. */
  slots: Schema.optionalKey(Schema.Finite),
  slots_from: Schema.optionalKey(Schema.Literals(slotSources)),
  /** Tokens of prompts that it can keep computed. */
  cache_tokens: Schema.optionalKey(Schema.Finite),
  loaded: Schema.optionalKey(Schema.Boolean),
  /** What it told last of its work: requests of anybody's that it works on, and those that wait there. */
  running: Schema.optionalKey(Schema.Finite),
  waiting: Schema.optionalKey(Schema.Finite),
  capabilities: Schema.Struct({ vision: ability, tools: ability, json_mode: ability, embeddings: ability })
}

const Server = Schema.Struct({
  backend: Schema.String,
  status: BackendStatus,
  mode: Schema.Literals(modes),
  ...modelFacts
})

/** A model with every backend that serves it, healthy or not, and the aliases that lead to it; `available` when one in rotation does. */
export const CatalogueModel = Schema.Struct({
  id: Schema.String,
  available: Schema.Boolean,
  aliases: Schema.Array(Schema.String),
  backends: Schema.Array(Server)
})

/** Type of {@link CatalogueModel}. */
export type CatalogueModel = typeof CatalogueModel.Type

/** A model that a name leads to; `backends` are those in rotation that serve it. */
const Target = Schema.Struct({ model: Schema.String, backends: Schema.Array(Schema.String) })

/** A name that clients may use: `chain` has all names from it to the model it stands for. */
const AliasEntry = Schema.Struct({ alias: Schema.String, chain: Schema.Array(Schema.String), ...Target.fields })

/** A model, and what may answer in its place, in order. */
const FallbackEntry = Schema.Struct({ model: Schema.String, fallbacks: Schema.Array(Target) })

/** A name for several models: each entry as it is in the config, with the backends in rotation that serve it. */
const GroupEntry = Schema.Struct({ group: Schema.String, models: Schema.Array(Target) })

/** All aliases, groups and fallbacks, sorted by name. */
export const AliasList = Schema.Struct({
  aliases: Schema.Array(AliasEntry),
  groups: Schema.Array(GroupEntry),
  fallbacks: Schema.Array(FallbackEntry)
})

/** Type of {@link AliasList}. */
export type AliasList = typeof AliasList.Type

/** The endpoints. */
export const CatalogueGroup = HttpApiGroup.make("catalogue").add(
  HttpApiEndpoint.get("models", "/admin/v1/models", {
    success: Schema.Struct({ models: Schema.Array(CatalogueModel) })
  }).annotate(OpenApi.Summary, "Every model with all backends that serve it, healthy or not"),
  HttpApiEndpoint.get("aliases", "/admin/v1/aliases", { success: AliasList }).annotate(
    OpenApi.Summary,
    "The names that stand for models, one or several, and the models that may answer in place of others"
  )
)
