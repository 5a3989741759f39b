import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, head, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const body = (stream = false) => JSON.stringify({ model: "m", messages: [], stream })

const post = (port: number, stream = false) => ask(port, "POST", path, body(stream))

const failing: Script = () => [json({ error: { message: "no", type: "server_error", param: null, code: null } }, 500)]

const many = <A>(count: number, make: (i: number) => Promise<A>) =>
  Promise.all(Array.from({ length: count }, (_, i) => make(i)))

describe("a socket that was kept alive", () => {
  for (const end of ["reset", "fin"] as const) {
    test(`and dies (${end}) as it is reused is replaced, and the client is told of each time it was asked`, async () => {
      await using upstream = await startUpstream({
        models: ["m"],
        script: (request) => (request.nth > 0 ? [end] : good()(request))
      })
      await using gateway = await startGateway({
        backends: [backendFor("one", upstream)],
        routing: { max_retries: 1 }
      })
      let told = 0
      for (let i = 1; i <= 5; i += 1) {
        const answer = await post(gateway.port)
        expect([answer.status, answer.end]).toEqual([200, "complete"])
        told += Number(answer.header("x-nexus-attempts"))
      }
      expect(gateway.backend("one").circuits).toEqual([])
      const reused = upstream.calls().filter(({ nth }) => nth > 0).length
      expect(upstream.calls().length - reused).toBe(5)
      expect(told).toBe(upstream.calls().length)
      const metrics = (await ask(gateway.port, "GET", "/metrics")).text
      const lost = /nexus_attempts_total\{[^}]*connection_lost[^}]*\} (\d+)/.exec(metrics)
      expect(lost?.[1]).toBe(String(reused))
    })

    test(`and dies (${end}) as it is reused is not replaced when max_retries is 0`, async () => {
      await using upstream = await startUpstream({
        models: ["m"],
        script: (request) => (request.nth > 0 ? [end] : good()(request))
      })
      await using gateway = await startGateway({
        backends: [backendFor("one", upstream)],
        routing: { max_retries: 0 }
      })
      expect((await post(gateway.port)).status).toBe(200)
      const answer = await post(gateway.port)
      expect([answer.status, answer.header("x-nexus-attempts")]).toEqual([502, "1"])
      expect(upstream.calls()).toHaveLength(2)
    })

    test(`and dies (${end}) after it was at work for a while is no stale one: another backend is asked`, async () => {
      await using slow = await startUpstream({
        models: ["m"],
        script: (request) => (request.nth > 0 ? [{ pause: 600 }, end] : good()(request))
      })
      await using other = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({
        backends: [backendFor("slow", slow, { priority: 1 }), backendFor("other", other, { priority: 2 })],
        routing: { strategy: "priority_only" }
      })
      expect((await post(gateway.port)).header("x-nexus-backend")).toBe("slow")
      const answer = await post(gateway.port)
      const told = ["x-nexus-backend", "x-nexus-attempts"].map(answer.header)
      expect([answer.status, ...told]).toEqual([200, "other", "2"])
      expect(slow.calls()).toHaveLength(2)
    })
  }

  test("is closed by its server after each stream, against its word, and no request suffers", async () => {
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [
        streamHead(["Connection: keep-alive", "Keep-Alive: timeout=5, max=100"]),
        ...chatEvents("m", ["a"]).map(chunk),
        lastChunk,
        "fin"
      ]
    })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { max_retries: 0 }
    })
    for (let i = 0; i < 10; i += 1) {
      const answer = await post(gateway.port, true)
      expect([answer.status, answer.end]).toEqual([200, "complete"])
    }
    expect(gateway.backend("one").circuits).toEqual([])
  })

  test("with bytes left on it never gives them to the next request", async () => {
    const own = completion("m", "mine")
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [new Uint8Array(Buffer.concat([json(own), json(completion("m", "somebody else's"))]))]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    for (let i = 0; i < 5; i += 1) expect((await post(gateway.port)).text).toBe(JSON.stringify(own))
  })
})

