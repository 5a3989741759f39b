import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { grafanaFiles } from "../../.ci/grafana.ts"
import { labels } from "../../src/telemetry/metric-definition.ts"
import { metrics } from "../../src/telemetry/metrics.ts"

const files = grafanaFiles()
const dashboard = JSON.parse(files["docs/grafana/nexus-dashboard.json"] ?? "{}")
const alerts = files["docs/grafana/nexus-alerts.yaml"] ?? ""

const expressions: ReadonlyArray<string> = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }: { readonly expr: string }) => expr)),
  ...[...alerts.matchAll(/^ +expr: (.*)$/gm)].map(([, text = ""]) => JSON.parse(text))
]

describe("the dashboard and the alert rules", () => {
  test("are as they are made of the metrics (`bun run docs` writes them)", () => {
    for (const [path, text] of Object.entries(files)) expect(readFileSync(path, "utf8")).toBe(text)
  })

  test("ask only for metrics that there are, by labels that those have", () => {
    const known = new Map<string, ReadonlyArray<string>>(
      metrics.flatMap((metric) =>
        (metric.kind === "histogram" ? ["_bucket", "_sum", "_count"] : [""]).map((part) => [
          `${metric.name}${part}`,
          part === "_bucket" ? [...metric.labels, "le"] : metric.labels
        ])
      )
    )
    expect(expressions.length).toBeGreaterThan(40)
    for (const expr of expressions) {
      for (const [, name = "", selector = ""] of expr.matchAll(/\b(nexus_\w+)(?:\{([^}]*)\})?/g)) {
        const own = known.get(name)
        expect([expr, own]).not.toEqual([expr, undefined])
        const used = [...selector.matchAll(/(\w+)(?:=~|=|!=)"/g)].map(([, label = ""]) => label)
        expect([expr, used.filter((label) => own?.includes(label) !== true)]).toEqual([expr, []])
      }
      for (const [, by = ""] of expr.matchAll(/by \(([^)]*)\)/g)) {
        const all = by.split(",").map((label) => label.trim())
        expect(all.filter((label) => label !== "le" && !Object.hasOwn(labels, label))).toEqual([])
      }
    }
  })

  test("name their source by a variable, and each panel by a number of its own", () => {
    const shown = dashboard.panels.filter(({ type }: { readonly type: string }) => type !== "row")
    expect(new Set(shown.map(({ id }: { readonly id: number }) => id)).size).toBe(shown.length)
    for (const { datasource } of shown) expect(datasource).toEqual({ type: "prometheus", uid: "${datasource}" })
  })
})
