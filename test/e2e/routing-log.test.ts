import { expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { ask } from "../kit/rawClient.ts"

const chat = (port: number, body: unknown) => ask(port, "POST", "/v1/chat/completions", JSON.stringify(body))

const picture = { type: "image_url", image_url: { url: "data:image/png;base64,UFJPTVBU" } }
const withPicture = [{ role: "user", content: [{ type: "text", text: "a secret prompt" }, picture] }]

test("at debug the log says who could be asked for a request, with what is expected of them, and who could not and why", async () => {
  using log = takeLog()
  await using blind = await startUpstream({ type: "llamacpp", models: [{ id: "m", vision: false }] })
  await using seeing = await startUpstream({ type: "llamacpp", models: [{ id: "m", vision: true }] })
  await using gateway = await startGateway({
    backends: [backendFor("blind", blind, { type: "llamacpp" }), backendFor("seeing", seeing, { type: "llamacpp" })],
    routing: { aliases: { gpt: "m" } },
    logging: { level: "debug", format: "json" }
  })
  const answer = await chat(gateway.port, { model: "gpt", messages: withPicture })
  expect(answer.status).toBe(200)
  const told = () => log.lines().filter(({ request_id }) => request_id === answer.header("x-request-id"))
  await until(() => told().length === 2, "both lines are written")
  expect(told()[0]).toMatchObject({
    level: "debug",
    message: "routing decision",
    model: "gpt",
    models: ["m"],
    strategy: "smart",
    backend: "seeing",
    candidates: [{ backend: "seeing", model: "m", expected_ms: 0 }],
    excluded: [{ backend: "blind", model: "m", reason: "lacks vision (image input)" }]
  })
  expect(told()[1]).toMatchObject({ message: "request ended", outcome: "completed", status: 200, attempts: 1 })
  expect(log.text()).not.toContain("secret prompt")
  expect(log.text()).not.toContain("UFJPTVBU")
})
