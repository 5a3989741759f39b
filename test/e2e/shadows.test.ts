import { describe, expect, test } from "bun:test"
import { completion, json } from "../kit/answers.ts"
import { good, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { startSleeper } from "../kit/sleeper.ts"

const body = (more: SettingsTree = {}) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], ...more })

const rule = (shadow: SettingsTree) => ({ name: "trial", match: {}, shadow: { share: 1, ...shadow } })

const startTwo = async (shadow: SettingsTree, of: SettingsTree = {}) => {
  const main = await startUpstream({ models: ["m"] })
  const copy = await startUpstream({ models: ["m", "other"] })
  const gateway = await startGateway({
    backends: [backendFor("main", main, { priority: 1 }), backendFor("copy", copy, { priority: 900, ...of })],
    routing: { strategy: "priority_only" },
    routes: [rule(shadow)]
  })
  const chat = (more: SettingsTree = {}, headers: ReadonlyArray<string> = []) =>
    ask(gateway.port, "POST", "/v1/chat/completions", body(more), headers)
  return {
    main,
    copy,
    gateway,
    chat,
    [Symbol.asyncDispose]: async () => {
      for (const each of [gateway, main, copy]) await each[Symbol.asyncDispose]()
    }
  }
}

/** The copies that ended so, once there are that many. */
const shadowed = async ({ port }: Gateway, outcome: string, count: number): Promise<void> => {
  const end = performance.now() + 60_000
  for (;;) {
    const found = total(await scrape(port), "nexus_shadows_total", { outcome })
    if (found === count) return
    if (performance.now() > end) throw new Error(`${found} copies are ${outcome}, not ${count}`)
    await Bun.sleep(5)
  }
}

