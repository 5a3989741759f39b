/**
 * How replicas that share what they know tell of each other.
 */
import * as Schema from "effect/Schema"

const ReplicaEntry = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  /** Whether it is the one that answers. */
  own: Schema.Boolean,
  workers: Schema.Finite,
  version: Schema.String,
  uptime_seconds: Schema.Finite,
  /** Whether its config says something else than that of the one that answers, but for where it listens and what it is called. */
  config_differs: Schema.Boolean,
  /** Figures that it tells of itself, by name, such as the generation of its config. */
  figures: Schema.Record(Schema.String, Schema.Finite)
})

/** The store that replicas share, as the one sees it that answers, and all replicas that are there. */
export const ClusterStatus = Schema.Struct({
  store: Schema.Struct({
    status: Schema.Literals(["connected", "away"]),
    /** How long it has been so. */
    for_seconds: Schema.Finite,
    /** Why it is away; null while it is not. */
    reason: Schema.NullOr(Schema.String),
    /** How often it went away. */
    losses: Schema.Finite
  }),
  /** Names of the replicas whose config says something else than that of the one that answers. */
  config_differs: Schema.Array(Schema.String),
  replicas: Schema.Array(ReplicaEntry)
})

/** Type of {@link ClusterStatus}. */
export type ClusterStatus = typeof ClusterStatus.Type
