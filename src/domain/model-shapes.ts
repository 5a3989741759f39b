/**
 * What servers have shown, as one process of the gateway tells another.
 */
import * as Schema from "effect/Schema"

const Ability = Schema.optionalKey(Schema.Boolean)

const Text = Schema.optionalKey(Schema.String)

const AboutShape = Schema.Struct({
  digest: Text,
  size: Schema.optionalKey(Schema.Number),
  modified: Text,
  format: Text,
  family: Text,
  parameters: Text,
  quantization: Text,
  abilities: Schema.optionalKey(Schema.Array(Schema.String))
})

/** A model as one process tells another of it. */
export const ModelShape = Schema.Struct({
  id: Schema.String,
  context_length: Schema.optionalKey(Schema.Int),
  context_in_force: Schema.optionalKey(Schema.Int),
  loaded: Schema.optionalKey(Schema.Boolean),
  slots: Schema.optionalKey(Schema.Int),
  slotsConfigured: Schema.optionalKey(Schema.Boolean),
  cacheTokens: Schema.optionalKey(Schema.Int),
  slotsKeep: Schema.optionalKey(Schema.Boolean),
  max_output_tokens: Schema.optionalKey(Schema.Int),
  thinks: Schema.optionalKey(Schema.Literals(["by effort", "by tokens", "never"])),
  capabilities: Schema.Struct({ vision: Ability, tools: Ability, json_mode: Ability, embeddings: Ability }),
  about: Schema.optionalKey(AboutShape)
})

/** What a server has shown of itself. */
export const ServedShape = Schema.Struct({
  version: Schema.optionalKey(Schema.String),
  paths: Schema.Record(Schema.String, Schema.Boolean)
})
