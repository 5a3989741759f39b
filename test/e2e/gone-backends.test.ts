import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

const post = (port: number, stream = false) => ask(port, "POST", path, body(stream))

/** What comes before the end of an answer. */
const words = chatEvents("m", ["words"])
  .filter((event) => event.includes('"finish_reason":null'))
  .map(chunk)

/** One failed probe is enough to be told of it. */
const quickly = { health_check: { failure_threshold: 1 } }

const byPriority = { strategy: "priority_only" }

// Most of each is waiting, and none of them sees another.
describe.concurrent("a backend that goes mute with open connections", () => {
  for (const stream of [false, true]) {
    test(`and closes its port loses the requests that got no byte to another one (${stream ? "stream" : "whole"})`, async () => {
      await using mute = await startUpstream({ models: ["m"], script: () => ["hang"] })
      await using other = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({
        routing: byPriority,
        backends: [backendFor("mute", mute, { priority: 1 }), backendFor("other", other, { priority: 2 })]
      })
      const answers = Promise.all(Array.from({ length: 12 }, () => post(gateway.port, stream)))
      await until(() => mute.calls().length === 12, "all are asked for")
      mute.server.refuse()
      for (const answer of await answers) {
        const told = ["x-nexus-backend", "x-nexus-attempts"].map(answer.header)
        expect([answer.status, answer.end, ...told]).toEqual([200, "complete", "other", "2"])
      }
      await until(() => mute.busy() === 0, "nobody is left waiting")
    }, 120_000)
  }

  test("and closes its port still gets the time to answer when there is no other", async () => {
    const gate = Promise.withResolvers<void>()
    await using last = await startUpstream({
      models: ["m"],
      closeProbes: true,
      script: async function* (request) {
        await gate.promise
        yield* good()(request)
      }
    })
    await using gateway = await startGateway({ ...quickly, backends: [backendFor("last", last)] })
    const sent = post(gateway.port)
    await until(() => last.calls().length === 1, "it is asked")
    last.server.refuse()
    await until(() => gateway.backend("last").status === "unhealthy", "its port was tried")
    gate.resolve()
    const answer = await sent
    expect([answer.status, answer.header("x-nexus-attempts")]).toEqual([200, "1"])
  }, 120_000)

  test("and closes its port loses its requests to one that came back only after they were sent", async () => {
    await using mute = await startUpstream({ models: ["m"], script: () => ["hang"] })
    await using twin = await startUpstream({ models: ["m"] })
    await twin.server.kill()
    await using gateway = await startGateway({
      routing: byPriority,
      health_check: { interval_seconds: 0.1, recovery_threshold: 1 },
      backends: [backendFor("mute", mute, { priority: 1 }), backendFor("twin", twin, { priority: 2 })]
    })
    const sent = post(gateway.port)
    await until(() => mute.calls().length === 1, "it is asked")
    await twin.server.revive()
    await until(() => gateway.backend("twin").status === "healthy", "the twin is back")
    mute.server.refuse()
    const answer = await sent
    expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "twin"])
  }, 120_000)

  test("and fails its probes loses the requests that got no byte, though its port is open", async () => {
    let hung = false
    await using mute = await startUpstream({
      models: ["m"],
      script: () => ["hang"],
      probe: () => (hung ? ["hang"] : undefined)
    })
    await using other = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: byPriority,
      health_check: { interval_seconds: 0.2, timeout_seconds: 1 },
      backends: [backendFor("mute", mute, { priority: 1 }), backendFor("other", other, { priority: 2 })]
    })
    const sent = post(gateway.port)
    await until(() => mute.calls().length === 1, "it is asked")
    hung = true
    const answer = await sent
    expect([answer.status, answer.header("x-nexus-backend"), answer.header("x-nexus-attempts")]).toEqual([
      200,
      "other",
      "2"
    ])
  }, 120_000)

  test("in the middle of a stream and closes its port has five seconds more, not idle_timeout_seconds", async () => {
    await using mute = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), ...words, "hang"]
    })
    await using gateway = await startGateway({ backends: [backendFor("mute", mute)] })
    const sent = post(gateway.port, true)
    await until(() => mute.calls().length === 1, "it is asked")
    const began = performance.now()
    mute.server.refuse()
    const answer = await sent
    const took = performance.now() - began
    expect(answer.text).toContain("words")
    expect(answer.text).toContain("the backend went away (connection refused)")
    expect(answer.text).not.toContain("[DONE]")
    expect(took).toBeGreaterThan(4900)
  }, 120_000)

  test("in the middle of a stream and speaks again within them goes on", async () => {
    const gate = Promise.withResolvers<void>()
    await using slow = await startUpstream({
      models: ["m"],
      closeProbes: true,
      script: () => [
        streamHead(),
        ...words,
        { until: gate.promise },
        ...chatEvents("m", ["more"]).map(chunk),
        "0\r\n\r\n"
      ]
    })
    await using gateway = await startGateway({ ...quickly, backends: [backendFor("slow", slow)] })
    const sent = post(gateway.port, true)
    await until(() => slow.calls().length === 1, "it is asked")
    slow.server.refuse()
    await until(() => gateway.backend("slow").status === "unhealthy", "its port was tried")
    gate.resolve()
    const answer = await sent
    expect([answer.status, answer.end]).toEqual([200, "complete"])
    expect(answer.text).toContain("[DONE]")
  }, 120_000)
})

test.concurrent("a backend that thinks for long keeps its requests, and its port is tried a few times only", async () => {
  const gate = Promise.withResolvers<void>()
  await using slow = await startUpstream({
    models: ["m"],
    script: async function* (request) {
      await gate.promise
      yield* good()(request)
    }
  })
  await using other = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({
    routing: byPriority,
    backends: [backendFor("slow", slow, { priority: 1 }), backendFor("other", other, { priority: 2 })]
  })
  const before = slow.server.accepted()
  const sent = Array.from({ length: 8 }, () => post(gateway.port))
  await until(() => slow.calls().length === 8, "all are asked for")
  await Bun.sleep(2600)
  gate.resolve()
  for (const answer of await Promise.all(sent)) {
    expect([answer.status, answer.header("x-nexus-backend"), answer.header("x-nexus-attempts")]).toEqual([
      200,
      "slow",
      "1"
    ])
  }
  expect(slow.server.accepted() - before).toBeLessThanOrEqual(8 + 3)
}, 120_000)
