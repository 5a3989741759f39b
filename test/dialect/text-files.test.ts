import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import type { ChatPart, ServerCodec, ServerTraits } from "../../src/dialect/chat.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"

const chatServer = openai.operations[0].server!
const ollamaServer = ollama.operations[0].server!

const base64 = (text: string) => Buffer.from(text).toString("base64")

const fileOf = (mediaType: string, name: string): ChatPart => ({ type: "file", name, mediaType, data: base64("a,ü") })

const messageFor = (server: ServerCodec, part: ChatPart, traits: ServerTraits = anyServer) =>
  Result.map(
    server.encode({ stream: false, messages: [{ role: "user", parts: [part] }], tools: [], extra: {} }, "m", traits),
    ({ body }) => JSON.parse(new TextDecoder().decode(body)).messages[0].content
  )

describe("a file of text", () => {
  const types = ["text/plain", "text/markdown", "text/csv", "application/json", "application/xml", "image/x+yaml"]
  test("is told to servers of chat completions and of Ollama by its words, whether they take files or not", () => {
    for (const type of types) {
      for (const server of [chatServer, ollamaServer]) {
        for (const files of [false, true]) {
          const content = messageFor(server, fileOf(type, "a.csv"), { ...anyServer, files })
          expect([type, content]).toEqual([type, Result.succeed("a.csv\n\na,ü")])
        }
      }
    }
  })

  test("without a name is its words alone", () => {
    expect(messageFor(chatServer, fileOf("text/plain", ""))).toEqual(Result.succeed("a,ü"))
  })

  test("comes from a client of Responses to a server that takes no files", () => {
    const file = { type: "input_file", filename: "a.md", file_data: `data:text/markdown;base64,${base64("# a")}` }
    const input = [{ role: "user", content: [file, { type: "input_text", text: "So?" }] }]
    const asked = new TextEncoder().encode(JSON.stringify({ model: "m", input }))
    const { chat } = Result.getOrThrow(responses.operations[0]!.client!.decode(asked, undefined))
    const { body } = Result.getOrThrow(chatServer.encode(chat, "m", anyServer))
    expect(JSON.parse(new TextDecoder().decode(body)).messages[0].content).toEqual([
      { type: "text", text: "a.md\n\n# a" },
      { type: "text", text: "So?" }
    ])
  })
})

test("a file that is no text is one for those alone who take files", () => {
  const pdf = fileOf("application/pdf", "a.pdf")
  expect(Result.isFailure(messageFor(chatServer, pdf))).toBe(true)
  expect(Result.isFailure(messageFor(ollamaServer, pdf))).toBe(true)
  expect(Result.getOrThrow(messageFor(chatServer, pdf, { ...anyServer, files: true }))).toEqual([
    { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${base64("a,ü")}` } }
  ])
})

test("a file that would have to be fetched is refused by its place, and told to nobody as if it were here", () => {
  const url = "https://files.invalid/a.pdf"
  const ofChat = openai.operations[0].client!
  const ofResponses = responses.operations[0]!.client!
  const asked = (client: typeof ofChat, request: object) =>
    Result.getFailure(client.decode(new TextEncoder().encode(JSON.stringify({ model: "m", ...request })), undefined))
  const content = [{ type: "file", file: { filename: "a.pdf", file_data: url } }]
  const input = [{ role: "user", content: [{ type: "input_file", filename: "a.pdf", file_data: url }] }]
  expect([asked(ofChat, { messages: [{ role: "user", content }] }), asked(ofResponses, { input })]).toMatchObject([
    { value: { param: "messages[0].content[0].file.file_data" } },
    { value: { param: "input[0].content[0].file_data" } }
  ])
})
