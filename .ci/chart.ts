/**
 * The Helm chart as helm sees it: linted and rendered with each of its values files, what comes out validated against the
 * published schemas of the oldest and the newest supported Kubernetes, and the config in it checked by Nexus. Where helm or the
 * schemas are not there, it says what was skipped:
 *   go install helm.sh/helm/v4/cmd/helm@v4.3.2
 *   pip install kubernetes-validate==1.37.0
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { good } from "../test/kit/tls.ts"
import { root, run } from "./steps.ts"

const chart = join(root, "deploy/helm")
const kustomize = join(root, "deploy/kustomize")

/** Kubernetes that the chart is for: Chart.yaml says the first. */
const supported = ["1.30", "1.37"]

/** Kinds that others define, of which the schemas know nothing. */
const foreign = ["ServiceMonitor"]

/** What came of it. */
export interface ChartChecks {
  readonly passed: number
  readonly failures: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<string>
}

interface Manifest {
  readonly kind?: string
  readonly data?: Readonly<Record<string, string>>
  // oxlint-disable-next-line typescript/no-explicit-any -- reason: what it holds differs from kind to kind
  readonly spec?: any
}

const firstThatRuns = async (
  programs: ReadonlyArray<string>,
  args: ReadonlyArray<string>
): Promise<string | undefined> => {
  for (const program of programs) if ((await run(program, args)).code === 0) return program
  return undefined
}

// Files that the config names are of volumes: they are made here, below another folder.
const withFiles = (toml: string, folder: string): string =>
  toml.replace(/"\/run\/([^"]+)"/g, (_, name: string) => {
    const file = join(folder, name.replaceAll("/", "-"))
    writeFileSync(file, name.endsWith(".pem") ? good.cert : "nx-0123456789abcdef0123456789abcdef")
    return JSON.stringify(file)
  })

/** Checks what can be checked here. */
export const checkChart = async (): Promise<ChartChecks> => {
  const failures: Array<string> = []
  const skipped: Array<string> = []
  let passed = 0
  const said = (
    name: string,
    { code, stderr, stdout }: Awaited<ReturnType<typeof run>>,
    isGood = code === 0
  ): boolean => {
    if (isGood) passed += 1
    else failures.push(`${name}: ${`${stdout}\n${stderr}`.trim()}`)
    return isGood
  }
  const helm = await firstThatRuns([process.env["HELM"] ?? "helm", join(homedir(), "go/bin/helm")], ["version"])
  const python = await firstThatRuns(
    [process.env["PYTHON_WITH_KUBERNETES"] ?? "python3"],
    ["-c", "import kubernetes_validate"]
  )
  if (helm === undefined) skipped.push("the chart is not rendered: there is no helm")
  if (python === undefined) skipped.push("manifests are not validated: there is no kubernetes_validate (PyPI)")
  const folder = mkdtempSync(join(tmpdir(), "nexus-chart-"))
  const validate = async (name: string, file: string): Promise<void> => {
    if (python === undefined) return
    for (const version of supported) {
      const result = await run(python, ["-m", "kubernetes_validate", "-k", version, "--strict", file])
      const lines = `${result.stdout}\n${result.stderr}`.split("\n").filter((line) => /^(WARN|ERROR)/.test(line))
      const unknown = lines.filter((line) => !foreign.some((kind) => line.includes(`schema for kind ${kind} `)))
      said(`${name} for Kubernetes ${version}`, result, result.code === 0 && unknown.length === 0)
    }
  }
  const checkConfig = async (name: string, manifests: ReadonlyArray<Manifest>): Promise<void> => {
    const toml = manifests.flatMap(({ data }) => data?.["nexus.toml"] ?? []).join("")
    const file = join(folder, "nexus.toml")
    writeFileSync(file, withFiles(toml, folder))
    const [container] = manifests.find(({ kind }) => kind === "Deployment")?.spec.template.spec.containers ?? []
    const env = Object.fromEntries(
      (container?.env ?? []).map(({ name: variable, value }: { readonly name: string; readonly value?: string }) => [
        variable,
        // No two keys are the same.
        value ?? `nx-${variable.toLowerCase()}-0123456789abcdef`
      ])
    )
    const result = await run(process.execPath, ["--no-env-file", "src/main.ts", "config", "check", "-c", file], { env })
    said(`the config of ${name}`, result, result.code === 0 && !result.stderr.includes("warning:"))
  }
  try {
    for (const values of readdirSync(join(chart, "ci")).sort()) {
      if (helm === undefined) break
      const given = ["-f", join(chart, "ci", values)]
      said(`lint with ${values}`, await run(helm, ["lint", "--strict", chart, ...given]))
      const rendered = await run(helm, [
        "template",
        "release",
        chart,
        "--kube-version",
        `${supported[0] ?? ""}.0`,
        ...given
      ])
      if (!said(`render with ${values}`, rendered)) continue
      const file = join(folder, values)
      writeFileSync(file, rendered.stdout)
      await validate(values, file)
      await checkConfig(values, [Bun.YAML.parse(rendered.stdout)].flat() as ReadonlyArray<Manifest>) // reason: helm writes manifests
    }
    for (const name of ["deployment.yaml", "service.yaml", "disruption.yaml"])
      await validate(name, join(kustomize, name))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return { passed, failures, skipped }
}

if (import.meta.main) {
  const { failures, passed, skipped } = await checkChart()
  for (const line of [...failures, ...skipped]) console.log(line)
  console.log(`${passed} passed, ${failures.length} failed`)
  process.exit(failures.length === 0 ? 0 : 1)
}