describe("a backend that fails", () => {
  test("is left alone after three failures in a row, and the state shows", async () => {
    await using bad = await startUpstream({ models: ["m"], script: failing })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("bad", bad, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
    })
    for (let i = 0; i < 10; i += 1) expect((await post(gateway.port)).status).toBe(200)
    expect(bad.calls()).toHaveLength(3)
    expect(gateway.backend("bad").circuits).toMatchObject([{ model: "m", state: "open", failures: 3 }])
    const listed = await ask(gateway.port, "GET", "/nexus/backends")
    expect(listed.text).toContain('"state":"open"')
  })

  test("is asked again after a while by one request alone, and is back when that succeeds", async () => {
    await using shaky = await startUpstream({ models: ["m"], script: failing })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("shaky", shaky, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
    })
    for (let i = 0; i < 4; i += 1) await post(gateway.port)
    expect(gateway.backend("shaky").circuits[0]?.state).toBe("open")
    await until(() => gateway.backend("shaky").circuits[0]?.state === "half_open", "its time has come")
    const gate = Promise.withResolvers<void>()
    shaky.script((request) => [{ until: gate.promise }, ...(good()(request) as Iterable<Uint8Array>)]) // reason: a whole answer is a list
    const before = shaky.calls().length
    const answers = many(10, () => post(gateway.port))
    await until(() => fine.calls().length >= 4 + 9, "nine go elsewhere")
    expect(shaky.calls().length - before).toBe(1)
    gate.resolve()
    expect((await answers).map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(gateway.backend("shaky").circuits).toEqual([])
    expect((await post(gateway.port)).header("x-nexus-backend")).toBe("shaky")
  })

  test("is still asked when it is the only one", async () => {
    await using bad = await startUpstream({ models: ["m"], script: failing })
    await using gateway = await startGateway({ backends: [backendFor("bad", bad)], routing: { max_retries: 0 } })
    for (let i = 0; i < 8; i += 1) expect((await post(gateway.port)).status).toBe(502)
    expect(bad.calls()).toHaveLength(8)
    bad.script(good())
    expect((await post(gateway.port)).status).toBe(200)
  })

  test("and comes and goes all the time costs no request", async () => {
    await using flapping = await startUpstream({ models: ["m"] })
    await using steady = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("flapping", flapping), backendFor("steady", steady)],
      health_check: { interval_seconds: 0.1, failure_threshold: 1, recovery_threshold: 1 }
    })
    const load = { over: false }
    const statuses: Array<number> = []
    const workers = many(8, async () => {
      while (!load.over) statuses.push((await post(gateway.port)).status)
    })
    const answered = async (more: number) => {
      const wanted = statuses.length + more
      await until(() => statuses.length >= wanted, `${more} more are answered`)
    }
    for (let i = 0; i < 5; i += 1) {
      await answered(20)
      await flapping.server.kill()
      await answered(20)
      await flapping.server.revive()
    }
    load.over = true
    await workers
    expect(statuses.filter((status) => status !== 200)).toEqual([])
  })

  test("is not asked much more often when everything fails: retries have a budget", async () => {
    const all = Promise.withResolvers<void>()
    await using bad = await startUpstream({
      models: ["m"],
      script: (request) => [{ until: all.promise }, ...(failing(request) as Iterable<Uint8Array>)] // reason: it is a list
    })
    await using gateway = await startGateway({ backends: [backendFor("bad", bad)], routing: { max_retries: 5 } })
    const answers = many(100, () => post(gateway.port))
    await until(() => bad.busy() === 100, "all have been asked for")
    all.resolve()
    for (const answer of await answers) expect(answer.status).toBe(502)
    expect(bad.calls().length).toBeLessThanOrEqual(100 + 5 * 20)
    await gateway.quiet()
  })

  test("with 429 is left alone for as long as it asks, and its circuit stays closed", async () => {
    await using busy = await startUpstream({
      models: ["m"],
      script: () => [json({ error: { message: "slow" } }, 429, ["Retry-After: 30"])]
    })
    await using other = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("busy", busy, { priority: 1 }), backendFor("other", other, { priority: 2 })]
    })
    for (let i = 0; i < 5; i += 1) expect((await post(gateway.port)).status).toBe(200)
    expect(busy.calls()).toHaveLength(1)
    const { cooling_ms, circuits, status } = gateway.backend("busy")
    expect([circuits, status]).toEqual([[], "healthy"])
    expect(cooling_ms).toBeGreaterThan(25_000)
    expect(cooling_ms).toBeLessThanOrEqual(34_000)
  })
})

describe("a redirect", () => {
  test("is never followed, so that no key or prompt goes to another server", async () => {
    await using elsewhere = await startUpstream({ models: ["m"] })
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [head(307, [`Location: ${elsewhere.url}${path}`, "Content-Length: 0"])]
    })
    await using gateway = await startGateway(
      { backends: [backendFor("one", upstream)], routing: { max_retries: 0 } },
      { backendKeys: new Map([["one", "sk-inner"]]), authKeys: [] }
    )
    const answer = await post(gateway.port)
    expect(answer.status).toBe(502)
    expect(answer.text).not.toContain(elsewhere.url)
    expect(upstream.lastCall().header("authorization")).toBe("Bearer sk-inner")
    expect(elsewhere.server.requests).toHaveLength(0)
  })

  test("a backend's key goes to that backend alone, whatever fails over", async () => {
    await using first = await startUpstream({ models: ["m"], script: failing })
    await using second = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway(
      {
        routing: { strategy: "priority_only" },
        backends: [backendFor("first", first, { priority: 1 }), backendFor("second", second, { priority: 2 })]
      },
      { backendKeys: new Map([["first", "sk-first"]]), authKeys: [] }
    )
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", path, body(), ["Authorization: Bearer client"]))
    expect((await client.answer()).status).toBe(200)
    expect(first.lastCall().header("authorization")).toBe("Bearer sk-first")
    expect(second.lastCall().header("authorization")).toBeUndefined()
  })
})
