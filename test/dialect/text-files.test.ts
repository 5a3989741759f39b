import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatPart, ClientCodec, ServerCodec, ServerTraits } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer, hello } from "../kit/codecs.ts"

const chatServer = openai.operations[0].server!
const ollamaServer = ollama.operations[0].server!
const googleServer = gemini.operations.find(({ server }) => server !== undefined)!.server!

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

describe("a file that is told by its address", () => {
  const url = "https://files.invalid/a.pdf"
  const name = "a.pdf"
  const asked: ReadonlyArray<readonly [string, ClientCodec, object]> = [
    [
      "chat completions",
      openai.operations[0].client!,
      { messages: [{ role: "user", content: [{ type: "file", file: { filename: name, file_data: url } }] }] }
    ],
    [
      "Responses",
      responses.operations[0]!.client!,
      { input: [{ role: "user", content: [{ type: "input_file", filename: name, file_url: url }] }] }
    ],
    [
      "Responses that names what it leaves out",
      responses.operations[0]!.client!,
      { input: [{ role: "user", content: [{ type: "input_file", filename: name, file_data: null, file_url: url }] }] }
    ],
    [
      "Messages",
      anthropic.operations[0].client!,
      {
        max_tokens: 9,
        messages: [{ role: "user", content: [{ type: "document", title: name, source: { type: "url", url } }] }]
      }
    ],
    [
      "Google's API",
      gemini.operations.find(({ client }) => client !== undefined)!.client!,
      { contents: [{ parts: [{ fileData: { fileUri: url, mimeType: "application/pdf", displayName: name } }] }] }
    ]
  ]

  test.each(asked)(
    "goes on so from a client of %s to those who fetch it, and is refused by all others",
    (_, codec, request) => {
      const body = new TextEncoder().encode(JSON.stringify({ model: "m", ...request }))
      const { chat, dropped } = Result.getOrThrow(codec.decode(body, "m"))
      expect(dropped).toEqual([])
      const told = (server: ServerCodec, traits: Partial<ServerTraits> = {}, model = "m") =>
        Result.map(server.encode(chat, model, { ...anyServer, files: true, ...traits }), (encoded): unknown =>
          JSON.parse(new TextDecoder().decode(encoded.body))
        )
      const source = { type: "url", url }
      expect(Result.getOrThrow(told(anthropic.operations[0].server!))).toMatchObject({
        messages: [{ content: [{ type: "document", title: name, source }] }]
      })
      expect(Result.getOrThrow(told(googleServer, {}, "gemini-3-pro"))).toMatchObject({
        contents: [{ parts: [{ fileData: { mimeType: "application/pdf", fileUri: url } }] }]
      })
      expect(Result.getOrThrow(told(chatServer, kindNamed("openrouter").takes))).toMatchObject({
        messages: [{ content: [{ type: "file", file: { filename: name, file_data: url } }] }]
      })
      for (const refused of [told(chatServer), told(ollamaServer), told(googleServer, {}, "gemini-2.0-flash")])
        expect(Result.isFailure(refused)).toBe(true)
    }
  )
})

test("a file of Messages whose address is none on the web is refused by its place", () => {
  const source = { type: "url", url: "file:///a.pdf" }
  const request = { model: "m", max_tokens: 9, messages: [{ role: "user", content: [{ type: "document", source }] }] }
  const read = anthropic.operations[0].client!.decode(new TextEncoder().encode(JSON.stringify(request)), "m")
  expect(Result.isFailure(read) && read.failure.param).toBe("messages[0].content[0].source.url")
})

test("a picture that is told by its address goes on so to those of Google's models that fetch it", () => {
  const encoded = (url: string, model: string) =>
    Result.map(
      googleServer.encode(
        { ...hello, messages: [{ role: "user", parts: [{ type: "image", url }] }] },
        model,
        anyServer
      ),
      ({ body }) => JSON.parse(new TextDecoder().decode(body)).contents[0].parts[0].fileData
    )
  expect(Result.getOrThrow(encoded("https://x.invalid/y.png?z", "gemini-3-pro"))).toEqual({
    mimeType: "image/png",
    fileUri: "https://x.invalid/y.png?z"
  })
  for (const [url, model] of [
    ["http://x.invalid/y.png", "gemini-3-pro"],
    ["https://x.invalid/y.png", "gemini-2.0-flash"]
  ] as const)
    expect(Result.isFailure(encoded(url, model))).toBe(true)
})

