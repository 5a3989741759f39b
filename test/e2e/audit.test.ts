import { afterAll, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"

const { close, nexus } = makeShell()

afterAll(close)

interface Audit {
  readonly mode: string
  readonly possible: ReadonlyArray<{
    host: string
    port: number | null
    zone: string
    purpose: string
    why_not: string | null
  }>
  readonly contacted: ReadonlyArray<{
    host: string
    port: number
    zones: ReadonlyArray<string>
    connections: number
    calls: number
    last_ms_ago: number
  }>
  readonly complete: boolean
}

const auditAt = async (url: string): Promise<Audit> => (await (await fetch(`${url}/admin/v1/audit`)).json()) as Audit

test("the audit lists every host that may be contacted, what for and whether it is let, and those alone as contacted that were", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({
    privacy: { mode: "local-only", networks: ["10.0.0.0/8"] },
    discovery: { enabled: true, hosts: ["127.0.0.3:9000"], interval_seconds: 3600 },
    backends: [
      backendFor("here", upstream),
      { name: "far", type: "anthropic" },
      { name: "beyond", url: "http://192.0.2.1:8000", wake: "aa:bb:cc:dd:ee:ff" }
    ]
  })
  const before = await auditAt(gateway.url)
  expect(before.mode).toBe("local-only")
  const of = (purpose: string) => before.possible.filter((each) => each.purpose === purpose)
  expect(of("backend here")).toEqual([
    { host: "127.0.0.1", port: upstream.port, zone: "local", purpose: "backend here", why_not: null }
  ])
  expect(of("backend far")).toMatchObject([
    { host: "api.anthropic.com", port: 443, zone: "cloud", why_not: expect.stringContaining("local-only") }
  ])
  expect(of("backend beyond")).toMatchObject([{ host: "192.0.2.1", zone: "cloud", why_not: expect.any(String) }])
  expect(of("wakes backend beyond")).toMatchObject([{ host: "255.255.255.255", why_not: expect.any(String) }])
  expect(of("discovery")).toMatchObject([
    { host: "127.0.0.1", port: null, zone: "local" },
    { host: "127.0.0.3", port: 9000, zone: "local", why_not: null }
  ])
  const callsOf = ({ contacted }: Audit) =>
    contacted.filter(({ port }) => port === upstream.port).map(({ calls, zones }) => [calls, zones] as const)
  const [[probes = 0] = []] = callsOf(before)
  expect(probes).toBeGreaterThan(0)
  for (let turn = 0; turn < 3; turn += 1) {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] })
    })
    await response.text()
  }
  const after = await auditAt(gateway.url)
  expect(callsOf(after)).toEqual([[probes + 3, ["local"]]])
  expect(after.contacted.filter(({ host }) => !host.startsWith("127.") && host !== "::1")).toEqual([])
  expect(after.complete).toBe(true)
})

test("workers and the process that probes for them are in one audit", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startProcess({
    server: { port: 0, workers: 2 },
    backends: [backendFor("here", upstream)]
  })
  for (let turn = 0; turn < 8; turn += 1) {
    await (
      await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { connection: "close" },
        body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] })
      })
    ).text()
  }
  const { complete, contacted } = await auditAt(gateway.url)
  expect(complete).toBe(true)
  expect(contacted.map(({ port }) => port)).toEqual([upstream.port])
  expect(contacted[0]?.calls).toBeGreaterThan(8)
})

test("nexus audit prints it, and what may be contacted where no gateway runs", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({ backends: [backendFor("here", upstream)] })
  const shown = await nexus("audit", "--port", String(gateway.port))
  expect(shown.code).toBe(0)
  expect(shown.stdout).toContain(`127.0.0.1:${upstream.port}`)
  expect(shown.stdout).toContain("backend here")
  expect(shown.stdout).toContain("Was contacted")
  const alone = await nexus("audit", "--port", "1", "--json")
  expect(JSON.parse(alone.stdout)).toMatchObject({ mode: "open", contacted: null })
})
