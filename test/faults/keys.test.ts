import { describe, expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { good, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const post = (gateway: Gateway, headers: ReadonlyArray<string> = [], model = "m") =>
  ask(gateway.port, "POST", path, JSON.stringify({ model, messages: [] }), headers)

const refusal = (status: number, message: string) => {
  const error = { message, type: "invalid_request_error", param: null, code: null }
  return json({ error }, status)
}

const saying =
  (status: number, message: string): Script =>
  () => [refusal(status, message)]

const badKey = "Incorrect API key provided: sk-in**er."

const keyed = { backendKeys: new Map([["locked", "sk-inner"]]), authKeys: [] }

const informed = { logging: { level: "info", format: "json" }, routing: { strategy: "priority_only" } }

const wellAgain = { status: "healthy", circuits: [], cooling_ms: 0 }

describe("what a backend refuses to one request", () => {
  const words: ReadonlyArray<readonly [status: number, message: string]> = [
    [403, "Your input was flagged by our moderation"],
    [403, "The project does not have access to this model"],
    [401, "unauthorized: sign in to use cloud models"]
  ]
  for (const [status, message] of words) {
    test(`is that request's: ${status} "${message}" goes to it, and every other request is answered`, async () => {
      await using locked = await startUpstream({
        models: ["m", "cloud"],
        script: (request) => (modelOf(request) === "cloud" ? [refusal(status, message)] : good()(request))
      })
      await using gateway = await startGateway({ backends: [backendFor("locked", locked)] }, keyed)
      for (let i = 0; i < 10; i += 1) {
        const refused = await post(gateway, [], "cloud")
        expect([refused.status, refused.json()]).toMatchObject([status, { error: { message } }])
        expect((await post(gateway)).status).toBe(200)
        expect(gateway.backend("locked")).toMatchObject(wellAgain)
      }
    })
  }

  test("goes to it at once when it is 403, whoever else serves the model", async () => {
    await using locked = await startUpstream({ models: ["m"], script: saying(403, "flagged") })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway(
      { ...informed, backends: [backendFor("locked", locked, { priority: 1 }), backendFor("fine", fine)] },
      keyed
    )
    expect((await post(gateway)).status).toBe(403)
    expect(fine.calls()).toHaveLength(0)
  })
})

describe("a backend that says that our key is bad", () => {
  test("is a 502 with its words, and is asked all the same while its probes are good and it is alone", async () => {
    await using locked = await startUpstream({ models: ["m"], script: saying(401, badKey) })
    await using gateway = await startGateway({ backends: [backendFor("locked", locked)] }, keyed)
    for (let i = 0; i < 5; i += 1) {
      const answer = await post(gateway)
      expect(answer.status).toBe(502)
      expect(answer.text).toContain(badKey)
    }
    expect(locked.calls()).toHaveLength(5)
    expect(gateway.backend("locked").status).toBe("healthy")
    locked.script(good())
    expect((await post(gateway)).status).toBe(200)
  })

  test("is believed when a probe with that key is refused too: told once, and asked no more while another answers", async () => {
    using log = takeLog()
    const state = { refused: false }
    await using locked = await startUpstream({
      models: ["m"],
      script: saying(401, badKey),
      probe: () => (state.refused ? [refusal(401, badKey)] : undefined)
    })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway(
      { ...informed, backends: [backendFor("locked", locked, { priority: 1 }), backendFor("fine", fine)] },
      keyed
    )
    state.refused = true
    expect((await post(gateway)).header("x-nexus-backend")).toBe("fine")
    await until(() => gateway.backend("locked").status === "config_error", "the probe tells")
    const asked = locked.calls().length
    for (let i = 0; i < 5; i += 1) expect((await post(gateway)).header("x-nexus-backend")).toBe("fine")
    expect(locked.calls()).toHaveLength(asked)
    const told = log.lines().filter(({ message }) => message === "backend became config_error")
    expect(told).toMatchObject([
      { level: "warn", backend: "locked", reason: "refuses the key it is given (status 401)" }
    ])
    expect(log.text()).not.toContain("sk-inner")
  })

  test("and is the last one with the model still gets its requests, and they get its words", async () => {
    const state = { refused: false }
    await using locked = await startUpstream({
      models: ["m"],
      script: saying(401, "unauthorized"),
      probe: () => (state.refused ? [refusal(401, badKey)] : undefined)
    })
    await using gateway = await startGateway({ backends: [backendFor("locked", locked)] }, keyed)
    state.refused = true
    expect((await post(gateway)).status).toBe(401)
    await until(() => gateway.backend("locked").status === "config_error", "the probe tells")
    const answer = await post(gateway)
    // Now it is known that no client can mend it.
    expect([answer.status, answer.text.includes("unauthorized")]).toEqual([502, true])
    locked.script(good())
    expect((await post(gateway)).status).toBe(200)
  })
})

test("a list that is refused does not take out a backend that answers real requests", async () => {
  const state = { answers: 0, refusals: 0 }
  await using locked = await startUpstream({
    models: ["m"],
    // Refused where some have been answered since the list before.
    probe: () => {
      const refused = state.answers >= 3
      state.answers = 0
      if (!refused) return undefined
      state.refusals += 1
      return [refusal(403, "Missing scopes: api.model.read")]
    }
  })
  await using gateway = await startGateway(
    { health_check: { interval_seconds: 0.3 }, backends: [backendFor("locked", locked)] },
    keyed
  )
  while (state.refusals < 5) {
    expect((await post(gateway)).status).toBe(200)
    state.answers += 1
    expect(gateway.backend("locked").status).toBe("healthy")
  }
})

for (const status of [401, 403]) {
  test(`${status} is of no account when the key is the client's`, async () => {
    await using theirs = await startUpstream({ models: ["m"], script: saying(status, badKey) })
    await using gateway = await startGateway({
      backends: [backendFor("theirs", theirs, { forward_authorization: true })]
    })
    for (let i = 0; i < 5; i += 1) {
      expect((await post(gateway, [`Authorization: Bearer key-${i}`])).status).toBe(status)
      expect(theirs.lastCall().header("authorization")).toBe(`Bearer key-${i}`)
    }
    expect(theirs.calls()).toHaveLength(5)
    expect(gateway.backend("theirs")).toMatchObject(wellAgain)
  })
}
