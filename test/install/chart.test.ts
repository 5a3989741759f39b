import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { stringify } from "smol-toml"
import { version } from "../../src/domain/version.ts"
import { loadedFrom } from "../config/reading.ts"
import { type Gateway, startGateway } from "../kit/gateway.ts"
import { good } from "../kit/tls.ts"

const root = join(import.meta.dir, "../..")
const chart = join(root, "deploy/helm")
const kustomize = join(root, "deploy/kustomize")

// oxlint-disable-next-line typescript/no-explicit-any -- reason: YAML is what it is; what is expected of it checks it
const yaml = (path: string): any => Bun.YAML.parse(readFileSync(path, "utf8"))

const text = (path: string): string => readFileSync(path, "utf8")

type Tree = Readonly<Record<string, unknown>>

const isTree = (of: unknown): of is Tree => typeof of === "object" && of !== null && !Array.isArray(of)

/** Values as helm lays them over the chart's own. */
const laid = (under: Tree, over: Tree): Tree => {
  const both: Record<string, unknown> = { ...under }
  for (const [key, each] of Object.entries(over)) {
    const below = both[key]
    both[key] = isTree(below) && isTree(each) ? laid(below, each) : each
  }
  return both
}

const own = yaml(join(chart, "values.yaml"))
const cases = readdirSync(join(chart, "ci"))
const templates = readdirSync(join(chart, "templates"))
  .map((name) => text(join(chart, "templates", name)))
  .join("\n")
const deployment = text(join(chart, "templates/deployment.yaml"))

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({})
})
afterAll(() => gateway[Symbol.asyncDispose]())

const pathsIn = (manifest: string): ReadonlyArray<string> =>
  [...manifest.matchAll(/^\s*path: (\/[a-z]+)$/gm)].map(([, path = ""]) => path)

describe("the chart", () => {
  test("has the version of the program, for itself and for the image", () => {
    const { appVersion, version: of } = yaml(join(chart, "Chart.yaml"))
    expect([of, appVersion]).toEqual([version, version])
  })

  test("takes its own values and all of ci/ by its schema, and none that it does not know", () => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(text(join(chart, "values.schema.json"))))
    for (const name of cases) {
      expect([name, validate(laid(own, yaml(join(chart, "ci", name)))), validate.errors]).toEqual([name, true, null])
    }
    for (const wrong of [{ replicas: 2 }, { clientKeys: [{ name: "a" }] }, { valkey: { url: "http://valkey" } }]) {
      expect(validate(laid(own, wrong))).toBe(false)
    }
  })

  test.each(cases)("has a config with %s that Nexus takes as it is", (name) => {
    const values = laid(own, yaml(join(chart, "ci", name))) as typeof own // reason: the same values, some changed
    const keys = values.clientKeys.map((key: Tree) =>
      Object.assign({ name: key["name"], env: `K_${String(key["name"])}`.replaceAll("-", "_") }, key["settings"])
    )
    const store = values.valkey.inside.enabled ? "redis://release-nexus-valkey:6379" : values.valkey.url
    const told = laid(values.config, {
      auth: { keys: [...(values.config.auth?.keys ?? []), ...keys] },
      ...(store === ""
        ? {}
        : { cluster: { url: store, ...(values.valkey.secretName === "" ? {} : { password_env: "K_STORE" }) } })
    })
    const toml = values.configText === "" ? stringify(told) : values.configText
    const names = [...toml.matchAll(/(?:env|_env) = "([^"]+)"/g)].map(([, variable = ""]) => variable)
    const files = [...toml.matchAll(/"(\/run\/[^"]+)"/g)].map(
      ([, file = ""]) =>
        [
          file,
          file.endsWith(".pem")
            ? { text: good.cert, pem: { certified: "any", held: undefined } }
            : { text: "nx-file-0123456789" }
        ] as const
    )
    const env = Object.fromEntries(names.map((variable) => [variable, `nx-${variable}-0123456789abcdef`]))
    const loaded = loadedFrom(toml, { env: { ...env, NEXUS_HOST: values.host }, files: new Map(files) as never }) // reason: as much of a PEM as is looked at
    expect([loaded.warnings, loaded.notes]).toEqual([[], []])
    expect(loaded.settings.discovery.enabled).toBe(values.configText !== "")
  })

  test("asks paths, by variables and at a port, that Nexus has", async () => {
    expect(new Set(pathsIn(templates))).toEqual(new Set(["/livez", "/readyz", "/metrics"]))
    for (const path of new Set(pathsIn(templates)))
      expect([path, (await fetch(gateway.url + path)).status]).not.toEqual([path, 404])
    const variables = [...new Set(deployment.match(/\bNEXUS_[A-Z_]+(?=$)/gm))]
    expect(variables).toEqual(["NEXUS_HOST"])
    expect(loadedFrom("", { env: { NEXUS_HOST: "127.0.0.2" } }).settings.server.host).toBe("127.0.0.2")
    const [, port] = /server\.port \| default (\d+)/.exec(templates) ?? []
    expect(Number(port)).toBe(loadedFrom("").settings.server.port)
    expect(text(join(root, "Dockerfile"))).toContain(`WORKDIR ${/mountPath: (\/etc\/nexus)$/m.exec(deployment)?.[1]}`)
    expect(deployment).toContain("runAsUser: 65532")
    expect(text(join(root, "Dockerfile"))).toContain("USER 65532:65532")
  })

  test("scales by a metric that there is", async () => {
    expect(await (await fetch(`${gateway.url}/metrics`)).text()).toContain(`# TYPE ${own.autoscaling.metric} gauge`)
  })

  test("gives a pod that ends the time that it takes", () => {
    const reckoned = /add \(([^)]*)\) \(([^)]*)\) \(([^)]*)\) 5/.exec(templates)?.slice(1).join(" ") ?? ""
    for (const part of ["preStopSeconds", "shutdown_delay_seconds", "shutdown_grace_seconds"])
      expect(reckoned).toContain(part)
    const { server } = loadedFrom(stringify({ server: own.config.server })).settings
    expect([server.shutdown_delay_seconds, server.shutdown_grace_seconds]).toEqual([5, 30])
  })
})

