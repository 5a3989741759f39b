import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redacted } from "effect"
import type { Tls } from "../../src/domain/server.ts"
import { Abort } from "../../src/wire/abort.ts"
import { makeConnectionPool } from "../../src/wire/ConnectionPool.ts"
import { makeTrust } from "../../src/wire/tls.ts"
import { whole } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { startRaw } from "../kit/rawServer.ts"
import {
  authority,
  type Certificate,
  client,
  expired,
  type Front,
  future,
  good,
  issued,
  terminate,
  wrong
} from "../kit/tls.ts"

const post = (port: number, stream = false) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [], stream }))

/** The status of an answer once it is a good one, or the last one after a minute. */
const eventually = async (port: number): Promise<number> => {
  const end = performance.now() + 60_000
  for (;;) {
    const { status } = await post(port)
    if (status === 200 || performance.now() > end) return status
    await Bun.sleep(20)
  }
}

const shown: Tls = { cert: client.cert, key: Redacted.make(client.key) }

const gatewayFor = (url: string, tls: Tls | undefined) =>
  startGateway(
    {
      health_check: { timeout_seconds: 20 },
      backends: [backendFor("one", { url }, { models: [{ id: "m" }] })]
    },
    { backendKeys: new Map(), authKeys: [], ...(tls === undefined ? {} : { backendTls: new Map([["one", tls]]) }) }
  )

