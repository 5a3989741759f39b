import { describe, expect, test } from "bun:test"
import { routeText } from "../../src/cli/explain.ts"
import { statusLines } from "../../src/cli/status/status-view.ts"
import type { Stats } from "../../src/api/stats-api.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { scrape } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"
import { answerAll, before, line, phases, post, startHeld, untilQueued } from "../kit/waiting-line.ts"

const classes: Readonly<Record<string, string>> = { b: "normal", c: "batch", d: "normal" }

const classOf = (content: string) => [`x-nexus-priority: ${classes[content] ?? "normal"}`]

const statsAt = async (port: number): Promise<Stats> => JSON.parse((await ask(port, "GET", "/v1/stats")).text)

const routeAt = async (port: number, headers: string) =>
  JSON.parse(
    (
      await ask(
        port,
        "POST",
        `/admin/v1/route?headers=${encodeURIComponent(headers)}`,
        JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
      )
    ).text
  )

describe("while requests wait for a slot", () => {
  test("people see how many, of which class, for how long, and who is next", async () => {
    await using held = await startHeld()
    await using gateway = await before(held)
    const { port } = gateway
    expect((await statsAt(port)).queue).toEqual([])
    expect((await routeAt(port, "")).queue).toBeUndefined()
    const first = await post(port, "a")
    await held.upstream.call(0)
    // Nobody waits, and whoever comes now will be the first to.
    expect((await routeAt(port, "")).queue).toMatchObject({ position: 1 })
    const rest = await line(port, ["b", "c", "d"], classOf)

    const places = (await phases(port)).map(({ id, queue }) => [id, queue?.position])
    expect(places).toEqual([
      ["a", undefined],
      ["b", 1],
      ["c", 3],
      ["d", 2]
    ])
    const stats = await statsAt(port)
    expect(stats.queue).toMatchObject([{ model: "m", waiting: 3, classes: { high: 0, normal: 2, batch: 1 } }])
    expect(stats.queue?.[0]?.longest_wait_ms).toBeGreaterThan(0)
    const shown = statusLines(stats, "http://x", { columns: 120, rows: 40 })
    expect(shown.join("\n")).toMatch(/^Waits for a slot +Requests +High +Normal +Batch +Longest\nm +3 +0 +2 +1 +\d+s$/m)

    const waiting = (await scrape(port)).filter(({ name }) => name === "nexus_queued_requests")
    expect(waiting.map(({ labels, value }) => [labels["model"], labels["class"], value])).toEqual([
      ["m", "high", 0],
      ["m", "normal", 2],
      ["m", "batch", 1]
    ])

    // One of the better class would go before all of them, one of the lesser behind them.
    expect((await routeAt(port, "x-nexus-priority: high")).queue).toMatchObject({ position: 1 })
    const last = await routeAt(port, "x-nexus-priority: batch")
    expect(last.queue).toMatchObject({ position: 4 })
    expect(last.refusal).toBeNull()
    expect(routeText(last)).toContain("It would wait for a slot: number 4")

    await answerAll(held, 4)
    for (const client of [first, ...rest]) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
    expect((await statsAt(port)).queue).toEqual([])
    const samples = await scrape(port)
    const counts = samples.filter(({ name }) => name === "nexus_queue_wait_seconds_count")
    expect(counts.map(({ labels, value }) => [labels["class"], value])).toEqual([
      ["normal", 2],
      ["batch", 1]
    ])
    for (const { name, value } of samples) if (name === "nexus_queued_requests") expect(value).toBe(0)
  })

  test("one that leaves is no longer counted, and the place of those behind it is theirs", async () => {
    await using held = await startHeld()
    await using gateway = await before(held)
    const { port } = gateway
    const first = await post(port, "a")
    await held.upstream.call(0)
    const [left, stays] = await line(port, ["b", "c"])
    left?.hangUp()
    const end = performance.now() + 60_000
    while ((await statsAt(port)).queue?.[0]?.waiting !== 1) expect(performance.now()).toBeLessThan(end)
    expect((await phases(port)).find(({ id }) => id === "c")?.queue?.position).toBe(1)
    await answerAll(held, 2)
    for (const client of [first, stays]) expect((await client?.answer())?.status).toBe(200)
    await gateway.quiet()
    const counted = (await scrape(port)).find(({ name }) => name === "nexus_queue_wait_seconds_count")
    expect(counted?.value).toBe(2)
  })

  test("who is refused is told the place it would have had, by headers that a page of a listed origin may read", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { max_queue: 1 } })
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const [second] = await line(gateway.port, ["b"])
    using third = await post(gateway.port, "c")
    const answer = await third.answer()
    expect([answer.status, answer.header("x-nexus-queue-position")]).toEqual([429, "2"])
    expect(Number(answer.header("x-nexus-queue-seconds"))).toBeGreaterThan(0)
    await answerAll(held, 2)
    for (const client of [first, second]) expect((await client?.answer())?.status).toBe(200)
    await gateway.quiet()
  })

  test("it is told to be shorter behind a prompt that a server has cached than behind a new one of the same length", async () => {
    const script: Script = (request) => (request.text.includes("never ends") ? ["hang"] : good()(request))
    await using one = await startUpstream({ models: ["m"], script })
    await using two = await startUpstream({ models: ["m"], script })
    await using gateway = await startGateway({
      backends: [backendFor("one", one, { slots: 1 }), backendFor("two", two, { slots: 1 })]
    })
    const { port } = gateway
    const long = (word: string) => `${word} `.repeat(20_000)
    const chat = [{ role: "user", content: long("one") }]
    const first = await (await post(port, "a", [], { messages: chat })).answer()
    const { choices } = first.json() as { readonly choices: ReadonlyArray<{ readonly message: object }> } // reason: what the server is scripted to say
    const further = [...chat, ...choices.map(({ message }) => message), { role: "user", content: "and now?" }]
    const busy = [await post(port, "b never ends"), await post(port, "c never ends")]
    await until(() => one.calls().length + two.calls().length === 3, "both servers are busy")
    const seconds: Array<number> = []
    for (const [id, messages] of [
      ["new", [{ role: "user", content: long("two") }]],
      ["further", further]
    ] as const) {
      const waiting = await post(port, id, [], { messages })
      await untilQueued(port, 1)
      seconds.push((await routeAt(port, "")).queue.seconds)
      waiting.hangUp()
      await untilQueued(port, 0)
    }
    expect(seconds[0]).toBeGreaterThan(2 * (seconds[1] ?? 0))
    for (const client of busy) client.hangUp()
    await gateway.quiet()
  })

  test("who is refused and would have gone before all that wait is told so", async () => {
    await using held = await startHeld()
    await using gateway = await before(held, { queue: { max_queue: 2 } })
    const first = await post(gateway.port, "a")
    await held.upstream.call(0)
    const waiting = await line(gateway.port, ["b", "c"], () => ["x-nexus-priority: batch"])
    const places: Array<string | undefined> = []
    for (const priority of ["high", "batch"]) {
      using next = await post(gateway.port, priority, [`x-nexus-priority: ${priority}`])
      const answer = await next.answer()
      expect(answer.status).toBe(429)
      places.push(answer.header("x-nexus-queue-position"))
    }
    expect(places).toEqual(["1", "3"])
    await answerAll(held, 3)
    for (const client of [first, ...waiting]) expect((await client.answer()).status).toBe(200)
    await gateway.quiet()
  })
})