describe("a shadow", () => {
  test("is a copy of a request whose answer nobody gets, compared and counted apart", async () => {
    await using two = await startTwo({ backends: ["copy"] })
    two.copy.script(good(["other", " words"]))
    for (const stream of [false, true]) {
      const answer = await two.chat({ stream }, [`x-request-id: real-${stream}`])
      expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "main"])
      expect(answer.text).toContain("Hello")
      expect(answer.text).not.toContain("other")
    }
    await shadowed(two.gateway, "completed", 2)
    expect(two.copy.calls().map((call) => call.header("x-request-id"))).toEqual([
      "real-false-shadow",
      "real-true-shadow"
    ])
    expect(two.copy.calls().map(modelOf)).toEqual(["m", "m"])
    const metrics = await scrape(two.gateway.port)
    const of = (name: string, labels: Record<string, string> = {}) => total(metrics, name, labels)
    expect(of("nexus_requests_total")).toBe(2)
    expect(of("nexus_attempts_total", { backend: "copy" })).toBe(0)
    expect(of("nexus_shadow_pairs_total", { rule: "trial", backend: "copy", model: "m" })).toBe(2)
    expect(of("nexus_shadow_alike_total", { part: "status" })).toBe(2)
    expect(of("nexus_shadow_alike_total", { part: "finish" })).toBe(2)
    for (const side of ["real", "shadow"]) {
      expect(of("nexus_shadow_seconds_total", { side, part: "whole" })).toBeGreaterThan(0)
      expect(of("nexus_shadow_tokens_total", { side, kind: "completion" })).toBeGreaterThan(0)
    }
    const listed = JSON.parse((await ask(two.gateway.port, "GET", "/admin/v1/decisions")).text).requests
    expect(listed).toHaveLength(2)
  })

  test("is one and no more where the backend of the request is woken first", async () => {
    await using lab = await startSleeper({ models: ["m"] })
    await using copy = await startUpstream({ models: ["other"] })
    await using gateway = await startGateway({
      backends: [lab.backend("lab"), backendFor("copy", copy)],
      routes: [rule({ model: "other" })]
    })
    const chat = () => ask(gateway.port, "POST", "/v1/chat/completions", body())
    expect((await chat()).status).toBe(200)
    await shadowed(gateway, "completed", 1)
    await lab.sleeps()
    expect((await chat()).header("x-nexus-backend")).toBe("lab")
    expect(lab.packets).toHaveLength(2)
    await shadowed(gateway, "completed", 2)
    await gateway.quiet()
    expect(total(await scrape(gateway.port), "nexus_shadow_pairs_total")).toBe(2)
    expect(copy.calls()).toHaveLength(2)
    expect(total(await scrape(gateway.port), "nexus_rule_requests_total")).toBe(2)
  })

  test("may be of another model, and of a request in another dialect", async () => {
    await using two = await startTwo({ model: "other" })
    const text = JSON.stringify({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] })
    const answer = await ask(two.gateway.port, "POST", "/v1/messages", text, ["anthropic-version: 2023-06-01"])
    expect(JSON.parse(answer.text).content).toMatchObject([{ type: "text", text: "Hello there" }])
    await shadowed(two.gateway, "completed", 1)
    expect(modelOf(two.copy.lastCall())).toBe("other")
    expect(two.copy.lastCall().target).toBe("/v1/chat/completions")
    expect(total(await scrape(two.gateway.port), "nexus_shadow_alike_total", { part: "finish" })).toBe(1)
  })

  test("never fails and never delays the real one, however its backend behaves", async () => {
    const ways: ReadonlyArray<Parameters<(typeof two)["copy"]["script"]>[0]> = [
      () => ["reset"],
      () => ["hang"],
      () => [json({ error: { message: "no" } }, 503)],
      () => ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnope!"]
    ]
    await using two = await startTwo({ backends: ["copy"], max_concurrent: 10 })
    for (const way of ways) {
      two.copy.script(way)
      for (const stream of [false, true]) {
        const answer = await two.chat({ stream })
        expect([answer.status, answer.header("x-nexus-backend"), answer.header("x-nexus-attempts")]).toEqual([
          200,
          "main",
          "1"
        ])
      }
    }
    const { circuits, in_flight, status } = two.gateway.backend("copy")
    expect([circuits, in_flight, status]).toEqual([[], 0, "healthy"])
  })

  test("is bounded in number: what comes beyond is not copied, and the requests go on", async () => {
    await using two = await startTwo({ backends: ["copy"], max_concurrent: 2 })
    two.copy.script(() => ["hang"])
    for (let at = 0; at < 5; at += 1) expect((await two.chat()).status).toBe(200)
    await shadowed(two.gateway, "skipped", 3)
    expect(two.copy.busy()).toBe(2)
  })

  test("takes no place: where all are taken it is not begun, and gives way to a request that wants the last", async () => {
    await using two = await startTwo({ backends: ["copy"] }, { max_concurrent: 1 })
    two.copy.script((request) => (request.text.includes("wait") ? ["hang"] : good()(request)))
    await two.chat({ messages: [{ role: "user", content: "wait" }] })
    const seen = await two.copy.call(0)
    // Only that one has it.
    const real = await two.chat({ model: "other" })
    expect([real.status, real.header("x-nexus-backend")]).toEqual([200, "copy"])
    await shadowed(two.gateway, "cut", 1)
    await seen.gone
    using busy = await dial(two.gateway.port)
    const waits = body({ model: "other", messages: [{ role: "user", content: "wait" }] })
    await busy.send(requestBytes("POST", "/v1/chat/completions", waits))
    await until(() => two.gateway.backend("copy").in_flight === 1, "the real one is there")
    const before = total(await scrape(two.gateway.port), "nexus_shadows_total", { outcome: "skipped" })
    expect((await two.chat()).status).toBe(200)
    await shadowed(two.gateway, "skipped", before + 1)
  })

  test("goes to no cloud unless its rule says so", async () => {
    // By its type, by its zone where its type is anybody's, and by its type where its zone tells nothing.
    for (const cloud of [{ type: "openai" }, { zone: "cloud" }, { type: "openai", zone: "eu" }]) {
      for (const remote of [false, true]) {
        await using two = await startTwo({ backends: ["copy"], remote }, cloud)
        expect((await two.chat()).status).toBe(200)
        await shadowed(two.gateway, remote ? "completed" : "skipped", 1)
        expect(two.copy.calls()).toHaveLength(remote ? 1 : 0)
      }
    }
  })

  test("is cut when the client of the real one leaves, and when the gateway stops", async () => {
    await using two = await startTwo({ backends: ["copy"] })
    for (const each of [two.main, two.copy]) each.script(() => ["hang"])
    using client = await dial(two.gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body()))
    const copied = await two.copy.call(0)
    client.hangUp()
    await copied.gone
    await shadowed(two.gateway, "cut", 1)
    two.main.script(good())
    expect((await two.chat()).status).toBe(200)
    const last = await two.copy.call(1)
    await two.gateway[Symbol.asyncDispose]()
    await last.gone
  })

  test("compares what differs as different", async () => {
    await using two = await startTwo({ backends: ["copy"] })
    two.copy.script(() => [
      json({
        ...completion("m", "cut"),
        choices: [{ index: 0, message: { role: "assistant", content: "cut" }, finish_reason: "length" }]
      })
    ])
    expect((await two.chat()).status).toBe(200)
    await shadowed(two.gateway, "completed", 1)
    const metrics = await scrape(two.gateway.port)
    expect(total(metrics, "nexus_shadow_pairs_total")).toBe(1)
    expect(total(metrics, "nexus_shadow_alike_total", { part: "finish" })).toBe(0)
  })
})