describe("a backend that cannot be reached over TLS says why, and which setting mends it:", () => {
  const rows: ReadonlyArray<
    readonly [name: string, certificate: Certificate, front: Front, tls: Tls | undefined, told: RegExp]
  > = [
    ["a certificate that signs itself", good, {}, undefined, /^TLS: .*self-signed \(ca_file/],
    ["an authority nobody knows", issued, {}, undefined, /^TLS: .*unknown authority \(ca_file/],
    [
      "a chain up to an authority nobody knows",
      { cert: issued.cert + authority, key: issued.key },
      {},
      undefined,
      /^TLS: .*unknown authority \(ca_file/
    ],
    ["another authority than the one of ca_file", issued, {}, { ca: good.cert }, /^TLS: .*unknown authority/],
    ["a certificate that has run out", expired, {}, { ca: expired.cert }, /^TLS: .*has expired/],
    ["a certificate of the future", future, {}, { ca: future.cert }, /^TLS: .*not valid yet .*clocks/],
    ["a certificate for another name", wrong, {}, { ca: wrong.cert }, /^TLS: .*for another name .*url/],
    [
      "a client certificate wanted",
      issued,
      { asksClients: true },
      { ca: authority },
      /^TLS: .*wants a client certificate \(client_cert_file/
    ],
    [
      "a client certificate wanted by TLS 1.2",
      issued,
      { asksClients: true, maxVersion: "TLSv1.2" },
      { ca: authority },
      /^TLS: .*client certificate \(client_cert_file/
    ],
    ["nothing newer than TLS 1.1", good, { maxVersion: "TLSv1.1" }, { ca: good.cert }, /^TLS: .*neither TLS 1\.2/]
  ]
  for (const [name, certificate, front, tls, told] of rows) {
    test(name, async () => {
      await using upstream = await startUpstream({ models: ["m"] })
      await using secure = await terminate(upstream.port, certificate, front)
      await using gateway = await gatewayFor(secure.url, tls)
      expect(gateway.backend("one").status).toBe("unhealthy")
      expect(gateway.backend("one").reason).toMatch(told)
      const answer = await post(gateway.port)
      expect(answer.status).toBe(503)
      expect(answer.header("x-nexus-rejection-reasons")).toMatch(new RegExp(told.source.replace("^", "")))
      expect(answer.text).not.toContain("127.0.0.1")
      expect(upstream.server.requests).toHaveLength(0)
    })
  }

  test("a handshake closed without a word, as some servers do that want a client certificate", async () => {
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: (socket) => void socket.end() } })
    await using gateway = await gatewayFor(`https://127.0.0.1:${silent.port}`, undefined)
    expect(gateway.backend("one").reason).toMatch(/^TLS: .*closed .*handshake \(client_cert_file/)
  })

  test("plain http spoken to a port that speaks TLS", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using secure = await terminate(upstream.port, good)
    await using gateway = await gatewayFor(secure.url.replace("https:", "http:"), undefined)
    expect(gateway.backend("one").reason).toMatch(/^TLS: .*speaks TLS, and its url says http \(https:/)
  })

  test("TLS spoken to a port that speaks plain http", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using answering = await startRaw({ script: () => [whole(400, "bad request", "text/plain")] })
    for (const { url } of [answering, upstream]) {
      await using gateway = await gatewayFor(url.replace("http:", "https:"), undefined)
      expect(gateway.backend("one").reason).toMatch(/^TLS: .*does not speak TLS \(http:/)
    }
  })

  const pages: ReadonlyArray<readonly [page: string, told: RegExp]> = [
    ["<h1>400 Bad Request</h1>No required SSL certificate was sent", /wants a client certificate \(client_cert_file/],
    ["<h1>400 Bad Request</h1>The SSL certificate error", /refuses the client certificate/],
    ["<h1>400</h1>The plain HTTP request was sent to HTTPS port", /speaks TLS, and its url says http/],
    ["Client sent an HTTP request to an HTTPS server.\n", /speaks TLS, and its url says http/]
  ]
  for (const [page, told] of pages) {
    test(`the page of a web server: ${page.replace(/<[^>]*>/g, "").trim()}`, async () => {
      await using upstream = await startUpstream({ models: ["m"], probe: () => [whole(400, page, "text/html")] })
      await using gateway = await gatewayFor(upstream.url, undefined)
      expect(gateway.backend("one").reason).toMatch(told)
    })
  }
})

describe("a backend with TLS settings of its own answers, whole and streamed,", () => {
  const rows: ReadonlyArray<readonly [name: string, certificate: Certificate, front: Front, tls: Tls]> = [
    ["by ca_file that holds its authority", issued, {}, { ca: authority }],
    ["by ca_file that holds its own certificate", good, {}, { ca: good.cert }],
    ["by ca_file with several authorities", issued, {}, { ca: good.cert + authority + wrong.cert }],
    ["with a client certificate", issued, { asksClients: true }, { ca: authority, ...shown }],
    [
      "with a client certificate over TLS 1.2",
      issued,
      { asksClients: true, maxVersion: "TLSv1.2" },
      { ca: authority, ...shown }
    ],
    ["by insecure_skip_verify and a self-signed one", good, {}, { insecure: true }],
    ["by insecure_skip_verify and one that has run out", expired, {}, { insecure: true }],
    ["by insecure_skip_verify and one for another name", wrong, {}, { insecure: true }],
    ["by insecure_skip_verify and a client certificate", issued, { asksClients: true }, { insecure: true, ...shown }]
  ]
  for (const [name, certificate, front, tls] of rows) {
    test(name, async () => {
      await using upstream = await startUpstream({ models: ["m"] })
      await using secure = await terminate(upstream.port, certificate, front)
      await using gateway = await gatewayFor(secure.url, tls)
      expect(gateway.backend("one")).toMatchObject({ status: "healthy" })
      for (const stream of [false, true]) expect((await post(gateway.port, stream)).status).toBe(200)
    })
  }

  test("but insecure_skip_verify agrees to nothing that is no TLS", async () => {
    await using upstream = await startRaw({ script: () => [whole(400, "bad", "text/plain")] })
    await using gateway = await gatewayFor(upstream.url.replace("http:", "https:"), { insecure: true })
    expect(gateway.backend("one").status).toBe("unhealthy")
  })
})

test("a connection that was made without a look at the certificate is never used for a backend that wants one", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using secure = await terminate(upstream.port, good)
  const connections = makeConnectionPool()
  const send = (tls: Tls | undefined) =>
    connections.send({
      url: `${secure.url}/v1/chat/completions`,
      headers: {},
      body: new TextEncoder().encode('{"model":"m"}'),
      abort: new Abort(),
      fresh: false,
      ...(tls === undefined ? {} : { trust: makeTrust(tls) })
    })
  const arrival = await send({ insecure: true })
  const drained = Promise.withResolvers<void>()
  arrival.body.start({ piece: () => undefined, end: () => drained.resolve(), fail: drained.reject })
  await drained.promise
  expect([arrival.status, connections.idle()]).toEqual([200, 1])
  for (const tls of [undefined, { ca: wrong.cert }]) {
    const error = await send(tls).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ _tag: "Unreachable", tls: "self_signed" })
  }
  expect(upstream.calls()).toHaveLength(1)
  connections.close()
})

describe("the files of [[backends]]", () => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-trust-"))
  const at = (name: string) => join(folder, name)
  beforeAll(() => {
    writeFileSync(at("ca.pem"), authority)
    writeFileSync(at("client.pem"), client.cert)
    writeFileSync(at("client.key"), client.key)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const files = {
    ca_file: at("ca.pem"),
    client_cert_file: at("client.pem"),
    client_key_file: at("client.key")
  }

  test.each([[[]], [["--workers", "2"]]])(
    "let a process reach the backend (%p), and stay out of its words",
    async (args) => {
      await using upstream = await startUpstream({ models: ["m"] })
      await using secure = await terminate(upstream.port, issued, { asksClients: true })
      await using gateway = await startProcess({ backends: [backendFor("one", secure, files)] }, args)
      expect(await eventually(gateway.port)).toBe(200)
      const said = gateway.output() + (await ask(gateway.port, "GET", "/nexus/backends")).text
      for (const line of [client.key, authority].flatMap((text) => text.trim().split("\n"))) {
        expect(said).not.toContain(line)
      }
    }
  )

  test("are taken over when they change", async () => {
    writeFileSync(at("changing.pem"), wrong.cert)
    await using upstream = await startUpstream({ models: ["m"] })
    await using secure = await terminate(upstream.port, issued)
    await using gateway = await startProcess({
      health_check: { recovery_threshold: 1 },
      backends: [backendFor("one", secure, { ca_file: at("changing.pem"), models: [{ id: "m" }] })]
    })
    expect((await post(gateway.port)).status).toBe(503)
    writeFileSync(at("changing.pem"), authority)
    gateway.signal("SIGHUP")
    expect(await eventually(gateway.port)).toBe(200)
  })

  test("insecure_skip_verify is warned of at the start", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using secure = await terminate(upstream.port, good)
    await using gateway = await startProcess({
      logging: { level: "info" },
      backends: [backendFor("one", secure, { insecure_skip_verify: true })]
    })
    expect((await post(gateway.port)).status).toBe(200)
    await until(() => gateway.output().includes("one: insecure_skip_verify takes any certificate"), "the log says so")
  })
})
