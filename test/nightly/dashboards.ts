/**
 * What `nexus grafana` writes, in a real Prometheus: its alert rules by `promtool`, the metrics by `promtool` as well, and each
 * query of the dashboard over what was scraped of a gateway at work. Queries of which nothing came are told.
 *
 *     apt-get download prometheus && dpkg-deb -x prometheus*.deb FOLDER
 *     bun run dashboards FOLDER/usr/bin
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { grafanaFiles } from "../../.ci/grafana.ts"
import { freePort } from "../../bench/processes.ts"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startProcess } from "../kit/gateway.ts"
import { chat } from "../kit/livePage.ts"
import { bare, runProgram } from "./installed.ts"

const programs = process.argv[2] ?? "/usr/bin"
const folder = mkdtempSync(join(tmpdir(), "nexus-dashboards-"))
const scrapes = 12
const limitMs = 30_000
const variables: ReadonlyArray<readonly [string, string]> = [
  ["$__rate_interval", "5s"],
  ["$__range", "10s"],
  ["$__interval", "1s"],
  ["$backend", ".*"],
  ["$model", ".*"]
]

interface Panel {
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

const filledIn = (expr: string): string => variables.reduce((text, [name, value]) => text.replaceAll(name, value), expr)

const promtool = async (...args: ReadonlyArray<string>): Promise<string> => {
  const { code, output } = await runProgram([join(programs, "promtool"), ...args], {
    cwd: folder,
    env: bare(folder),
    limitMs
  })
  if (code !== 0) throw new Error(`promtool ${args.join(" ")}: ${output}`)
  return output.trim()
}

const files = grafanaFiles()
const dashboard = JSON.parse(files["docs/grafana/nexus-dashboard.json"] ?? "{}")
const panels: ReadonlyArray<Panel> = dashboard.panels
writeFileSync(join(folder, "alerts.yaml"), files["docs/grafana/nexus-alerts.yaml"] ?? "")

const works = await startUpstream({ models: ["m", "n"] })
const fails = await startUpstream({
  models: ["m"],
  script: () => [json({ error: { message: "out of memory" } }, 500)]
})
const gateway = await startProcess({ backends: [backendFor("works", works), backendFor("fails", fails)] })
const port = freePort()
const rules = [
  `rule_files: [${join(folder, "alerts.yaml")}]`,
  "global: { scrape_interval: 1s, evaluation_interval: 1s }"
]
const target = `scrape_configs: [{ job_name: nexus, static_configs: [{ targets: ["127.0.0.1:${String(gateway.port)}"] }] }]`
writeFileSync(join(folder, "prometheus.yml"), [...rules, target].join("\n"))
const prometheus = spawn(
  join(programs, "prometheus"),
  [
    `--config.file=${join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${String(port)}`
  ],
  { stdio: "ignore" }
)

const asked = async (expr: string): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${String(port)}/api/v1/query?query=${encodeURIComponent(expr)}`)
  const told: { readonly data?: { readonly result: ReadonlyArray<unknown> }; readonly error?: string } = JSON.parse(
    await answer.text()
  )
  if (told.data === undefined) throw new Error(`${expr}: ${told.error ?? String(answer.status)}`)
  return told.data.result.length
}

/** Waits until it has been scraped more often than that. */
const scraped = async (often: number): Promise<void> => {
  const until = performance.now() + limitMs
  const isSo = () => asked(`count_over_time(up[1h]) > ${String(often)}`).catch(() => 0)
  while ((await isSo()) === 0) {
    if (performance.now() > until) throw new Error("Prometheus does not scrape")
    await Bun.sleep(100)
  }
}

try {
  console.log(await promtool("--version").then((text) => text.split("\n")[0]))
  console.log(await promtool("check", "rules", join(folder, "alerts.yaml")))
  for (let scrape = 0; scrape < scrapes; scrape += 1) {
    const round = Array.from({ length: 20 }, (_, at) =>
      chat(gateway, { model: at % 2 === 0 ? "m" : "n", stream: at % 3 === 0 })
    )
    await Promise.all(round)
    await scraped(scrape)
  }
  const queries = panels.flatMap(({ targets = [], title }) =>
    targets.map(({ expr }) => ({ title, expr: filledIn(expr) }))
  )
  const empty: Array<string> = []
  for (const { expr, title } of queries) if ((await asked(expr)) === 0) empty.push(title)
  console.log(
    `${String(queries.length)} queries are understood, ${String(queries.length - empty.length)} of them show something`
  )
  if (empty.length > 0) console.log(`nothing came of: ${[...new Set(empty)].join(", ")}`)
  if (empty.length > queries.length / 2) process.exitCode = 1
} finally {
  prometheus.kill()
  await gateway[Symbol.asyncDispose]()
  for (const each of [works, fails]) await each[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
}
