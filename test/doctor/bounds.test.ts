import { expect, test } from "bun:test"
import { Redacted } from "effect"
import { json } from "../kit/answers.ts"
import { startRaw } from "../kit/rawServer.ts"
import { backendAt, look, parsed } from "./patient.ts"

const message = { role: "assistant", content: "1 2 3" }

const boundsTold = async (type: "azure" | "generic") => {
  await using server = await startRaw({
    script: ({ method }) => [
      method === "GET"
        ? json({ object: "list", data: [{ id: "m", object: "model" }] })
        : json({ object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }] })
    ]
  })
  const models = [{ id: "m", capabilities: {} }]
  await look(backendAt(server.url, { type, models, apiKey: Redacted.make("k") }), true)
  return server.requests
    .filter(({ method, target }) => method === "POST" && target.includes("/chat/completions"))
    .map((request) => {
      const { max_completion_tokens: newer, max_tokens: older } = parsed(request)
      return `${typeof newer}, ${typeof older}`
    })
}

test("Azure's newer models are tried with the bound that they take, all other servers with the one they know", async () => {
  const azure = await boundsTold("azure")
  expect(azure.length).toBeGreaterThan(1)
  expect([...new Set(azure)]).toEqual(["number, undefined"])
  expect([...new Set(await boundsTold("generic"))]).toEqual(["undefined, number"])
})
