import { expect, test } from "bun:test"
import { json, whole } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const reason = "answers, but not with a list of models"
const page = () => [whole(200, "<html><title>Sign in</title></html>", "text/html")]
const post = (port: number) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [], stream: false }))

test("a web server in the place of a backend is unhealthy and says why, and gets no request", async () => {
  await using upstream = await startUpstream({ models: ["m"], probe: page })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  expect(gateway.backend("one")).toMatchObject({ status: "unhealthy", reason })
  const answer = await post(gateway.port)
  expect([answer.status, answer.header("x-nexus-rejection-reasons")]).toEqual([503, expect.stringContaining(reason)])
  expect(upstream.calls()).toHaveLength(0)
})

test("a service without a list is healthy with the models that are declared for it, and answers", async () => {
  for (const probe of [page, () => [json({ detail: "Not Found" }, 404)]]) {
    await using upstream = await startUpstream({ models: [], probe })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream, { models: [{ id: "m" }] })] })
    expect(gateway.backend("one")).toMatchObject({ status: "healthy", models: [{ id: "m" }] })
    expect((await post(gateway.port)).status).toBe(200)
  }
})

test("a backend whose place a login page takes is unhealthy after some probes, and healthy when it is back", async () => {
  let away = false
  await using upstream = await startUpstream({ models: ["m"], probe: () => (away ? page() : undefined) })
  await using gateway = await startGateway({
    health_check: { interval_seconds: 0.05, failure_threshold: 2, recovery_threshold: 1 },
    backends: [backendFor("one", upstream)]
  })
  expect(gateway.backend("one").status).toBe("healthy")
  away = true
  await until(() => gateway.backend("one").status === "unhealthy", "the login page is noticed")
  expect(gateway.backend("one").reason).toBe(reason)
  away = false
  await until(() => gateway.backend("one").status === "healthy", "the backend is back")
})
