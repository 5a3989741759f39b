import { expect, test } from "bun:test"
import { createOpenAI } from "@ai-sdk/openai"
import { APICallError, generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai"
import { json } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"

// By default it refers to what it takes OpenAI to have kept.
const providerOptions = { openai: { store: false } }

const client = ({ baseURL, apiKey, model }: Setup): Client => {
  const nexus = createOpenAI({ baseURL, apiKey })
  const common = (prompt: string, signal?: AbortSignal) => ({
    model: nexus(model),
    prompt,
    maxRetries: 0,
    providerOptions,
    ...(signal === undefined ? {} : { abortSignal: signal })
  })
  const { description, parameters } = weather
  const inputSchema = jsonSchema<{ city: string }>(parameters)
  // What went wrong in a stream comes as a part of it; by itself it would be printed.
  const parts = (options: Parameters<typeof streamText>[0]) => streamText({ ...options, onError: () => {} }).stream
  return {
    chat: async (prompt, signal) => {
      const { text, usage } = await generateText(common(prompt, signal))
      return { text, tokens: usage.totalTokens ?? 0 }
    },
    stream: async function* (prompt, signal) {
      for await (const part of parts(common(prompt, signal))) {
        if (part.type === "text-delta") yield part.text
        if (part.type === "error") throw part.error
        if (part.type === "abort") throw new Error("aborted")
        if (part.type === "finish") return part.totalUsage.totalTokens ?? 0
      }
      throw new Error("the stream has no finish")
    },
    useTool: async (prompt, run) => {
      const tools = { weather: tool({ description, inputSchema, execute: async ({ city }) => run(city) }) }
      return (await generateText({ ...common(prompt), tools, stopWhen: isStepCount(2) })).text
    },
    streamTool: async (prompt) => {
      for await (const part of parts({ ...common(prompt), tools: { weather: tool({ description, inputSchema }) } })) {
        if (part.type === "tool-call") return { name: part.toolName, input: part.input }
      }
      throw new Error("no call came")
    },
    structured: async (prompt) =>
      (await generateText({ ...common(prompt), output: Output.object({ schema: jsonSchema(reportSchema) }) })).output,
    embed: async () => [],
    failure: (error) => ({
      status: APICallError.isInstance(error) ? error.statusCode : undefined,
      message: error instanceof Error ? error.message : JSON.stringify(error),
      header: (name) => (APICallError.isInstance(error) ? error.responseHeaders?.[name] : undefined)
    })
  }
}

clientCases("the AI SDK by Responses, its default,", client, false)

test("the AI SDK that is not told to keep things itself hears what it has to be told", async () => {
  const call = { id: "c", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } }
  const message = { role: "assistant", content: "Let me look.", tool_calls: [call] }
  await using upstream = await startUpstream({
    models: [{ id: "m", tools: true }],
    script: () => [json({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] })]
  })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  const { description, parameters } = weather
  const inputSchema = jsonSchema<{ city: string }>(parameters)
  const failure = await thrown(
    generateText({
      model: createOpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "x" })("m"),
      prompt: "Weather in Oslo?",
      maxRetries: 0,
      tools: { weather: tool({ description, inputSchema, execute: () => "rain" }) },
      stopWhen: isStepCount(2)
    })
  )
  expect(APICallError.isInstance(failure) ? failure.statusCode : undefined).toBe(400)
  expect(String(failure)).toContain("store: false")
})