const helm = process.env["HELM"] ?? Bun.which("helm") ?? undefined

describe.skipIf(helm === undefined)("the chart as helm renders it", () => {
  const rendered = async (values: Tree) => {
    const own = { config: { backends: [] }, clientKeys: [clientKey("clients")], ...values }
    const running = Bun.spawn([helm ?? "", "template", "release", chart, "--values", "-"], {
      stdin: new Blob([JSON.stringify(own)]),
      stdout: "pipe",
      stderr: "pipe"
    })
    const [out, says] = await Promise.all([new Response(running.stdout).text(), new Response(running.stderr).text()])
    return { says, manifests: says.includes("Error") ? [] : ([Bun.YAML.parse(out)].flat() as ReadonlyArray<Tree>) } // reason: helm writes manifests
  }
  const clientKey = (name: string) => ({ name, secretName: "nexus-keys", secretKey: name })
  const mount = { name: "data", mountPath: "/var/lib/nexus" }
  const stored = (path: string) => ({ config: { auth: { store: path } } })

  test.each<readonly [string, Tree, RegExp | undefined]>([
    ["two keys of one name", { clientKeys: [clientKey("a"), clientKey("a")] }, /clientKeys: the name "a" is taken/],
    [
      "two keys of one variable",
      { clientKeys: [clientKey("team-a"), clientKey("Team.a")] },
      /"Team.a" and "team-a" would have one variable, CLIENT_KEY_TEAM_A/
    ],
    [
      "a key that the config has",
      { config: { auth: { keys: [{ name: "clients", env: "OTHER" }] } } },
      /the name "clients" is taken, by config.auth.keys/
    ],
    [
      "a key called as that of the metrics",
      { clientKeys: [clientKey("metrics")], metrics: { secretName: "s" } },
      /the name "metrics" is taken, by metrics.secretName/
    ],
    [
      "two variables of one name",
      { secretEnv: [{ name: "METRICS_KEY", secretName: "s", secretKey: "k" }], metrics: { secretName: "s" } },
      /secretEnv: the variable METRICS_KEY is taken/
    ],
    [
      "a store of keys in the folder of the config",
      stored("keys.sqlite"),
      /config.auth.store: "keys.sqlite" would stand/
    ],
    ["one in no volume", { ...stored("/data/keys.sqlite"), volumeMounts: [mount] }, /config.auth.store/],
    [
      "one in a volume that is read only",
      { ...stored("/var/lib/nexus/keys.sqlite"), volumeMounts: [{ ...mount, readOnly: true }] },
      /config.auth.store/
    ],
    ["one in a volume", { ...stored("/var/lib/nexus/keys.sqlite"), volumeMounts: [mount] }, undefined],
    ["usage at its usual place", { config: { usage: { enabled: true } } }, /config.usage.path: "nexus-usage.sqlite"/],
    ["budgets without a place for usage", { config: { budgets: [{ name: "b", hard_usd: 1 }] } }, /config.usage.path/],
    ["captures at their usual place", { config: { capture: { key_env: "K" } } }, /config.capture.path/],
    [
      "usage where a variable says",
      { config: { usage: { enabled: true } }, env: [{ name: "NEXUS_USAGE_PATH", value: "/data/u.sqlite" }] },
      undefined
    ],
    ["usage that is not written", { config: { usage: { enabled: false } } }, undefined]
  ])("takes or refuses %s, and says what would be right", async (_, values, refusal) => {
    const { manifests, says } = await rendered(values)
    if (refusal === undefined) expect([says, manifests.length > 0]).toEqual(["", true])
    else expect(says).toMatch(refusal)
  })

  test.each<readonly [string, number, Tree | undefined]>([
    [
      "redis://valkey.data.svc.cluster.local",
      6379,
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "data" } } }
    ],
    [
      "rediss://nexus@valkey.data.svc:6380/0",
      6380,
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "data" } } }
    ],
    ["redis://10.1.2.3:7000", 7000, { ipBlock: { cidr: "10.1.2.3/32" } }],
    ["redis://[fd00::7]:7000", 7000, { ipBlock: { cidr: "fd00::7/128" } }],
    ["redis://store.example.org", 6379, undefined]
  ])("lets out to %s where it bounds what is let out", async (url, port, to) => {
    const egress = [{ ports: [{ port: 443 }] }]
    for (const values of [{ valkey: { url } }, { config: { cluster: { url } } }]) {
      const { manifests, says } = await rendered({ ...values, networkPolicy: { enabled: true, egress } })
      expect(says).toBe("")
      const policy = manifests.find((each) => each["kind"] === "NetworkPolicy")?.["spec"]
      expect(policy).toMatchObject({
        egress: [{}, { ports: [{ port }], ...(to === undefined ? {} : { to: [to] }) }, egress[0]]
      })
    }
  })
})

