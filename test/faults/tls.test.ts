import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { type Certificate, expired, good, terminate, wrong } from "../kit/tls.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-tls-"))

/** Trusts all three certificates, so that only what is wrong with them is left. */
const trust = { NODE_EXTRA_CA_CERTS: join(folder, "trusted.pem") }

beforeAll(() => writeFileSync(trust.NODE_EXTRA_CA_CERTS, good.cert + wrong.cert + expired.cert))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const post = (port: number, stream: boolean) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [], stream }))

interface Told {
  readonly backends: ReadonlyArray<{ readonly status: string; readonly reason: string }>
}

const told = async (port: number) => ((await ask(port, "GET", "/nexus/backends")).json() as Told).backends[0] // reason: one backend is configured

test("a backend with a good certificate answers over TLS, whole and streamed, byte for byte", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using tls = await terminate(upstream.port, good)
  await using gateway = await startProcess({ backends: [backendFor("one", tls)] }, [], trust)
  for (const stream of [false, true]) {
    const direct = await post(upstream.port, stream)
    const answer = await post(gateway.port, stream)
    expect([answer.status, answer.end, answer.text]).toEqual([200, "complete", direct.text])
  }
})

const expectRefused = async (certificate: Certificate, env: Readonly<Record<string, string>>): Promise<void> => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using tls = await terminate(upstream.port, certificate)
  await using gateway = await startProcess({ backends: [backendFor("one", tls, { models: [{ id: "m" }] })] }, [], env)
  const backend = await told(gateway.port)
  expect(backend?.status).not.toBe("healthy")
  expect(backend?.reason).toMatch(/TLS/)
  for (const stream of [false, true]) expect((await post(gateway.port, stream)).status).toBe(503)
  expect(upstream.server.requests).toHaveLength(0)
}

describe("a backend is not asked anything over TLS", () => {
  const cases: ReadonlyArray<readonly [name: string, certificate: Certificate, env: Readonly<Record<string, string>>]> =
    [
      ["that nobody vouches for", good, {}],
      ["that is another's", wrong, trust],
      ["that has run out", expired, trust]
    ]
  for (const [name, certificate, env] of cases) {
    test(`with a certificate ${name}`, () => expectRefused(certificate, env))
  }

  test("even when the environment says that certificates do not matter", () =>
    expectRefused(wrong, { ...trust, NODE_TLS_REJECT_UNAUTHORIZED: "0" }))
})

test("a backend that does not speak TLS on its https port is given up within the connect limit", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  const started = performance.now()
  await using gateway = await startGateway({
    server: { connect_timeout_seconds: 0.3 },
    backends: [backendFor("one", { url: upstream.url.replace("http:", "https:") })]
  })
  expect(performance.now() - started).toBeLessThan(2000)
  expect(gateway.backend("one").status).toBe("unhealthy")
  expect(upstream.server.requests).toHaveLength(0)
})
