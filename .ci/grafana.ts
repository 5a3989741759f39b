/**
 * Makes the dashboard and the alert rules that `nexus grafana` writes, by Grafana's own builders, of the metrics that there are.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder
} from "@grafana/grafana-foundation-sdk/dashboard"
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus"
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat"
import { PanelBuilder as TimeseriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries"
import { root } from "./steps.ts"

const source = { type: "prometheus", uid: "${datasource}" }

/** A query, and what its lines are called. */
type Query = readonly [expr: string, legend: string]

const chosen = `backend=~"$backend",model=~"$model"`

const query = ([expr, legend]: Query): DataqueryBuilder => new DataqueryBuilder().expr(expr).legendFormat(legend)

let nextId = 1

const lines = (title: string, unit: string, about: string, ...queries: ReadonlyArray<Query>): TimeseriesBuilder => {
  const panel = new TimeseriesBuilder()
    .id(nextId++)
    .title(title)
    .description(about)
    .unit(unit)
    .datasource(source)
    .span(8)
    .height(8)
  for (const each of queries) panel.withTarget(query(each))
  return panel
}

const figure = (title: string, unit: string, about: string, expr: string): StatBuilder =>
  new StatBuilder()
    .id(nextId++)
    .title(title)
    .description(about)
    .unit(unit)
    .datasource(source)
    .span(4)
    .height(4)
    .withTarget(query([expr, ""]))

const rate = (metric: string, labels: string, by: string): string =>
  `sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`

const quantile = (share: number, metric: string, labels: string, by: string): string =>
  `histogram_quantile(${share}, sum by (le, ${by}) (rate(${metric}_bucket{${labels}}[$__rate_interval])))`

