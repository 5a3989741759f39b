import { describe, expect, test } from "bun:test"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { APICallError, embedMany, generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases, thrown } from "../kit/clientCases.ts"
import { brokenEnds } from "../kit/clientFailures.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"

const client = ({ baseURL, apiKey, model, embedder }: Setup): Client => {
  const nexus = createOpenAICompatible({
    name: "nexus",
    baseURL,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true
  })
  const common = (prompt: string, signal?: AbortSignal) => ({
    model: nexus(model),
    prompt,
    maxRetries: 0,
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
    embed: async (texts) =>
      (await embedMany({ model: nexus.embeddingModel(embedder), values: [...texts], maxRetries: 0 })).embeddings,
    failure: (error) => ({
      status: APICallError.isInstance(error) ? error.statusCode : undefined,
      message: error instanceof Error ? error.message : String(error),
      header: (name) => (APICallError.isInstance(error) ? error.responseHeaders?.[name] : undefined)
    })
  }
}

clientCases("the AI SDK", client)

describe("textStream of the AI SDK, which passes over error events,", () => {
  // The third ends with the [DONE] of its backend, behind which nothing is cut.
  for (const [end, steps] of brokenEnds.slice(0, 2)) {
    test(`throws all the same when ${end}`, async () => {
      const events = chatEvents("m", ["half", " an"]).slice(0, 2).map(chunk)
      const pieces: Array<string> = []
      await using upstream = await startUpstream({
        models: ["m"],
        script: () => [
          streamHead(),
          ...events,
          // A connection that breaks takes what nobody has read yet with it.
          { until: until(() => pieces.length === 2, "both pieces are read") },
          ...steps
        ]
      })
      await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
      const nexus = createOpenAICompatible({ name: "nexus", baseURL: `${gateway.url}/v1` })
      const { textStream } = streamText({ model: nexus("m"), prompt: "talk", maxRetries: 0, onError: () => {} })
      const failure = await thrown(
        (async () => {
          for await (const piece of textStream) pieces.push(piece)
        })()
      )
      expect(failure).toBeInstanceOf(Error)
      expect(pieces).toEqual(["half", " an"])
    })
  }
})
