import { expect, test } from "bun:test"
import OpenAI from "openai"
import { json } from "../kit/answers.ts"
import { answering, claude, claudeError, claudeWorld, says } from "../kit/claude.ts"

const tool = (name: string): OpenAI.ChatCompletionTool => ({
  type: "function",
  function: {
    name,
    strict: true,
    parameters: { type: "object", properties: {}, required: [], additionalProperties: false }
  }
})

test("tools that are too many to be strict cost no other request of the model its strictness", async () => {
  const tooMuch = "The compiled grammar is too large, which would cause performance issues."
  await using world = await claudeWorld((request) =>
    request.text.split('"strict":true').length > 2
      ? [json(claudeError("invalid_request_error", tooMuch), 400)]
      : answering(() => ({ content: [says("hi")] }))(request)
  )
  const client = new OpenAI({ baseURL: `${world.gateway.url}/v1`, apiKey: "not-needed", maxRetries: 0 })
  const asked = async (...names: ReadonlyArray<string>) => {
    const { data, response } = await client.chat.completions
      .create({ model: claude, messages: [{ role: "user", content: "hello" }], tools: names.map(tool) })
      .withResponse()
    return [data.choices[0]?.message.content, response.headers.get("x-nexus-dropped"), world.upstream.calls().length]
  }
  expect(await asked("a", "b")).toEqual(["hi", "tools.function.strict", 2])
  expect(await asked("a")).toEqual(["hi", null, 3])
  expect(await asked("a", "b")).toEqual(["hi", "tools.function.strict", 5])
})
