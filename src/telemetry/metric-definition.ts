/**
 * What is said of a metric, and what the values of labels are.
 */

/** What the values of each label are. */
export const labels = {
  endpoint: "what was asked, by its path without `/v1/`: `chat/completions`, `embeddings`, `audio/speech` and so on",
  model: "a model that a backend serves, as the backend knows it; `other` for every name that none serves",
  backend: "the name of a backend; `none` when no backend was asked, `other` beyond the bound on series",
  outcome: "see below",
  status: "class of the status the client got: `2xx`, `4xx` or `5xx`; `4xx` for one that left (499)",
  stream: "`true` when the client asked for a stream, else `false`",
  state: "`unknown`, `healthy`, `unhealthy`, `waking` or `config_error`",
  kind: "`prompt`, `cached` (of the prompt) or `completion`",
  code: "the status itself: `400`, `401`, `403`, `404`, `414`, `429` or `503`",
  class: "`high`, `normal` or `batch`",
  rule: "the name of a rule in the config",
  side: "`usual` or `canary` of a rule's requests; `real` or `shadow` of a request that was copied",
  part: "`status` or `finish` of an answer; `first_byte` or `whole` of its time",
  cache: "`hit` or `miss`",
  name: "the alias, the group or the listed model by which a request was understood",
  hook: "the name of a hook in the config",
  phase: "`request` or `answer`",
  signal: "`traces` or `metrics`",
  budget: "the name of a budget in the config",
  of: "whose: a key, an owner or a model. Of a budget where each has a part of their own; empty where all share it, `other` beyond the 100 that have spent most. Of limits the 100 that are nearest to one",
  scope: "`key`, `owner` or `model`: what a limit is of",
  quota: "`requests_per_minute`, `tokens_per_minute` or `max_concurrent`",
  limit: "`soft` or `hard`",
  worker: "number of the process, from 1",
  version: "version of Nexus"
} as const

/** The name of a label. */
export type Label = keyof typeof labels

/** One metric. */
export interface MetricDefinition {
  readonly name: `nexus_${string}`
  readonly kind: "counter" | "gauge" | "histogram"
  readonly unit: string
  readonly labels: ReadonlyArray<Label>
  readonly meaning: string
}

/** A metric that counts values by their size. */
export interface HistogramDefinition extends MetricDefinition {
  readonly kind: "histogram"
  /** Upper ends of the buckets. */
  readonly bounds: ReadonlyArray<number>
}

/** A metric that goes up by what happens. */
export const counter = (
  name: MetricDefinition["name"],
  unit: string,
  of: ReadonlyArray<Label>,
  meaning: string
): MetricDefinition => ({ name, kind: "counter", unit, labels: of, meaning })

/** A metric that tells how something stands. */
export const gauge = (
  name: MetricDefinition["name"],
  unit: string,
  of: ReadonlyArray<Label>,
  meaning: string
): MetricDefinition => ({ name, kind: "gauge", unit, labels: of, meaning })
