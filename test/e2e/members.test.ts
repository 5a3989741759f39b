import { afterAll, describe, expect, test } from "bun:test"
import { type DnsRecord, startDns } from "../kit/dnsServer.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { startGateway, startProcess, until } from "../kit/gateway.ts"
import { KubernetesApi } from "../kit/kubernetesApi.ts"
import { terminate, wrong } from "../kit/tls.ts"

const address = (data: string): DnsRecord => ({ type: "A", data })

const two = await Promise.all([startUpstream({ models: ["m"] }), startUpstream({ models: ["m", "extra"] })])
afterAll(() => Promise.all(two.map((each) => each[Symbol.asyncDispose]())))

/** SRV records of the two servers, as a headless Service has them. */
const services = (name: string, type: string): ReadonlyArray<DnsRecord> => {
  if (type === "SRV")
    return two.map(({ port }, at) => ({ type: "SRV", data: { target: `pod-${at}.vllm.models`, port } }))
  return type === "A" && name.startsWith("pod-") ? [address("127.0.0.1")] : []
}

const ask = (url: string, model: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })

describe("a backend whose name stands for several servers", () => {
  test("is a backend for each of them, with its own models and health, told the name and called by address", async () => {
    await using dns = await startDns(services)
    await using gateway = await startGateway({
      discovery: { enabled: false, dns_servers: [dns.address] },
      backends: [{ name: "vllm", url: "http://_http._tcp.vllm.models", members: "dns" }],
      health_check: { interval_seconds: 3600, failure_threshold: 1 }
    })
    expect(
      gateway
        .backends()
        .map(({ address: at, member_of: of, models, name, origin, status }) => [
          name,
          at,
          of,
          origin,
          status,
          models.length
        ])
    ).toEqual([
      ["vllm-pod-0", "127.0.0.1", "vllm", "member", "healthy", 1],
      ["vllm-pod-1", "127.0.0.1", "vllm", "member", "healthy", 2]
    ])
    const answer = await ask(gateway.url, "extra")
    expect([answer.status, answer.headers.get("x-nexus-backend")]).toEqual([200, "vllm-pod-1"])
    expect(two[1].lastCall().headers.find(([name]) => name.toLowerCase() === "host")?.[1]).toBe(
      `vllm.models:${two[1].port}`
    )
  })

  test("is what keys, groups and rules mean by its own name", async () => {
    await using dns = await startDns(services)
    await using other = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      discovery: { enabled: false, dns_servers: [dns.address] },
      backends: [
        { name: "other", url: other.url },
        { name: "vllm", url: "http://_http._tcp.vllm.models", members: "dns" }
      ],
      routing: { groups: { grouped: ["m@vllm"] } },
      routes: [{ name: "sent", match: { model: "ruled" }, model: "m", backends: ["vllm"] }]
    })
    for (const model of ["grouped", "ruled"]) {
      const answer = await ask(gateway.url, model)
      expect([model, answer.status, answer.headers.get("x-nexus-backend")]).toEqual([
        model,
        200,
        expect.stringMatching(/^vllm-pod-[01]$/)
      ])
    }
  })

  test("is trusted over TLS by its name, whatever the address", async () => {
    const [upstream] = two
    await using front = await terminate(upstream.port, wrong)
    await using dns = await startDns((name, type) =>
      name === "wrong.example" && type === "A" ? [address("127.0.0.1")] : []
    )
    await using gateway = await startGateway(
      {
        discovery: { enabled: false, dns_servers: [dns.address] },
        backends: [{ name: "tls", url: front.url.replace("127.0.0.1", "wrong.example"), members: "dns" }]
      },
      { backendKeys: new Map(), authKeys: [], backendTls: new Map([["tls", { ca: wrong.cert }]]) }
    )
    expect(gateway.backend("tls-127.0.0.1").status).toBe("healthy")
    expect((await ask(gateway.url, "m")).status).toBe(200)
  })

  test("is in the zone where its servers are, and not asked beyond the one it is said to be in", async () => {
    await using dns = await startDns(services)
    await using gateway = await startGateway({
      discovery: { enabled: false, dns_servers: [dns.address] },
      backends: [
        { name: "vllm", url: "http://_http._tcp.vllm.models", members: "dns" },
        { name: "said", url: "http://_http._tcp.vllm.models/other", members: "dns", zone: "lan" }
      ]
    })
    const zones = gateway
      .backends()
      .map(({ name, reason, status, zone }) => [name, zone, status, reason.includes("it is said to be in lan")])
    expect(zones.toSorted()).toEqual([
      ["said-pod-0", "lan", "unhealthy", true],
      ["said-pod-1", "lan", "unhealthy", true],
      ["vllm-pod-0", "local", "healthy", false],
      ["vllm-pod-1", "local", "healthy", false]
    ])
  })

  test("follows the pods of a Service while requests go on, with workers as well", async () => {
    await using api = new KubernetesApi()
    const pods = (...which: ReadonlyArray<0 | 1>) => {
      for (const at of [0, 1] as const) {
        const endpoints = which.includes(at) ? [{ pod: `vllm-${at}`, address: "127.0.0.1", ready: true }] : []
        api.put(`slice-${at}`, {
          service: "vllm",
          namespace: "models",
          ports: [{ name: "http", port: two[at].port }],
          endpoints
        })
      }
    }
    pods(0)
    await using gateway = await startProcess({
      server: { port: 0, workers: 2 },
      discovery: { enabled: false, kubernetes: { url: api.url } },
      backends: [{ name: "vllm", url: "http://vllm.models", members: "kubernetes" }]
    })
    expect([
      (await ask(gateway.url, "m")).headers.get("x-nexus-backend"),
      (await ask(gateway.url, "extra")).status
    ]).toEqual(["vllm-0", 404])
    pods(1)
    // A worker is told some milliseconds later than the supervisor hears of it.
    let answer = await ask(gateway.url, "extra")
    await until(async () => answer.status === 200 || (answer = await ask(gateway.url, "extra")).status === 200, "told")
    expect([answer.status, answer.headers.get("x-nexus-backend")]).toEqual([200, "vllm-1"])
  })
})
