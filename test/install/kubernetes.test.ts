import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../src/domain/version.ts"
import { loadedFrom } from "../config/reading.ts"

const page = readFileSync(join(import.meta.dir, "../../docs/kubernetes.md"), "utf8")
const blocks = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = ""]) => text)
const manifests = blocks.find((text) => text.includes("kind: Deployment")) ?? ""
const ingress = blocks.find((text) => text.includes("kind: Ingress")) ?? ""

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly stringData?: Readonly<Record<string, string>>
  readonly data?: Readonly<Record<string, string>>
  // oxlint-disable-next-line typescript/no-explicit-any -- reason: what it holds differs from kind to kind
  readonly spec?: any
}

const all = Bun.YAML.parse(manifests) as ReadonlyArray<Manifest> // reason: checked by what is expected of it
const one = (kind: string): Manifest => {
  const found = all.find((each) => each.kind === kind)
  if (found === undefined) throw new Error(`no ${kind} on the page`)
  return found
}
const pod = one("Deployment").spec.template
const [container] = pod.spec.containers

describe("the manifests of the page on Kubernetes", () => {
  test("hold a config that Nexus takes as it is, with the variables of their Secret", () => {
    const env = one("Secret").stringData ?? {}
    const text = one("ConfigMap").data?.["nexus.toml"]
    const { authKeys, backends, discovery, warnings } = loadedFrom(text, { env: { ...env, NEXUS_HOST: "0.0.0.0" } })
    expect([authKeys.length, backends.map(({ name }) => name), discovery]).toEqual([1, ["vllm", "openai"], false])
    expect(warnings).toEqual([])
    expect(container.envFrom).toEqual([{ secretRef: { name: one("Secret").metadata.name } }])
  })

  test("give a pod that ends more time than it takes", () => {
    const env = one("Secret").stringData ?? {}
    const text = one("ConfigMap").data?.["nexus.toml"]
    const { shutdown_delay_seconds: delay, shutdown_grace_seconds: grace } = loadedFrom(text, { env }).settings.server
    expect(delay).toBeGreaterThan(0)
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(delay + grace + 5)
  })

  test("lead from the Ingress to the Service, to the pods, to the port", () => {
    const way = Bun.YAML.parse(ingress) as Manifest // reason: checked by what is expected of it
    const [path] = way.spec.rules[0].http.paths
    const service = one("Service")
    expect(path.backend.service).toEqual({ name: service.metadata.name, port: { name: service.spec.ports[0].name } })
    expect(pod.metadata.labels).toEqual(service.spec.selector)
    expect(one("PodDisruptionBudget").spec.selector.matchLabels).toEqual(service.spec.selector)
    expect(service.spec.ports[0].targetPort).toBe(container.ports[0].name)
    expect(container.ports[0].containerPort).toBe(loadedFrom("").settings.server.port)
    // Administration is for inside.
    expect(path.path).toBe("/v1/")
  })

  test("run the image of this version, as its account, with nothing to write to", () => {
    expect(container.image).toEndWith(`:${version}`)
    expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65_532 })
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } })
  })
})
