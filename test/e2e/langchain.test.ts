import { AIMessageChunk, HumanMessage, ToolMessage, type UsageMetadata } from "@langchain/core/messages"
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai"
import OpenAI from "openai"
import { type Client, reportSchema, type Setup, weather } from "../kit/client.ts"
import { clientCases } from "../kit/clientCases.ts"

const tokensOf = (message: { readonly usage_metadata?: UsageMetadata | undefined }): number =>
  message.usage_metadata?.total_tokens ?? 0

const client = ({ baseURL, apiKey, model, embedder }: Setup): Client => {
  const chat = new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL } })
  const signalled = (signal?: AbortSignal) => (signal === undefined ? {} : { signal })
  const withTool = chat.bindTools([{ type: "function", function: weather }])
  return {
    chat: async (prompt, signal) => {
      const answer = await chat.invoke(prompt, signalled(signal))
      return { text: answer.text, tokens: tokensOf(answer) }
    },
    stream: async function* (prompt, signal) {
      let tokens = 0
      for await (const piece of await chat.stream(prompt, signalled(signal))) {
        tokens += tokensOf(piece)
        yield piece.text
      }
      return tokens
    },
    useTool: async (prompt, run) => {
      const asks = new HumanMessage(prompt)
      const said = await withTool.invoke([asks])
      const [call] = said.tool_calls ?? []
      if (call === undefined) throw new Error("no call came")
      const told = new ToolMessage({ tool_call_id: call.id ?? "", content: run(String(call.args["city"])) })
      return (await withTool.invoke([asks, said, told])).text
    },
    streamTool: async (prompt) => {
      let whole = new AIMessageChunk("")
      for await (const piece of await withTool.stream(prompt)) whole = whole.concat(piece)
      const [call] = whole.tool_calls ?? []
      return { name: call?.name ?? "", input: call?.args }
    },
    structured: (prompt) =>
      chat.withStructuredOutput(reportSchema, { name: "report", method: "jsonSchema", strict: true }).invoke(prompt),
    embed: (texts) =>
      new OpenAIEmbeddings({ model: embedder, apiKey, maxRetries: 0, configuration: { baseURL } }).embedDocuments([
        ...texts
      ]),
    failure: (error) => ({
      status: error instanceof OpenAI.APIError ? error.status : undefined,
      message: error instanceof Error ? error.message : String(error),
      header: (name) => (error instanceof OpenAI.APIError ? error.headers?.get(name) : undefined)
    })
  }
}

clientCases("LangChain", client)
