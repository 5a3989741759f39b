import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chatEvents, chunk, head, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { good as fine, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"
import { type Certificate, expired, good, terminate, wrong } from "../kit/tls.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-tls-"))

/** Trusts all three certificates, so that only what is wrong with them is left. */
const trust = { NODE_EXTRA_CA_CERTS: join(folder, "trusted.pem") }

beforeAll(() => writeFileSync(trust.NODE_EXTRA_CA_CERTS, good.cert + wrong.cert + expired.cert))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const [first = ""] = chatEvents("m", ["a"])

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

describe("over TLS, where the client is another one,", () => {
  // Good answers come from this process, which is a busy one.
  const limits = { first_byte_timeout_seconds: 1.5, idle_timeout_seconds: 1.5 }
  const json = "Content-Type: application/json"
  // Whether the call is a stream, what the backend does, and the status and words the client must see.
  const rows: ReadonlyArray<readonly [name: string, stream: boolean, script: Script, status: number, text: RegExp]> = [
    ["nothing", false, () => ["hang"], 504, /first_byte_timeout_seconds \(1.5 s\)/],
    ["the end before any byte", false, () => ["fin"], 502, /closed before any answer/],
    ["garbage", false, () => ["SSH-2.0-x\r\n\r\n", "fin"], 502, /bad_gateway/],
    ["half a body", false, () => [head(200, [json, "Content-Length: 90"]), "{", "fin"], 502, /bad_gateway/],
    ["a body that stops", false, () => [head(200, [json, "Content-Length: 90"]), "{", "hang"], 504, /idle_timeout/],
    ["a redirect", false, () => [head(307, ["Location: /v1/x", "Content-Length: 0"])], 502, /redirect/],
    [
      "300 headers",
      false,
      () => [
        head(
          200,
          Array.from({ length: 300 }, (_, i) => `X-${i}: a`)
        )
      ],
      502,
      /bad_gateway/
    ],
    ["503", true, () => [whole(503, "busy", "text/plain")], 503, /service_unavailable/],
    ["a stream that stops", true, () => [streamHead(), chunk(first), "hang"], 200, /idle_timeout_seconds \(1.5 s\)/],
    ["a stream that is cut", true, () => [streamHead(), chunk(first), { pause: 30 }, "fin"], 200, /"error"/],
    [
      "a stream without an end",
      true,
      () => [streamHead(), chunk(first), lastChunk],
      200,
      /before its answer was complete/
    ],
    ["an empty stream", true, () => [streamHead(), lastChunk], 502, /empty event stream/]
  ]

  test("each fault ends as it does over plain http, and another backend answers when nothing was sent", async () => {
    await using bad = await startUpstream({ models: ["m"] })
    await using fine = await startUpstream({ models: ["m"] })
    await using tls = await terminate(bad.port, good)
    await using gateway = await startProcess(
      {
        server: limits,
        routing: { strategy: "priority_only", max_retries: 1 },
        backends: [backendFor("bad", tls, { priority: 1 })]
      },
      [],
      trust
    )
    await using both = await startProcess(
      {
        server: limits,
        routing: { strategy: "priority_only", max_retries: 1 },
        backends: [backendFor("bad", tls, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
      },
      [],
      trust
    )
    const answered = () => [whole(200, '{"choices":[]}')]
    for (const [name, stream, script, status, text] of rows) {
      bad.script(script)
      const alone = await post(gateway.port, stream)
      expect([name, alone.status]).toEqual([name, status])
      expect(alone.text).toMatch(text)
      expect(alone.text).not.toMatch(/127\.0\.0\.1|\[DONE\]|ECONN/)
      if (status !== 200) expect([name, (await post(both.port, stream)).status]).toEqual([name, 200])
      await until(() => bad.busy() === 0, `${name}: nobody is left waiting`)
      // A good answer closes the circuit, so that each row begins afresh.
      bad.script(answered)
      expect((await post(gateway.port, false)).status).toBe(200)
      expect((await post(both.port, false)).status).toBe(200)
    }
  }, 120_000)
})

describe("over TLS too", () => {
  test("a compressed answer passes untouched, whole and streamed", async () => {
    const zipped = new Uint8Array(Bun.gzipSync('{"choices":[]}'))
    const coded = "Content-Encoding: gzip"
    await using upstream = await startUpstream({
      models: ["m"],
      script: (request) =>
        wantsStream(request)
          ? [streamHead([coded]), chunk(zipped), lastChunk]
          : [whole(200, zipped, "application/json", [coded])]
    })
    await using tls = await terminate(upstream.port, good)
    await using gateway = await startProcess({ backends: [backendFor("one", tls)] }, [], trust)
    for (const stream of [false, true]) {
      const answer = await post(gateway.port, stream)
      expect([answer.status, answer.end, answer.header("content-encoding")]).toEqual([200, "complete", "gzip"])
      expect(answer.body).toEqual(zipped)
      expect(upstream.lastCall().header("accept-encoding")).toBe("identity")
    }
  })

  test("a redirect takes neither key nor prompt to another server", async () => {
    await using elsewhere = await startUpstream({ models: ["m"] })
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [head(307, [`Location: ${elsewhere.url}/v1/chat/completions`, "Content-Length: 0"])]
    })
    await using tls = await terminate(upstream.port, good)
    await using gateway = await startProcess(
      { backends: [backendFor("one", tls, { api_key_env: "INNER_KEY" })], routing: { max_retries: 0 } },
      [],
      { ...trust, INNER_KEY: "sk-inner" }
    )
    const answer = await post(gateway.port, false)
    expect(answer.status).toBe(502)
    expect(answer.text).not.toContain(elsewhere.url)
    expect(upstream.lastCall().header("authorization")).toBe("Bearer sk-inner")
    expect(elsewhere.server.requests).toHaveLength(0)
  })

  test("a socket that was kept alive and dies as it is reused is replaced, once, and counted", async () => {
    const dying: Script = (request) => (request.nth > 0 ? ["reset"] : fine()(request))
    await using upstream = await startUpstream({ models: ["m"], script: dying, closeProbes: true })
    await using tls = await terminate(upstream.port, good)
    await using gateway = await startProcess({ backends: [backendFor("one", tls)] }, [], trust)
    let attempts = 0
    for (const stream of [false, true]) {
      for (let i = 0; i < 2; i += 1) {
        const answer = await post(gateway.port, stream)
        expect([answer.status, answer.end]).toEqual([200, "complete"])
        attempts += Number(answer.header("x-nexus-attempts"))
      }
    }
    const reused = upstream.calls().filter(({ nth }) => nth > 0)
    expect(reused.length).toBeGreaterThan(0)
    expect(upstream.calls()).toHaveLength(4 + reused.length)
    expect(attempts).toBe(upstream.calls().length)
    expect((await told(gateway.port))?.status).toBe("healthy")
  })
})

