import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, modelOf, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const body = (stream: boolean, i = 0) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: `${i}` }], stream })

const path = "/v1/chat/completions"

const many = <A>(count: number, make: (i: number) => Promise<A>) =>
  Promise.all(Array.from({ length: count }, (_, i) => make(i)))

describe("two hundred requests at a time", () => {
  test("of both kinds are all under way together, and all succeed", async () => {
    const gate = Promise.withResolvers<void>()
    const held: Script = (request) =>
      wantsStream(request)
        ? [streamHead(), { until: gate.promise }, ...chatEvents(modelOf(request), ["a"]).map(chunk), lastChunk]
        : [{ until: gate.promise }, json(completion(modelOf(request), "a"))]
    await using one = await startUpstream({ models: ["m"], script: held })
    await using two = await startUpstream({ models: ["m"], script: held })
    await using gateway = await startGateway({ backends: [backendFor("one", one), backendFor("two", two)] })
    const answers = many(200, (i) => ask(gateway.port, "POST", path, body(i % 2 === 0, i)))
    await until(() => one.busy() + two.busy() === 200, "all 200 are at a backend")
    expect(gateway.backends().map(({ in_flight }) => in_flight)).toEqual([one.busy(), two.busy()])
    expect(Math.abs(one.busy() - two.busy())).toBeLessThan(100)
    gate.resolve()
    for (const [i, answer] of (await answers).entries()) {
      expect([answer.status, answer.end]).toEqual([200, "complete"])
      expect(answer.text.includes("[DONE]")).toBe(i % 2 === 0)
    }
    await gateway.quiet()
    expect(gateway.backends().map(({ in_flight }) => in_flight)).toEqual([0, 0])
  })

  test("leave nothing in flight when some are aborted and some fail", async () => {
    let nth = 0
    const mixed: Script = (request) => {
      nth += 1
      if (nth % 5 === 0) return ["reset"]
      if (nth % 5 === 1) return ["hang"]
      if (nth % 5 === 2) return [streamHead(), chunk(chatEvents("m", ["a"])[0] ?? ""), "reset"]
      return good()(request)
    }
    await using one = await startUpstream({ models: ["m"], script: mixed })
    await using gateway = await startGateway({
      server: { first_byte_timeout_seconds: 0.3 },
      backends: [backendFor("one", one)]
    })
    await many(200, async (i) => {
      const client = await dial(gateway.port)
      await client.send(requestBytes("POST", path, body(i % 2 === 0, i)))
      if (i % 3 === 0) client.hangUp()
      else if (i % 2 === 1) await client.answer()
      // A stream that is cut may be reset before its client has read what came before; nothing else may go wrong.
      else await client.answer().catch((error: unknown) => expect(String(error)).toContain("ended (reset)"))
      client.hangUp()
    })
    await gateway.quiet()
    await until(() => one.busy() === 0, "nothing hangs at the backend")
  })
})

describe("killing a backend under load", () => {
  test("loses no request that another backend could serve", async () => {
    const slowly: Script = (request) =>
      wantsStream(request)
        ? [{ pause: 15 }, ...(good()(request) as Iterable<string>)] // reason: a good answer is a list of steps
        : [{ pause: 15 }, json(completion("m", "a"))]
    await using one = await startUpstream({ models: ["m"], script: slowly })
    await using two = await startUpstream({ models: ["m"], script: slowly })
    await using gateway = await startGateway({
      backends: [backendFor("one", one), backendFor("two", two)],
      // Both are to be asked all the time, however long each took to answer.
      routing: { strategy: "round_robin" },
      health_check: { interval_seconds: 0.1, failure_threshold: 2, recovery_threshold: 1 }
    })
    const outcomes: Array<string> = []
    const load = { over: false }
    let left = 20
    const worker = async (i: number) => {
      for (let n = 0; !load.over; n += 1) {
        const stream = (i + n) % 2 === 0
        const answer = await ask(gateway.port, "POST", path, body(stream, n))
        const whole = answer.text.includes(stream ? "[DONE]" : '"finish_reason":"stop"')
        // A stream that had begun at the killed backend cannot be saved, and must say so.
        const told = stream && answer.text.includes('"error"') && !answer.text.includes("[DONE]")
        outcomes.push(`${answer.status} ${whole ? "whole" : told ? "told" : `cut: ${answer.text}`}`)
      }
      left -= 1
    }
    const workers = many(20, worker)
    // How much a server is given at once is learned, and may be little on a busy machine.
    await until(() => outcomes.length > 100 && one.busy() > 0, "the load runs")
    await one.server.kill()
    const killed = outcomes.length
    await until(() => gateway.backend("one").status === "unhealthy", "the probe sees it")
    expect((await ask(gateway.port, "GET", "/health")).json()).toMatchObject({ status: "degraded" })
    await until(() => outcomes.length > killed + 200, "the load goes on")
    await one.server.revive()
    await until(() => gateway.backend("one").status === "healthy", "the probe sees it back")
    load.over = true
    await workers
    expect(left).toBe(0)
    expect(outcomes.filter((each) => each !== "200 whole" && each !== "200 told")).toEqual([])
    expect(outcomes.filter((each) => each === "200 told").length).toBeLessThanOrEqual(20)
    await gateway.quiet()
  })
})