const dashboard = (): unknown =>
  new DashboardBuilder("Nexus")
    .uid("nexus-gateway")
    .description("What the gateway does: requests, backends, first tokens, tokens, the queue")
    .tags(["nexus", "llm"])
    .refresh("30s")
    .time({ from: "now-1h", to: "now" })
    .timezone("browser")
    .tooltip(1)
    .withVariable(new DatasourceVariableBuilder("datasource").label("Prometheus").type("prometheus"))
    .withVariable(
      new QueryVariableBuilder("backend")
        .datasource(source)
        .query("label_values(nexus_backend_state, backend)")
        .includeAll(true)
        .allValue(".*")
        .multi(true)
        .refresh(2)
    )
    .withVariable(
      new QueryVariableBuilder("model")
        .datasource(source)
        .query("label_values(nexus_requests_total, model)")
        .includeAll(true)
        .allValue(".*")
        .multi(true)
        .refresh(2)
    )
    .withRow(new RowBuilder("Now"))
    .withPanel(
      figure("Requests/s", "reqps", "All requests that have ended", "sum(rate(nexus_requests_total[$__rate_interval]))")
    )
    .withPanel(figure("Under way", "none", "Requests that have come and not ended", "sum(nexus_requests_in_flight)"))
    .withPanel(
      figure("Waiting for a slot", "none", "Requests in Nexus' own queue", "sum(nexus_queued_requests) or vector(0)")
    )
    .withPanel(
      figure(
        "Tokens/s",
        "none",
        "Tokens written, as backends tell them",
        `sum(rate(nexus_tokens_total{kind="completion"}[$__rate_interval]))`
      )
    )
    .withPanel(
      figure(
        "Failed",
        "percentunit",
        "Part of the requests that no backend answered well, or whose answer broke off",
        `(sum(rate(nexus_requests_total{outcome=~"failed|truncated"}[$__rate_interval])) or vector(0)) / sum(rate(nexus_requests_total[$__rate_interval]))`
      )
    )
    .withPanel(
      figure("Backends healthy", "none", "Those that may be asked", `sum(nexus_backend_state{state="healthy"})`)
    )
    .withRow(new RowBuilder("Requests"))
    .withPanel(
      lines("Requests by outcome", "reqps", "How requests ended", [
        rate("nexus_requests_total", chosen, "outcome"),
        "{{outcome}}"
      ])
    )
    .withPanel(
      lines("Requests by backend", "reqps", "Who answered", [
        rate("nexus_requests_total", chosen, "backend"),
        "{{backend}}"
      ])
    )
    .withPanel(
      lines("Requests by model", "reqps", "What was asked for", [
        rate("nexus_requests_total", chosen, "model"),
        "{{model}}"
      ])
    )
    .withPanel(
      lines(
        "Duration",
        "s",
        "From arrival to the end of the answer",
        [quantile(0.5, "nexus_request_duration_seconds", chosen, "backend"), "{{backend}} p50"],
        [quantile(0.95, "nexus_request_duration_seconds", chosen, "backend"), "{{backend}} p95"]
      )
    )
    .withPanel(
      lines(
        "First token",
        "s",
        "From arrival to the first event of a stream",
        [quantile(0.5, "nexus_time_to_first_token_seconds", chosen, "backend"), "{{backend}} p50"],
        [quantile(0.95, "nexus_time_to_first_token_seconds", chosen, "backend"), "{{backend}} p95"]
      )
    )
    .withPanel(
      lines(
        "Between tokens",
        "s",
        "Between two pieces of a stream",
        [quantile(0.5, "nexus_time_between_tokens_seconds", chosen, "backend"), "{{backend}} p50"],
        [quantile(0.95, "nexus_time_between_tokens_seconds", chosen, "backend"), "{{backend}} p95"]
      )
    )
    .withRow(new RowBuilder("Backends"))
    .withPanel(
      lines("State", "none", "1 for the state that a backend is in", [
        `sum by (backend, state) (nexus_backend_state{backend=~"$backend"} == 1)`,
        "{{backend}} {{state}}"
      ])
    )
    .withPanel(
      lines(
        "Slots and what they are used for",
        "none",
        "How many requests a backend works on at once, and how many it has",
        [`sum by (backend) (nexus_backend_requests_in_flight{backend=~"$backend"})`, "{{backend}} under way"],
        [`max by (backend) (nexus_backend_slots{backend=~"$backend"})`, "{{backend}} slots"]
      )
    )
    .withPanel(
      lines("Attempts that failed", "reqps", "Calls to backends that are their fault", [
        rate(
          "nexus_attempts_total",
          `${chosen},outcome=~"unreachable|timed_out|connection_lost|bad_answer|error_status|truncated"`,
          "backend, outcome"
        ),
        "{{backend}} {{outcome}}"
      ])
    )
    .withPanel(
      lines(
        "Failovers and hedges",
        "reqps",
        "Requests that went on elsewhere, and those whose first token was late",
        [rate("nexus_failovers_total", chosen, "backend"), "{{backend}} failovers"],
        [rate("nexus_hedges_total", chosen, "outcome"), "hedges {{outcome}}"]
      )
    )
    .withPanel(
      lines("Probes", "s", "How long the last good probe took", [
        `nexus_backend_probe_latency_seconds{backend=~"$backend"}`,
        "{{backend}}"
      ])
    )
    .withPanel(
      lines("Open circuits", "none", "Models that are left out because their last answers failed", [
        `nexus_backend_open_circuits{backend=~"$backend"}`,
        "{{backend}}"
      ])
    )
    .withRow(new RowBuilder("Tokens, queue and the gateway itself"))
    .withPanel(
      lines("Tokens", "none", "By kind, each second", [rate("nexus_tokens_total", chosen, "kind"), "{{kind}}"])
    )
    .withPanel(
      lines("Prompt cache", "percentunit", "Part of the prompts' tokens that backends had cached", [
        `${rate("nexus_tokens_total", `${chosen},kind="cached"`, "backend")} / ${rate("nexus_tokens_total", `${chosen},kind="prompt"`, "backend")}`,
        "{{backend}}"
      ])
    )
    .withPanel(
      lines("Queue", "none", "Requests that wait for a slot", [
        `sum by (model, class) (nexus_queued_requests{model=~"$model"})`,
        "{{model}} {{class}}"
      ])
    )
    .withPanel(
      lines(
        "Time in the queue",
        "s",
        "How long they waited",
        [quantile(0.5, "nexus_queue_wait_seconds", `model=~"$model"`, "class"), "{{class}} p50"],
        [quantile(0.95, "nexus_queue_wait_seconds", `model=~"$model"`, "class"), "{{class}} p95"]
      )
    )
    .withPanel(
      lines("Turned away", "reqps", "Refused before anything was read", [
        "sum by (code) (rate(nexus_turned_away_total[$__rate_interval]))",
        "{{code}}"
      ])
    )
    .withPanel(
      lines(
        "Gateway",
        "s",
        "Its own time for a request; its memory is on /metrics",
        ["histogram_quantile(0.5, sum by (le) (rate(nexus_gateway_overhead_seconds_bucket[$__rate_interval])))", "p50"],
        ["histogram_quantile(0.99, sum by (le) (rate(nexus_gateway_overhead_seconds_bucket[$__rate_interval])))", "p99"]
      )
    )
    .withRow(new RowBuilder("Keys, kept answers and captures"))
    .withPanel(
      lines(
        "Guessed keys",
        "reqps",
        "Wrong keys, and requests that waited since their address had tried such",
        ["sum(rate(nexus_failed_tries_total[$__rate_interval]))", "wrong keys"],
        ["sum(rate(nexus_slowed_requests_total[$__rate_interval]))", "slowed requests"]
      )
    )
    .withPanel(
      lines(
        "Nearest to their limits",
        "percentunit",
        "Part that is taken of the limits of keys, owners and models; more is refused at 100 %",
        ["topk(10, max by (scope, of, quota) (nexus_limit_taken / nexus_limit_allowed))", "{{scope}} {{of}} {{quota}}"]
      )
    )
    .withPanel(
      lines(
        "Answers given again",
        "percentunit",
        "Part of the requests for models with cache_seconds that were answered by what was kept",
        [
          `sum by (name) (rate(nexus_cache_lookups_total{cache="hit"}[$__rate_interval])) / sum by (name) (rate(nexus_cache_lookups_total[$__rate_interval]))`,
          "{{name}}"
        ]
      )
    )
    .withPanel(
      lines("Captures", "reqps", "Prompts and answers that were stored for [capture], or were to be and could not", [
        "sum by (outcome) (rate(nexus_captures_total[$__rate_interval]))",
        "{{outcome}}"
      ])
    )
    .build()