const streams = {
  "/v1/chat/completions": { model: "m", stream: true, messages: [{ role: "user", content: "hi" }] },
  "/v1/responses": { model: "m", stream: true, input: "hi" },
  "/v1/messages": { model: "m", stream: true, max_tokens: 10, messages: [{ role: "user", content: "hi" }] }
} as const

describe("the client of a stream that waits for a slot, where comments keep it alive,", () => {
  for (const [path, body] of Object.entries(streams)) {
    test(`hears its place in ${path}, and then its answer`, async () => {
      await using held = await startHeld()
      await using gateway = await before(held, { server: { keepalive_after_seconds: 0.1 } })
      const first = await post(gateway.port, "a")
      await held.upstream.call(0)
      const rest = await line(gateway.port, ["b"])
      using client = await dial(gateway.port)
      await client.send(requestBytes("POST", path, JSON.stringify(body), ["x-request-id: mine"]))
      await client.until(({ text }) => /^: queued 2(?:, about \d+ s)?$/m.test(text))
      held.answer(0)
      await held.upstream.call(1)
      await client.until(({ text }) => /^: queued 1(?:, about \d+ s)?$/m.test(text))
      held.answer(1)
      await held.upstream.call(2)
      held.answer(2)
      const { end, status, text } = await client.answer()
      expect([status, end]).toEqual([200, "complete"])
      expect(text).toContain("Hello")
      for (const each of [first, ...rest]) expect((await each.answer()).status).toBe(200)
      await gateway.quiet()
    })
  }
})