describe("the base for kustomize", () => {
  const pod = yaml(join(kustomize, "deployment.yaml")).spec.template
  const [container] = pod.spec.containers

  test("has a config that Nexus takes with the variables of its Secret, and time to end", () => {
    const env = { CLIENT_KEY: "nx-0123456789abcdef", NEXUS_HOST: container.env[0].value }
    const { settings, warnings } = loadedFrom(text(join(kustomize, "nexus.toml")), { env })
    expect(warnings).toEqual([])
    const { shutdown_delay_seconds: delay, shutdown_grace_seconds: grace } = settings.server
    const { seconds } = container.lifecycle.preStop.sleep
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(seconds + delay + grace + 5)
    expect(container.ports[0].containerPort).toBe(loadedFrom("").settings.server.port)
  })

  test("leads from the Service to the pods, and names what there is", () => {
    const { images, resources } = yaml(join(kustomize, "kustomization.yaml"))
    const service = yaml(join(kustomize, "service.yaml"))
    expect(pod.metadata.labels).toEqual(service.spec.selector)
    expect(yaml(join(kustomize, "disruption.yaml")).spec.selector.matchLabels).toEqual(service.spec.selector)
    expect(service.spec.ports[0].targetPort).toBe(container.ports[0].name)
    expect(resources.toSorted()).toEqual(
      readdirSync(kustomize)
        .filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml")
        .toSorted()
    )
    expect([images[0].name, images[0].newTag]).toEqual([container.image, version])
    expect(new Set(pathsIn(text(join(kustomize, "deployment.yaml"))))).toEqual(new Set(["/livez", "/readyz"]))
  })
})
