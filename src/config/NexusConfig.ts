/**
 * The settings, read once from file, environment and flags.
 */
import { Context, Data, Layer, type Option } from "effect"
import { compile, type Loaded } from "./compile.ts"

export type { Loaded } from "./compile.ts"

/** Every mistake of the config, in words with file, line and key. */
export class ConfigInvalid extends Data.TaggedError("ConfigInvalid")<{
  readonly path: string
  readonly message: string
}> {}

/** The settings as the gateway goes by them. */
export class NexusConfig extends Context.Service<NexusConfig, Loaded>()("nexus/config/NexusConfig") {
  /** Settings that are there already. */
  static readonly layerOf = (loaded: Loaded): Layer.Layer<NexusConfig> => Layer.succeed(NexusConfig, loaded)
}
