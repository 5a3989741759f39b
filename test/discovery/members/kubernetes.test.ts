import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Result, Schema } from "effect"
import { EndpointSlice, endpointsOf } from "../../../src/discovery/members/endpoint-slices.ts"
import { waitMs } from "../../../src/discovery/members/kubernetes.ts"
import { Registry } from "../../../src/registry/Registry.ts"
import { until } from "../../kit/gateway.ts"
import { KubernetesApi, sliceObject, type SliceText } from "../../kit/kubernetesApi.ts"
import { good } from "../../kit/tls.ts"
import { loadedFrom } from "../../config/reading.ts"
import { followed, following, membersIn } from "./following.ts"

const slice = (name: string, text: Omit<SliceText, "service">): EndpointSlice =>
  Schema.decodeUnknownSync(EndpointSlice)(sliceObject(name, { service: "vllm", ...text }, 1))

const read = (slices: ReadonlyArray<EndpointSlice>, url = "http://vllm.models:8000") =>
  endpointsOf(slices, followed(url, "kubernetes"))

const labels = (slices: ReadonlyArray<EndpointSlice>, url?: string) =>
  Result.match(read(slices, url), {
    onSuccess: (all) => all.map(({ address, label, port }) => `${label} ${address} ${port}`),
    onFailure: (fault) => fault
  })

describe("EndpointSlices", () => {
  test("tell of the pods that are ready, and of those of which nobody knows", () => {
    const endpoints = [
      { pod: "a", address: "10.0.0.1", ready: true },
      { pod: "b", address: "10.0.0.2", ready: false },
      { pod: "c", address: "10.0.0.3" },
      { address: "10.0.0.4", ready: true }
    ]
    expect(labels([slice("s", { endpoints })])).toEqual([
      "a 10.0.0.1 8000",
      "c 10.0.0.3 8000",
      "10.0.0.4 10.0.0.4 8000"
    ])
  })

  test("tell of a pod once, whether it stands in two of them or has two families of addresses", () => {
    const one = slice("s-1", { endpoints: [{ pod: "a", address: "10.0.0.1", ready: true }] })
    const moved = slice("s-2", { endpoints: [{ pod: "a", address: "10.0.0.1", ready: true }] })
    const other = slice("s-0", { family: "IPv6", endpoints: [{ pod: "a", address: "fd00::1", ready: true }] })
    expect(labels([other, moved, one])).toEqual(["a 10.0.0.1 8000"])
  })

  test("tell of the port that is meant, or that nobody said which", () => {
    const ports = [
      { name: "http", port: 8000 },
      { name: "metrics", port: 9090 },
      { name: "quic", port: 8000, protocol: "UDP" }
    ]
    const several = [slice("s", { ports, endpoints: [{ pod: "a", address: "10.0.0.1", ready: true }] })]
    expect(labels(several, "http://vllm.models:9090")).toEqual(["a 10.0.0.1 9090"])
    expect(labels(several, "http://_metrics._tcp.vllm.models")).toEqual(["a 10.0.0.1 9090"])
    expect(labels(several, "http://vllm.models")).toContain("http://_http._tcp.vllm.models")
    expect(labels(several, "http://_grpc._tcp.vllm.models")).toContain("no port called grpc; it has http, metrics")
    const only = slice("s", { ports: [{ port: 8080 }], endpoints: [{ pod: "a", address: "10.0.0.1", ready: true }] })
    expect(labels([only], "http://vllm.models:80")).toEqual(["a 10.0.0.1 8080"])
  })

  test("are read as the API writes them, with nulls and without what is empty", () => {
    const bare = Schema.decodeUnknownSync(EndpointSlice)({
      metadata: { name: "s" },
      addressType: "IPv4",
      endpoints: null,
      ports: null
    })
    expect(labels([bare])).toEqual([])
    expect(labels([])).toEqual([])
  })
})

test("the wait before another try grows from a second to half a minute, and is never none", () => {
  expect([1, 2, 3, 6, 60].map((failures) => waitMs(failures, 1))).toEqual([1000, 2000, 4000, 30_000, 30_000])
  expect(waitMs(1, 0)).toBe(500)
})

/** Follows the Service `vllm` of the namespace `models` at an API. */
const watched = (
  api: KubernetesApi,
  body: (members: () => Readonly<Record<string, string>>, log: ReadonlyArray<string>) => Promise<void>,
  more = ""
): Promise<void> => {
  const log: Array<string> = []
  const { kubernetes } = loadedFrom(`[discovery.kubernetes]\nurl = "${api.url}"\n${more}`)
  const layer = following({ followed: [followed("http://vllm.models:8000", "kubernetes")], kubernetes }, log)
  return Effect.runPromise(
    Registry.use((registry) => Effect.promise(() => body(() => membersIn(registry), log))).pipe(
      Effect.provide(layer),
      Effect.scoped
    )
  )
}

const models = (...pods: ReadonlyArray<readonly [pod: string, address: string]>): SliceText => ({
  service: "vllm",
  namespace: "models",
  endpoints: pods.map(([pod, address]) => ({ pod, address, ready: true }))
})

const names = (members: () => object) => Object.keys(members()).join(" ")

