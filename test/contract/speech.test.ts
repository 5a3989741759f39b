/**
 * What a row of the table in src/backend/speech.ts promises, against a server: a scripted one, or a real one where
 * NEXUS_CONTRACT_URL is its base URL, NEXUS_CONTRACT_TYPE its type and NEXUS_CONTRACT_MODEL a model of it
 * (NEXUS_CONTRACT_KEY its key), as in
 *
 *   NEXUS_CONTRACT_URL=http://gpu-box:8000 NEXUS_CONTRACT_TYPE=vllm NEXUS_CONTRACT_MODEL=m bun test test/contract
 *
 * Of what is relied on a failure is news: the row is wrong for that server. Of what is not, a row may be changed that holds.
 */
import { afterAll, describe, expect, test } from "bun:test"
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"
import { backendTypes, kindNamed } from "../../src/backend/all.ts"
import { messagesServer, responsesServer } from "./scripted.ts"

const { NEXUS_CONTRACT_KEY, NEXUS_CONTRACT_MODEL, NEXUS_CONTRACT_TYPE, NEXUS_CONTRACT_URL } = process.env

const root = NEXUS_CONTRACT_URL?.replace(/\/(?:v1)?\/?$/, "")
const type = backendTypes.find((each) => each === NEXUS_CONTRACT_TYPE)
const model = NEXUS_CONTRACT_MODEL ?? "m"
const apiKey = NEXUS_CONTRACT_KEY ?? "none"

const scripted = root === undefined ? [await messagesServer(), await responsesServer()] : []
afterAll(() => Promise.all(scripted.map((each) => each[Symbol.asyncDispose]())))
const [messagesUrl = "", responsesUrl = ""] = root === undefined ? scripted.map(({ url }) => url) : [root, root]

const levelOf = (name: string): string => {
  if (type === undefined) return "scripted"
  const { dialects, operations = {} } = kindNamed(type).speaks
  return (
    [...Object.entries(dialects), ...Object.entries(operations)].find(([each]) => each === name)?.[1].level ?? "absent"
  )
}

/** A promise of a row; of a real server that is not said to have it, it is left out. */
const holds = (row: string, what: string, check: () => Promise<void>): void => {
  const level = levelOf(row)
  test.skipIf(level === "absent")(`${what} (${row}: ${level})`, check, 60_000)
}

const tool = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const

describe("Messages", () => {
  const client = new Anthropic({ baseURL: messagesUrl, apiKey, authToken: null, maxRetries: 0 })
  const ask = {
    model,
    max_tokens: 64,
    messages: [{ role: "user", content: "Say hello." }]
  } satisfies Anthropic.MessageCreateParams

  holds("anthropic", "streams what its library puts together, to a reason to stop", async () => {
    const message = await client.messages.stream(ask).finalMessage()
    expect(message.content.length).toBeGreaterThan(0)
    expect(["end_turn", "max_tokens"]).toContain(message.stop_reason ?? "")
    expect(message.usage.output_tokens).toBeGreaterThan(0)
  })

  holds("anthropic", "has blocks that do not overlap, with places in a row", async () => {
    let open = -1
    let next = 0
    for await (const event of await client.messages.create({ ...ask, stream: true })) {
      if (event.type === "content_block_start") {
        expect([open, event.index]).toEqual([-1, next])
        open = event.index
        next += 1
      }
      if (event.type === "content_block_delta") expect(event.index).toBe(open)
      if (event.type === "content_block_stop") open = -1
    }
    expect(next).toBeGreaterThan(0)
  })

  holds("anthropic", "obeys a named tool_choice, and none", async () => {
    const tools = [{ name: "weather", description: "The weather", input_schema: { ...tool, required: ["city"] } }]
    const named = await client.messages.create({ ...ask, tools, tool_choice: { type: "tool", name: "weather" } })
    expect(named.content.some((block) => block.type === "tool_use" && block.name === "weather")).toBe(true)
    const none = await client.messages.create({ ...ask, tools, tool_choice: { type: "none" } })
    expect(none.content.some(({ type: kind }) => kind === "tool_use")).toBe(false)
  })

  holds("anthropic", "refuses in Anthropic's form", async () => {
    const answer = await fetch(`${messagesUrl}/v1/messages`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": apiKey, "anthropic-version": "2023-06-01" },
      body: JSON.stringify({ model, max_tokens: 8, messages: "no list" })
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ type: "error", error: { type: "invalid_request_error" } })
  })

  holds("messages/count_tokens", "counts, and more of more", async () => {
    const few = await client.messages.countTokens({ model, messages: ask.messages })
    const words = "one two three ".repeat(50)
    const many = await client.messages.countTokens({ model, messages: [{ role: "user", content: words }] })
    expect(few.input_tokens).toBeGreaterThan(0)
    expect(many.input_tokens).toBeGreaterThan(few.input_tokens)
  })
})

describe("Responses", () => {
  const client = new OpenAI({ baseURL: `${responsesUrl}/v1`, apiKey, maxRetries: 0 })
  const ask = { model, input: "Say hello.", store: false, max_output_tokens: 64 } as const

  holds("responses", "streams what its library puts together", async () => {
    const response = await client.responses.stream(ask).finalResponse()
    expect(response.output.length).toBeGreaterThan(0)
  })

  holds("responses", "takes a turn with reasoning and calls back", async () => {
    const response = await client.responses.create({
      ...ask,
      input: [
        { role: "user", content: "The weather?" },
        { type: "reasoning", id: "rs_1", summary: [] },
        { type: "function_call", call_id: "c1", name: "weather", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "rain" }
      ]
    })
    expect(response.object).toBe("response")
  })

  holds("responses", "says of an answer that it was cut", async () => {
    const response = await client.responses.create({ ...ask, input: "Count to a thousand.", max_output_tokens: 16 })
    expect(response.status).toBe("incomplete")
  })
})