/** An alert: when it is due, for how long that must hold, and what it says. */
const alerts: ReadonlyArray<{
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly severity: string
  readonly summary: string
  readonly description: string
}> = [
  {
    alert: "NexusDown",
    expr: `absent(nexus_build_info)`,
    for: "2m",
    severity: "critical",
    summary: "No Nexus is scraped",
    description: "No target tells nexus_build_info: the gateway is down, or the scraper cannot reach it or has no key."
  },
  {
    alert: "NexusNoHealthyBackend",
    expr: `sum(nexus_backend_state{state="healthy"}) == 0`,
    for: "1m",
    severity: "critical",
    summary: "No backend is healthy",
    description: "Every request fails now; nexus doctor says why."
  },
  {
    alert: "NexusBackendUnhealthy",
    expr: `max by (backend) (nexus_backend_state{state=~"unhealthy|config_error"}) == 1`,
    for: "5m",
    severity: "warning",
    summary: "Backend {{ $labels.backend }} is not healthy",
    description: "It gets no requests; nexus backends says why."
  },
  {
    alert: "NexusRequestsFail",
    expr: `sum(rate(nexus_requests_total{outcome=~"failed|truncated"}[5m])) / sum(rate(nexus_requests_total[5m])) > 0.05`,
    for: "5m",
    severity: "critical",
    summary: "{{ $value | humanizePercentage }} of requests fail",
    description: "No backend answers them well, or answers break off."
  },
  {
    alert: "NexusBackendErrors",
    expr: `sum by (backend) (rate(nexus_attempts_total{outcome=~"unreachable|timed_out|connection_lost|bad_answer|error_status|truncated"}[5m])) / sum by (backend) (rate(nexus_attempts_total[5m])) > 0.2`,
    for: "5m",
    severity: "warning",
    summary: "Backend {{ $labels.backend }} fails {{ $value | humanizePercentage }} of its calls",
    description: "Requests move on to others while there are any."
  },
  {
    alert: "NexusCircuitOpen",
    expr: `nexus_backend_open_circuits > 0`,
    for: "5m",
    severity: "warning",
    summary: "{{ $value }} models of {{ $labels.backend }} are left out",
    description: "Their last answers failed."
  },
  {
    alert: "NexusFirstTokenSlow",
    expr: `histogram_quantile(0.95, sum by (le, model) (rate(nexus_time_to_first_token_seconds_bucket[10m]))) > 10`,
    for: "10m",
    severity: "warning",
    summary: "First tokens of {{ $labels.model }} take {{ $value | humanizeDuration }}",
    description: "95 % of streams of the last ten minutes began within that time."
  },
  {
    alert: "NexusQueueLong",
    expr: `histogram_quantile(0.95, sum by (le, model) (rate(nexus_queue_wait_seconds_bucket[10m]))) > 60`,
    for: "5m",
    severity: "warning",
    summary: "Requests for {{ $labels.model }} wait {{ $value | humanizeDuration }} for a slot",
    description: "Its backends have all they work on at once: add one, or give it more slots."
  },
  {
    alert: "NexusTurnsAway",
    expr: `sum(rate(nexus_turned_away_total{code="429"}[5m])) > 0.1`,
    for: "5m",
    severity: "warning",
    summary: "Requests are turned away with 429",
    description: "More come at a time than server.max_concurrent_requests lets in."
  },
  {
    alert: "NexusLimitNear",
    expr: `max by (scope, of, quota) (nexus_limit_taken / nexus_limit_allowed) > 0.9`,
    for: "5m",
    severity: "warning",
    summary:
      "The {{ $labels.scope }} {{ $labels.of }} has taken {{ $value | humanizePercentage }} of its {{ $labels.quota }}",
    description:
      "Requests beyond a limit are refused with 429; [limits], [[auth.keys]] and [[models]] say how much there is."
  },
  {
    alert: "NexusTelemetryDropped",
    expr: `increase(nexus_telemetry_dropped_total[10m]) > 0`,
    for: "0m",
    severity: "info",
    summary: "{{ $labels.signal }} could not be sent by OTLP",
    description: "The receiver of [telemetry.otlp] is slow or away; requests are not affected."
  }
]