describe("a file by its address whose path shows what it is", () => {
  const asked = (url: string): ReadonlyArray<readonly [string, ClientCodec, object]> => [
    [
      "chat completions",
      openai.operations[0].client!,
      { messages: [{ role: "user", content: [{ type: "file", file: { file_data: url } }] }] }
    ],
    [
      "Mistral's chat",
      openai.operations[0].client!,
      { messages: [{ role: "user", content: [{ type: "document_url", document_url: url }] }] }
    ],
    [
      "Responses",
      responses.operations[0]!.client!,
      { input: [{ role: "user", content: [{ type: "input_file", file_url: url }] }] }
    ]
  ]
  const chatOf = (codec: ClientCodec, request: object) =>
    Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify({ model: "m", ...request })), "m")).chat

  test.each(asked("https://files.invalid/A.CSV?v=1"))(
    "is told as that to Google from a client of %s",
    (_, codec, request) => {
      const chat = chatOf(codec, request)
      const { body } = Result.getOrThrow(googleServer.encode(chat, "gemini-3-pro", anyServer))
      expect(JSON.parse(new TextDecoder().decode(body)).contents[0].parts[0].fileData).toEqual({
        mimeType: "text/csv",
        fileUri: "https://files.invalid/A.CSV?v=1"
      })
      // It fetches PDFs alone.
      expect(Result.isFailure(anthropic.operations[0].server!.encode(chat, "claude", anyServer))).toBe(true)
    }
  )

  test.each(asked("https://files.invalid/a.jpg"))(
    "is a picture where it is one, from a client of %s",
    (_, codec, request) => {
      const { body } = Result.getOrThrow(chatServer.encode(chatOf(codec, request), "m", anyServer))
      expect(JSON.parse(new TextDecoder().decode(body)).messages[0].content).toEqual([
        { type: "image_url", image_url: { url: "https://files.invalid/a.jpg" } }
      ])
    }
  )

  test("is a text as Google's clients tell of one", () => {
    const fileData = { fileUri: "https://files.invalid/a.md", mimeType: "text/markdown" }
    const codec = gemini.operations.find(({ client }) => client !== undefined)!.client!
    const { body } = Result.getOrThrow(
      chatServer.encode(chatOf(codec, { contents: [{ parts: [{ fileData }] }] }), "m", {
        ...anyServer,
        files: true,
        ...kindNamed("openrouter").takes
      })
    )
    expect(new TextDecoder().decode(body)).toContain(`"file_data":"${fileData.fileUri}"`)
  })
})

describe("a file for a model of Mistral's", () => {
  const url = "https://files.invalid/a.pdf"
  const part = { type: "file", name: "a.pdf", mediaType: "application/pdf" } as const
  const told = (file: ChatPart, traits: Partial<ServerTraits> = {}) =>
    Result.map(
      chatServer.encode({ ...hello, messages: [{ role: "user", parts: [file] }] }, "mistral-large-latest", {
        ...anyServer,
        files: true,
        ...traits
      }),
      ({ body }) => JSON.parse(new TextDecoder().decode(body)).messages[0].content[0]
    )

  test("is told in the words of its maker, who fetches it as well", () => {
    expect(Result.getOrThrow(told({ ...part, url }))).toEqual({
      type: "document_url",
      document_url: url,
      document_name: "a.pdf"
    })
    expect(Result.getOrThrow(told({ ...part, data: "AAAA" }))).toMatchObject({
      type: "document_url",
      document_url: "data:application/pdf;base64,AAAA"
    })
  })

  test("is told in OpenAI's where OpenRouter has the model, and refused where a server of one's own has it", () => {
    expect(Result.getOrThrow(told({ ...part, url }, kindNamed("openrouter").takes))).toMatchObject({ type: "file" })
    expect(Result.isFailure(told({ ...part, url }, { files: false }))).toBe(true)
  })
})
