import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"
import { good as certificate, terminate } from "../kit/tls.ts"

const path = "/v1/chat/completions"

const body = (stream: boolean) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "a-prompt-nobody-may-log" }], stream })

const [first = "", ...others] = chatEvents("m", ["an-answer-nobody-may-log"])

/** Opens so many streams of a gateway at once, and sees that each of them gets its first event while all are open. */
const openAll = async (port: number, upstream: { readonly busy: () => number }, count: number, end: () => void) => {
  const clients = await Promise.all(Array.from({ length: count }, () => dial(port)))
  await Promise.all(clients.map((client) => client.send(requestBytes("POST", path, body(true)))))
  for (const client of clients) expect((await client.until(({ text }) => text === first, 60_000)).status).toBe(200)
  expect(upstream.busy()).toBe(count)
  // Others are served, and probes get through, while all of them wait.
  expect((await ask(port, "GET", "/health")).json()).toMatchObject({ status: "healthy" })
  end()
  for (const client of clients) {
    const answer = await client.answer(60_000)
    expect([answer.end, answer.text.endsWith("data: [DONE]\n\n")]).toEqual(["complete", true])
    client.hangUp()
  }
}

describe("slow streams all make progress at once,", () => {
  const slow = (gate: Promise<void>): Script => {
    return () => [streamHead(), chunk(first), { until: gate }, ...others.map(chunk), lastChunk]
  }

  test("a thousand of them over http", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({ models: ["m"], script: slow(gate.promise) })
    await using gateway = await startProcess({
      server: { max_concurrent_requests: 1100, connect_timeout_seconds: 60 },
      backends: [backendFor("one", upstream)]
    })
    await openAll(gateway.port, upstream, 1000, () => gate.resolve())
  }, 120_000)

  test("a thousand of them over https, where Bun runs 256 by itself", async () => {
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({ models: ["m"], script: slow(gate.promise) })
    await using tls = await terminate(upstream.port, certificate)
    const folder = mkdtempSync(join(tmpdir(), "nexus-process-"))
    const trusted = join(folder, "trusted.pem")
    writeFileSync(trusted, certificate.cert)
    await using gateway = await startProcess(
      { server: { max_concurrent_requests: 1100, connect_timeout_seconds: 60 }, backends: [backendFor("one", tls)] },
      [],
      { NODE_EXTRA_CA_CERTS: trusted }
    )
    await openAll(gateway.port, upstream, 1000, () => gate.resolve())
    rmSync(folder, { recursive: true, force: true })
  }, 120_000)
})

describe("the environment of the process", () => {
  test("with proxy variables sends nothing to any proxy", async () => {
    await using proxy = await startUpstream({ models: [] })
    await using upstream = await startUpstream({ models: ["m"] })
    await using tls = await terminate(upstream.port, certificate)
    const trusted = join(mkdtempSync(join(tmpdir(), "nexus-process-")), "trusted.pem")
    writeFileSync(trusted, certificate.cert)
    const env = {
      NODE_EXTRA_CA_CERTS: trusted,
      HTTP_PROXY: proxy.url,
      http_proxy: proxy.url,
      HTTPS_PROXY: proxy.url,
      ALL_PROXY: proxy.url,
      NO_PROXY: ""
    }
    for (const backend of [upstream, tls]) {
      await using gateway = await startProcess({ backends: [backendFor("one", backend)] }, [], env)
      for (const stream of [false, true]) expect((await ask(gateway.port, "POST", path, body(stream))).status).toBe(200)
      await until(() => /HTTP_PROXY.*ignored/s.test(gateway.output()), "the log says so")
    }
    expect(proxy.server.accepted()).toBe(0)
    rmSync(trusted)
  })
})

interface Line {
  readonly message?: string
  readonly request_id?: string
  readonly outcome?: string
  readonly status?: number
  readonly attempts?: number
  readonly backend?: string
}

const parsed = (text: string): ReadonlyArray<Line> => {
  try {
    return [JSON.parse(text)]
  } catch {
    return []
  }
}

/** The line that accounts for a request. */
const lineOf = async (gateway: Process, id: string): Promise<Line> => {
  const lines = () =>
    gateway
      .output()
      .split("\n")
      .flatMap(parsed)
      .filter((line) => line.request_id === id && line.outcome !== undefined)
  await until(() => lines().length > 0, `a line for ${id}`)
  expect(lines()).toHaveLength(1)
  return lines()[0] ?? {}
}

describe("the log", () => {
  const cases: ReadonlyArray<readonly [name: string, script: Script, stream: boolean, line: Line]> = [
    ["a good answer", good(["an-answer-nobody-may-log"]), false, { outcome: "completed", status: 200, attempts: 1 }],
    ["a good stream", good(["an-answer-nobody-may-log"]), true, { outcome: "completed", status: 200, attempts: 1 }],
    [
      "a broken stream",
      () => [streamHead(), chunk(first), { pause: 15 }, "reset"],
      true,
      { outcome: "truncated", status: 200 }
    ],
    [
      "a refusal",
      () => [json({ error: { message: "no", type: "invalid_request_error" } }, 400)],
      false,
      { outcome: "refused", status: 400 }
    ],
    ["a failure", () => [json({ error: "no" }, 500)], false, { outcome: "failed", status: 502, attempts: 3 }]
  ]

  test("has one line per request at debug, and never a prompt, an answer or a key", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess(
      {
        logging: { level: "debug", format: "json" },
        backends: [backendFor("one", upstream, { api_key_env: "INNER_KEY" })]
      },
      [],
      { INNER_KEY: "a-key-nobody-may-log" }
    )
    for (const [name, script, stream, line] of cases) {
      upstream.script(script)
      const id = name.replaceAll(" ", "-")
      await ask(gateway.port, "POST", path, body(stream), [
        `X-Request-Id: ${id}`,
        "Authorization: Bearer another-key-nobody-may-log",
        "Cookie: c=a-cookie-nobody-may-log"
      ])
      expect(await lineOf(gateway, id)).toMatchObject({ ...line, backend: "one" })
      expect(upstream.lastCall().header("authorization")).toBe("Bearer a-key-nobody-may-log")
    }
    upstream.script(() => ["hang"])
    const client = await dial(gateway.port)
    const nth = upstream.calls().length
    await client.send(requestBytes("POST", path, body(true), ["X-Request-Id: gone"]))
    const seen = await upstream.call(nth)
    client.hangUp()
    await seen.gone
    expect(await lineOf(gateway, "gone")).toMatchObject({ outcome: "client_closed", status: 499 })
    expect(gateway.output()).not.toContain("nobody-may-log")
  })

  test("tells once when a backend goes and comes", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "x"))] })
    await using gateway = await startProcess({
      logging: { level: "info", format: "json" },
      health_check: { interval_seconds: 0.1, failure_threshold: 2, recovery_threshold: 1 },
      backends: [backendFor("one", upstream)]
    })
    await upstream.server.kill()
    const count = (text: string) => gateway.output().split(text).length - 1
    await until(() => count("backend became unhealthy") > 0, "it says that it is down")
    await upstream.server.revive()
    await until(() => count("backend became healthy") > 0 && count("unhealthy") > 0, "it says that it is back")
    expect(count("backend became unhealthy")).toBe(1)
  })
})
