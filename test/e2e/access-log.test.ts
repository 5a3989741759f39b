import { describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { chatEvents, chunk, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, startProcess, until } from "../kit/gateway.ts"
import { type Log, type LogLine, takeLog } from "../kit/log.ts"
import { ask } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const prompt = "a secret prompt"
const body = (more: SettingsTree = {}) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: prompt }], ...more })

const access = (more: SettingsTree = {}) => ({ logging: { level: "info", format: "json", access_log: true, ...more } })

const endedIn = (log: Log): ReadonlyArray<LogLine> =>
  log.lines().filter(({ message, body: text }) => message === "request ended" || text === "request ended")

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10, prompt_tokens_details: { cached_tokens: 4 } }
const good = {
  id: "c",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "a secret answer" }, finish_reason: "stop" }],
  usage
}

const page = readFileSync("docs/logs.md", "utf8")
const documented = (line: LogLine) =>
  expect(Object.keys(line).filter((field) => !page.includes(`\`${field}\``))).toEqual([])

describe("with access_log = true", () => {
  test("each request is one line at info: who asked what, where it went, how it ended, how long and how many tokens", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(good)] })
    await using gateway = await startGateway({ ...access(), backends: [backendFor("one", upstream)] })
    const answer = await ask(gateway.port, "POST", path, body(), ["User-Agent: my-app/2", "X-Forwarded-For: 10.0.0.9"])
    await until(() => endedIn(log).length === 1, "the line is written")
    const [line = {}] = endedIn(log)
    expect(line).toMatchObject({
      level: "info",
      request_id: answer.header("x-request-id"),
      client: "127.0.0.1",
      forwarded_for: "10.0.0.9",
      user_agent: "my-app/2",
      endpoint: "chat/completions",
      dialect: "openai",
      model: "m",
      backend: "one",
      stream: false,
      outcome: "completed",
      status: 200,
      attempts: 1,
      prompt_tokens: 7,
      cached_tokens: 4,
      completion_tokens: 3
    })
    documented(line)
    expect(log.text()).not.toContain("secret")
  })

  test("the line of a stream tells its first byte and its end, and that of a failure every attempt", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"] })
    let calls = 0
    upstream.script(() =>
      calls++ === 0
        ? [streamHead(), ...chatEvents("m", ["a", "b"]).map(chunk), lastChunk]
        : [json({ error: { message: "boom" } }, 500)]
    )
    await using gateway = await startGateway({
      ...access(),
      backends: [backendFor("one", upstream)],
      routing: { max_retries: 1 }
    })
    await ask(gateway.port, "POST", path, body({ stream: true }))
    await until(() => endedIn(log).length === 1, "the stream is told")
    await ask(gateway.port, "POST", path, body())
    await until(() => endedIn(log).length === 2, "the failure is told")
    const [stream = {}, failure = {}] = endedIn(log)
    expect(stream).toMatchObject({ stream: true, outcome: "completed", first_byte_ms: expect.any(Number) })
    expect(failure).toMatchObject({
      outcome: "failed",
      attempts: 2,
      failures: [{ backend: "one" }, { backend: "one" }]
    })
    documented(stream)
    documented(failure)
  })

  test("a request that is refused unread is one line too, with its path and without its query", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"] })
    const digest = new Uint8Array(createHash("sha256").update("right").digest())
    await using gateway = await startGateway(
      { ...access(), backends: [backendFor("one", upstream)] },
      { backendKeys: new Map(), authKeys: [{ name: "app", digest }] }
    )
    await ask(gateway.port, "POST", `${path}?q=hidden`, body(), ["Authorization: Bearer wrong-key"])
    await ask(gateway.port, "POST", path, body(), ["Authorization: Bearer right"])
    await until(() => endedIn(log).length === 1, "both are told")
    const refused = log.lines().filter(({ message }) => message === "request refused")
    expect(refused).toMatchObject([{ level: "info", method: "POST", path, status: 401, client: "127.0.0.1" }])
    expect(endedIn(log)).toMatchObject([{ key: "app" }])
    expect(log.text()).not.toMatch(/wrong-key|hidden/)
    for (const line of refused) documented(line)
  })

  test("a share of 0 leaves out what went well and nothing else", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...access({ access_log_share: 0 }),
      backends: [backendFor("one", upstream)]
    })
    for (let at = 0; at < 5; at += 1) await ask(gateway.port, "POST", path, body())
    await ask(gateway.port, "POST", path, body({ model: "nobody-has-it" }))
    await until(() => endedIn(log).length > 0, "the one that failed is told")
    expect(endedIn(log)).toMatchObject([{ model: "nobody-has-it", outcome: "refused", status: 404 }])
  })
})

test("without it nothing is written of a request at info", async () => {
  using log = takeLog()
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({
    logging: { level: "info", format: "json" },
    backends: [backendFor("one", upstream)]
  })
  await ask(gateway.port, "POST", path, body())
  await gateway.quiet()
  expect(log.text()).not.toContain("request")
})

test.each(["ecs", "otel"] as const)(
  "with names = %p fields have the names of that convention, and all of them are documented",
  async (names) => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(good)] })
    await using gateway = await startGateway({ ...access({ names }), backends: [backendFor("one", upstream)] })
    await ask(gateway.port, "POST", path, body())
    await until(() => endedIn(log).length === 1, "the line is written")
    const [line = {}] = endedIn(log)
    const common = {
      "http.response.status_code": 200,
      "gen_ai.request.model": "m",
      "gen_ai.usage.input_tokens": 7,
      "nexus.backend": "one",
      "nexus.outcome": "completed"
    }
    expect(line).toMatchObject(common)
    const own =
      names === "ecs"
        ? {
            "log.level": "info",
            message: "request ended",
            "event.outcome": "success",
            "event.duration": expect.any(Number)
          }
        : { severity_text: "INFO", severity_number: 9, body: "request ended" }
    expect(line).toMatchObject(own)
    documented(line)
  }
)

test.each([
  ["ecs", "@timestamp", "nexus.url"],
  ["otel", "timestamp", "nexus.url"]
] as const)(
  "with names = %p the first and the last line of a gateway have the names of that convention too",
  async (names, time, url) => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startProcess({ ...access({ names }), backends: [backendFor("one", upstream)] })
    gateway.signal("SIGTERM")
    await gateway.exited
    await until(() => gateway.output().includes("stopping"), "the last line")
    const lines = gateway
      .output()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) expect(Object.keys(line)[0]).toBe(time)
    expect(lines[0]).toHaveProperty([url])
    expect(lines.at(-1)).toMatchObject({ "nexus.signal": "SIGTERM" })
  }
)