const text = (value: string): string => JSON.stringify(value)

const rules = (): string =>
  [
    "# Alert rules for Prometheus; the thresholds are a beginning. Made by `nexus grafana`.",
    "groups:",
    "  - name: nexus",
    "    rules:",
    ...alerts.flatMap(({ alert, description, expr, for: held, severity, summary }) => [
      `      - alert: ${alert}`,
      `        expr: ${text(expr)}`,
      `        for: ${held}`,
      "        labels:",
      `          severity: ${severity}`,
      "        annotations:",
      `          summary: ${text(summary)}`,
      `          description: ${text(description)}`
    ]),
    ""
  ].join("\n")

/** All that is written, by its path in the repository: both files for people, and both of them for the command. */
export const grafanaFiles = (): Readonly<Record<string, string>> => {
  nextId = 1
  const made = dashboard()
  const inJson = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`
  return {
    "docs/grafana/nexus-dashboard.json": inJson(made),
    "docs/grafana/nexus-alerts.yaml": rules(),
    "src/cli/grafana/files.json": inJson({ dashboard: made, alerts: rules().split("\n") })
  }
}

/** Writes them. */
export const writeGrafanaFiles = (): void => {
  mkdirSync(join(root, "docs/grafana"), { recursive: true })
  for (const [path, content] of Object.entries(grafanaFiles())) writeFileSync(join(root, path), content)
}