describe("a backend whose Service is followed", () => {
  test("has a backend for each pod from the start, and follows what changes while it watches", async () => {
    await using api = new KubernetesApi()
    api.put("vllm-abc", models(["vllm-0", "10.0.0.1"]))
    api.put("other", { ...models(["other-0", "10.0.0.9"]), service: "other" })
    await watched(api, async (members) => {
      expect(members()).toEqual({ "vllm-0": "10.0.0.1 http://vllm.models:8000" })
      await until(() => api.watches === 1, "it watches")
      api.put("vllm-abc", models(["vllm-0", "10.0.0.1"], ["vllm-1", "10.0.0.2"]))
      await until(() => names(members) === "vllm-0 vllm-1", "the new one is there")
      // A pod that was made anew has another address, and its name.
      api.put("vllm-abc", models(["vllm-0", "10.0.0.7"], ["vllm-1", "10.0.0.2"]))
      await until(() => members()["vllm-0"] === "10.0.0.7 http://vllm.models:8000", "it has moved")
      api.put("vllm-def", models(["vllm-2", "10.0.0.3"]))
      await until(() => names(members) === "vllm-0 vllm-1 vllm-2", "another slice counts as well")
      api.remove("vllm-abc", "models")
      await until(() => names(members) === "vllm-2", "those of a slice that has gone are gone")
      expect(api.requests.filter(({ query }) => query.get("watch") === null).length).toBe(1)
    })
    await until(() => api.watches === 0, "nothing is watched any more")
  })

  test("is listed in pages", async () => {
    await using api = new KubernetesApi()
    for (let at = 0; at < 501; at += 1) api.put(`s-${at}`, models([`vllm-${at}`, `10.0.${at >> 8}.${at & 255}`]))
    await watched(api, async (members) => {
      expect(Object.keys(members()).length).toBe(501)
      await until(() => api.watches === 1, "it watches")
    })
  })

  test("is watched on from where a watch has ended, by bookmarks where nothing else was heard", async () => {
    await using api = new KubernetesApi()
    api.put("vllm-abc", models(["vllm-0", "10.0.0.1"]))
    await watched(api, async (members) => {
      await until(() => api.watches === 1, "it watches")
      api.bookmark()
      // What was before the bookmark is forgotten: only who has taken it in can go on without a new list.
      api.compact()
      api.endWatches()
      api.put("vllm-abc", models(["vllm-1", "10.0.0.2"]))
      await until(() => names(members) === "vllm-1", "what came between two watches is not lost")
      expect(api.requests.filter(({ query }) => query.get("watch") === null).length).toBe(1)
    })
  })

  test("is listed anew when its history is no longer kept", async () => {
    await using api = new KubernetesApi()
    api.put("vllm-abc", models(["vllm-0", "10.0.0.1"]))
    await watched(api, async (members) => {
      await until(() => api.watches === 1, "it watches")
      api.put("vllm-abc", models(["vllm-0", "10.0.0.1"], ["vllm-1", "10.0.0.2"]))
      await until(() => names(members) === "vllm-0 vllm-1", "the new one is there")
      api.compact()
      api.expireWatches()
      api.put("vllm-abc", models(["vllm-2", "10.0.0.3"]))
      await until(() => names(members) === "vllm-2", "the list of now counts")
      expect(api.requests.filter(({ query }) => query.get("watch") === null).length).toBe(2)
    })
  })

  test("is asked for with the token that the file has at the moment, and over TLS by the authority of its file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nexus-account-"))
    try {
      await using api = new KubernetesApi(good)
      api.token = "one"
      writeFileSync(join(folder, "token"), "one\n")
      writeFileSync(join(folder, "ca.crt"), good.cert)
      api.put("vllm-abc", models(["vllm-0", "10.0.0.1"]))
      const more = `token_file = "${join(folder, "token")}"\nca_file = "${join(folder, "ca.crt")}"`
      await watched(
        api,
        async (members) => {
          expect(names(members)).toBe("vllm-0")
          await until(() => api.watches === 1, "it watches")
          api.token = "two"
          writeFileSync(join(folder, "token"), "two\n")
          api.endWatches()
          api.put("vllm-abc", models(["vllm-1", "10.0.0.2"]))
          await until(() => names(members) === "vllm-1", "the new token is used")
        },
        more
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test("keeps its members while the API refuses or is away, and follows on when it is back", async () => {
    await using api = new KubernetesApi()
    api.put("vllm-abc", models(["vllm-0", "10.0.0.1"]))
    await watched(api, async (members, log) => {
      await until(() => api.watches === 1, "it watches")
      api.allowed = false
      const before = api.requests.length
      api.endWatches()
      await until(() => api.requests.length > before, "it is asked again")
      await until(
        () => log.some((line) => line.includes("endpointslices.discovery.k8s.io is forbidden")),
        "it is told why"
      )
      expect(names(members)).toBe("vllm-0")
      api.allowed = true
      api.put("vllm-abc", models(["vllm-1", "10.0.0.2"]))
      await until(() => names(members) === "vllm-1", "it follows on")
    })
  })
})

describe("where the API of Kubernetes is", () => {
  const of = (text: string, env: Readonly<Record<string, string>> = {}) => loadedFrom(text, { env }).kubernetes

  test("is what a pod is told of it", () => {
    expect(of("", { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" })).toEqual({
      url: "https://[fd00::1]:6443",
      tokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
      caFile: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
      namespace: undefined,
      namespaceFile: "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    })
    expect(of("")).toBeUndefined()
  })

  test("is what the settings say, without the files of a pod", () => {
    expect(
      of('[discovery.kubernetes]\nurl = "http://127.0.0.1:8001/"', { KUBERNETES_SERVICE_HOST: "10.0.0.1" })
    ).toEqual({
      url: "http://127.0.0.1:8001",
      tokenFile: undefined,
      caFile: undefined,
      namespace: undefined,
      namespaceFile: undefined
    })
  })
})
