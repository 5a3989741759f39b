import { afterAll, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const upstream = await startUpstream({ type: "vllm", models: ["m"] })
const gateway = await startGateway({ backends: [{ ...backendFor("one", upstream), native: "never" }] })
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

test.each([
  ["/v1/messages/count_tokens", { model: "m", messages: [{ role: "user", content: "hi" }] }, "input_tokens"],
  ["/v1/responses/input_tokens", { model: "m", input: "a" }, "input_tokens"],
  ["/v1beta/models/m:countTokens", { contents: [{ parts: [{ text: "a" }] }] }, "totalTokens"]
])("the shortest prompt is told to make a token, and not none: %s", async (path, body, field) => {
  const answer = await ask(gateway.port, "POST", path, JSON.stringify(body))
  expect([answer.status, answer.header("x-nexus-estimated"), answer.json()]).toMatchObject([200, field, { [field]: 1 }])
})
