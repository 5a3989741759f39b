import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const body = JSON.stringify({ model: "m", messages: [] })

const post = (port: number, headers: ReadonlyArray<string> = []) => ask(port, "POST", path, body, headers)

const failure: Step = json({ error: { message: "no", type: "server_error", param: null, code: null } }, 500)

describe("the attempts of one request", () => {
  test("share one deadline", async () => {
    const script: Script = () => ["hang"]
    await using one = await startUpstream({ models: ["m"], script })
    await using two = await startUpstream({ models: ["m"], script })
    await using gateway = await startGateway({
      server: { request_timeout_seconds: 2.5, first_byte_timeout_seconds: 1.5 },
      backends: [backendFor("one", one), backendFor("two", two)],
      routing: { max_retries: 5 }
    })
    const began = performance.now()
    const answer = await post(gateway.port)
    expect(performance.now() - began).toBeGreaterThan(2490)
    expect([answer.status, answer.header("x-nexus-attempts")]).toEqual([504, "2"])
    expect(answer.text).toContain("request_timeout_seconds (2.5 s)")
    await gateway.quiet()
    expect(one.calls().length + two.calls().length).toBe(2)
  })

  for (const death of ["reset", "fin"] as const) {
    test(`break two backends at most, when it is the request that breaks them (${death})`, async () => {
      const script: Script = () => [death]
      await using one = await startUpstream({ models: ["m"], script })
      await using two = await startUpstream({ models: ["m"], script })
      await using three = await startUpstream({ models: ["m"], script })
      const all = [one, two, three]
      await using gateway = await startGateway({
        backends: all.map((each, i) => backendFor(`b${i}`, each)),
        routing: { max_retries: 5 }
      })
      expect((await post(gateway.port)).status).toBe(502)
      expect(all.reduce((sum, each) => sum + each.calls().length, 0)).toBe(2)
    })
  }

  test("hide a backend of which every second answer fails", async () => {
    let nth = 0
    const shaky: Script = (request) => ((nth += 1) % 2 === 0 ? [failure] : good()(request))
    await using one = await startUpstream({ models: ["m"], script: shaky })
    await using two = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", one), backendFor("two", two)],
      routing: { strategy: "round_robin" }
    })
    const statuses: Array<number> = []
    const work = async () => {
      for (let i = 0; i < 25; i += 1) statuses.push((await post(gateway.port)).status)
    }
    await Promise.all(Array.from({ length: 8 }, work))
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(0.99 * 200)
    expect(one.calls().length).toBeGreaterThan(20)
  })
})

describe("a client's library", () => {
  test("is told not to try again, whether the tries of the request are used up or those of all of them", async () => {
    const gate = Promise.withResolvers<void>()
    await using bad = await startUpstream({ models: ["m"], script: () => [{ until: gate.promise }, failure] })
    await using gateway = await startGateway({ backends: [backendFor("bad", bad)], routing: { max_retries: 1 } })
    const answers = Promise.all(Array.from({ length: 40 }, () => post(gateway.port)))
    await until(() => bad.busy() === 40, "all are asked for")
    gate.resolve()
    const all = await answers
    for (const answer of all) expect(answer.header("x-should-retry")).toBe("false")
    // Eight of forty may be tried again at a time.
    const attempts = all.reduce((sum, answer) => sum + Number(answer.header("x-nexus-attempts")), 0)
    expect(bad.calls()).toHaveLength(attempts)
    expect(attempts).toBeLessThan(80)
  })

  test("may try again when nobody has worked on the request", async () => {
    const pause = json({ error: { message: "later" } }, 503, ["Retry-After: 1"])
    await using resting = await startUpstream({ models: ["m"], script: () => [pause] })
    await using gateway = await startGateway({ backends: [backendFor("resting", resting)] })
    for (let i = 0; i < 3; i += 1) {
      const answer = await post(gateway.port)
      expect([answer.status, answer.header("x-should-retry")]).toEqual([503, undefined])
    }
  })

  test("is believed in the log when it says how often it has tried", async () => {
    using log = takeLog()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      logging: { level: "debug", format: "json" }
    })
    for (const count of ["0", "2", "x\u00e9"]) await post(gateway.port, [`X-Stainless-Retry-Count: ${count}`])
    await gateway.quiet()
    const told = log.lines().filter(({ message }) => message === "request ended")
    expect(told.map((line) => line["client_retry"])).toEqual([undefined, 2, undefined])
  })
})
