/**
 * The page about the metrics, made from their definitions so that it cannot say something else.
 */
import { outcomes } from "../domain/request.ts"
import { mostMeters } from "./meter-table.ts"
import { attemptOutcomes, hedgeOutcomes } from "./meter.ts"
import { type HistogramDefinition, type Label, labels, type MetricDefinition } from "./metric-definition.ts"
import { metrics } from "./metrics.ts"

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const table = (heading: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(heading), row(heading.map(() => "---")), ...rows.map(row)].join("\n")

const requestOutcomes: Readonly<Record<(typeof outcomes)[number], string>> = {
  completed: "the answer was sent whole",
  refused: "the request itself was refused: by Nexus, or by a backend with an error that is the client's to mend",
  failed: "no backend answered well",
  truncated: "the answer began and broke off",
  client_closed: "the client left, or took nothing, before the answer was whole",
  cancelled: "an administrator ended it"
}

const attemptWords: Readonly<Record<(typeof attemptOutcomes)[number], string>> = {
  completed: "its answer was sent whole",
  truncated: "its answer began and broke off",
  abandoned:
    "nobody waited for it any more: the client left, an administrator ended it, Nexus was stopping, or another backend spoke first",
  refused: "the backend refused the request as the client's fault",
  unreachable: "no connection",
  timed_out: "a time limit passed",
  connection_lost: "the connection broke before the answer began",
  bad_answer: "what came was no good answer",
  error_status: "an error status that is the backend's fault"
}

const hedgeWords: Readonly<Record<(typeof hedgeOutcomes)[number], string>> = {
  won: "the second backend spoke first, and the call to this one was closed",
  lost: "this one spoke first after all, and the call to the second one was closed",
  failed: "neither of them answered well",
  abandoned: "nobody waited any more before one of them spoke",
  refused: "no second one was asked: none had room, or the share of such requests was used up"
}

const isHistogram = (metric: MetricDefinition | HistogramDefinition): metric is HistogramDefinition =>
  metric.kind === "histogram"

const names = (all: ReadonlyArray<Label>): string =>
  all.length === 0 ? "" : all.map((name) => `\`${name}\``).join(", ")

/** The page, as Markdown. */
export const metricsPage = (): string =>
  [
    "# Metrics",
    "`GET /metrics` answers in the text form of Prometheus (`text/plain; version=0.0.4`), and in that of OpenMetrics 1.0 to a scraper whose `Accept` would rather have it, under the same admission as `/health`: with `[auth] keys`, the scraper needs one of them. With several workers, any of them answers for all; counters of a worker that has ended stay in the sums as they were last told. This page is made from the definitions in `src/telemetry/metrics.ts`.",
    '```yaml\nscrape_configs:\n  - job_name: nexus\n    static_configs:\n      - targets: ["127.0.0.1:8000"]\n```',
    "`nexus grafana` writes a dashboard for Grafana and alert rules for Prometheus of all this; both are in [grafana](grafana) as well, made by Grafana's own builders and [held against its schema](grafana/README.md). The same metrics are sent by OTLP where [telemetry](telemetry.md) is on. Where requests are traced, a bucket of `nexus_request_duration_seconds` and `nexus_time_to_first_token_seconds` has an exemplar in OpenMetrics: the trace of one of the last requests that were counted there (Prometheus keeps them with `--enable-feature=exemplar-storage`).",
    table(
      ["metric", "kind", "unit", "labels", "meaning"],
      metrics.map(({ name, kind, unit, labels: used, meaning }) => [`\`${name}\``, kind, unit, names(used), meaning])
    ),
    "## Labels",
    table(
      ["label", "values"],
      Object.entries(labels).map(([name, values]) => [`\`${name}\``, values])
    ),
    `A name that a client makes up never becomes a label. ${mostMeters} pairs of backend and model have series of their own; what comes beyond is counted under \`other\`, and so is a pair that no backend serves any more when room is needed.`,
    "Values of `outcome` in `nexus_requests_total`:",
    table(
      ["outcome", "meaning"],
      Object.entries(requestOutcomes).map(([name, meaning]) => [`\`${name}\``, meaning])
    ),
    "Values of `outcome` in `nexus_attempts_total`:",
    table(
      ["outcome", "meaning"],
      Object.entries(attemptWords).map(([name, meaning]) => [`\`${name}\``, meaning])
    ),
    "Values of `outcome` in `nexus_hedges_total`:",
    table(
      ["outcome", "meaning"],
      Object.entries(hedgeWords).map(([name, meaning]) => [`\`${name}\``, meaning])
    ),
    "## Buckets",
    table(
      ["histogram", "upper bounds in seconds"],
      metrics.filter(isHistogram).map(({ name, bounds }) => [`\`${name}\``, bounds.join(", ")])
    ),
    ""
  ]
    .join("\n\n")
    .replace(/\n+$/, "\n")