const expectRefused = async (certificate: Certificate, env: Readonly<Record<string, string>>): Promise<void> => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using tls = await terminate(upstream.port, certificate)
  await using gateway = await startProcess({ backends: [backendFor("one", tls, { models: [{ id: "m" }] })] }, [], env)
  let backend = await told(gateway.port)
  // A start waits for the first probe, but not for ever.
  while (backend?.reason === "not probed yet") backend = await told(gateway.port)
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

test("a large body arrives whole over TLS, and so does a large answer", async () => {
  const large = "x".repeat(8 * 1_048_576)
  await using upstream = await startUpstream({
    models: ["m"],
    script: ({ body }) => [json({ choices: [], bytes: body.byteLength, large })]
  })
  await using tls = await terminate(upstream.port, good)
  await using gateway = await startProcess({ backends: [backendFor("one", tls)] }, [], trust)
  const sent = JSON.stringify({ model: "m", messages: [{ role: "user", content: large }] })
  const answer = await ask(gateway.port, "POST", "/v1/chat/completions", sent)
  expect(answer.status).toBe(200)
  const { bytes, large: returned } = answer.json() as { bytes: number; large: string } // reason: checked by what is expected of it
  expect([bytes, returned === large]).toEqual([sent.length, true])
}, 120_000)

test("a backend that does not speak TLS on its https port is given up within the connect limit", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  const limitMs = 60_000
  const started = performance.now()
  await using gateway = await startGateway({
    server: { connect_timeout_seconds: limitMs / 1000 },
    backends: [backendFor("one", { url: upstream.url.replace("http:", "https:") }, { models: [{ id: "m" }] })]
  })
  await until(() => gateway.backend("one").reason !== "not probed yet", "it has been looked at", limitMs)
  expect(performance.now() - started).toBeLessThan(limitMs)
  expect(gateway.backend("one").status).toBe("unhealthy")
  expect(gateway.backend("one").reason).toContain("does not speak TLS")
  expect((await post(gateway.port, false)).status).toBe(503)
  // Asked whether it speaks plain http, it is told nothing but what is asked.
  expect(upstream.calls()).toHaveLength(0)
  expect(upstream.server.requests.map(({ text, target }) => [target, text])).toEqual([["/v1/models", ""]])
})
