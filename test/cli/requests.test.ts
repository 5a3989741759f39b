import { readdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import type { RecentRequest } from "../../src/api/admin-api.ts"
import { eventWords } from "../../src/cli/events.ts"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus } = makeShell()
afterAll(close)

const [first = ""] = chatEvents("m", ["a"])

describe("nexus requests", () => {
  test("shows what is under way, says why it is where it is, completes its ids and ends it", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const at = ["--port", String(gateway.port)]
    expect(await nexus("requests", ...at)).toEqual({ code: 0, stdout: "", stderr: "No request is under way.\n" })

    using client = await dial(gateway.port)
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "a secret" }], stream: true })
    await client.send(requestBytes("POST", "/v1/chat/completions", body, ["x-request-id: mine"]))
    await client.until(({ text }) => text === first)

    const shown = await nexus("requests", ...at)
    expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" })
    const [heading, row, ...more] = lines(shown.stdout)
    expect(heading).toMatch(/^Request +Model +Backend +Phase +For +Attempts +Age +Answer$/)
    expect(row).toMatch(new RegExp(`^mine +m +one +committed +\\S+ +1 +\\S+ +${first.length} B, 1 piece$`))
    expect(more).toEqual([])

    const told = JSON.parse((await nexus("requests", "--json", ...at)).stdout)
    expect(told).toMatchObject({ requests: [{ id: "mine", phase: "committed", backend: "one", attempts: 1 }] })

    const why = await nexus("explain", "--request", "mine", ...at)
    expect(why.stdout).toMatch(/^Phase: +committed for \d+ ms$/m)
    expect(why.stdout).toMatch(/^1 +one +m +capability-match$/m)
    for (const { stdout } of [shown, why]) expect(stdout).not.toContain("secret")

    const complete = () => nexus("complete", "requests", "--", "nexus", "requests", "cancel", ...at)
    let ids = await complete()
    // Nobody waits for a completion for longer than a second, which a busy machine may take.
    await until(async () => ids.stdout !== "" || (ids = await complete()).stdout !== "", "it is completed")
    expect(ids).toEqual({ code: 0, stdout: "mine\n", stderr: "" })

    const ended = await nexus("requests", "cancel", "mine", ...at)
    expect(ended).toEqual({
      code: 0,
      stdout: `Cancelled mine for m at one, after ${first.length} B of its answer.\n`,
      stderr: ""
    })
    expect((await client.answer()).text).toContain('"code":"request_cancelled"')
    await gateway.quiet()
    expect(await nexus("requests", "cancel", "mine", ...at)).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: No request 'mine' is under way\n"
    })
    const afterwards = await nexus("explain", "--request", "mine", ...at)
    expect(afterwards.stdout).toMatch(/^Outcome: +cancelled, status 200$/m)
    expect((await nexus("requests", "cancel", ...at)).code).toBe(2)
  })
})

test("nexus events says when each thing was, and whose a request is", () => {
  const ended: RecentRequest = {
    id: "mine",
    at: 1_795_601_813_000,
    endpoint: "chat/completions",
    model: "m",
    stream: false,
    key: "search",
    outcome: "completed",
    status: 200,
    backend: "one",
    upstream_model: "m",
    attempts: 1,
    failures: [],
    first_byte_ms: 3,
    duration_ms: 4000
  }
  const told = eventWords({ id: "1", event: "ended", data: { requests: [ended] } }, new Map(), 0)
  expect(told).toEqual([
    expect.stringMatching(/^\d\d:\d\d:57 mine m one: completed 200 after 4000 ms, asked by search$/)
  ])
})

test("nexus bench says why nobody can be measured where all have what they can take", async () => {
  await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream, { slots: 1 })] })
  using client = await dial(gateway.port)
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], stream: true })
  await client.send(requestBytes("POST", "/v1/chat/completions", body))
  await client.until(({ text }) => text === first)
  const { code, stderr } = await nexus("bench", "m", "--port", String(gateway.port))
  expect(stderr).toContain("No backend could answer for m now: one has its 1 request in flight")
  expect(code).toBe(1)
})

test("nexus grafana makes the directory that it is told, and writes over nothing", async () => {
  const { code, stderr } = await nexus("grafana", "-o", "monitoring/nexus")
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  expect(readdirSync(join(cwd, "monitoring/nexus")).toSorted()).toEqual(["nexus-alerts.yaml", "nexus-dashboard.json"])
  const again = await nexus("grafana", "-o", "monitoring/nexus")
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("is there already; --force writes over it")])
})
