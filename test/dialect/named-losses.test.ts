import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatField, ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const clientOf = ({ operations }: Halves): ClientCodec => operations.find(({ client }) => client !== undefined)!.client!

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const read = (client: Halves, request: object) =>
  Result.getOrThrow(clientOf(client).decode(new TextEncoder().encode(JSON.stringify(request)), "m"))

const go = { role: "user", content: "go" }

const result = { role: "tool", tool_call_id: "c", content: "done" }

const called = (more: object = {}, made: object = {}) => ({
  id: "c",
  type: "function",
  function: { name: "f", arguments: "{}", ...made },
  ...more
})

const contents = (...parts: ReadonlyArray<object>) => ({ contents: [{ role: "user", parts }] })

const png = "iVBORw0KGgo="

const cases: ReadonlyArray<readonly [what: string, client: Halves, request: object, named: ReadonlyArray<string>]> = [
  [
    "of the history of a client of chat completions",
    openai,
    {
      messages: [
        go,
        {
          role: "assistant",
          content: "x",
          annotations: [{ type: "url_citation", url_citation: { url: "https://a.invalid" } }],
          reasoning_details: [
            { type: "reasoning.text", text: "hm", signature: "s", format: "google-gemini-v1" },
            { type: "reasoning.encrypted", data: "abc", format: "openai-responses-v1" }
          ],
          tool_calls: [called({}, { extra: 1 })]
        },
        result
      ]
    },
    ["messages.annotations", "messages.reasoning_details", "messages.tool_calls.function.extra"]
  ],
  [
    "that a client of chat completions keeps of Anthropic's hidden thoughts",
    openai,
    {
      messages: [
        go,
        { role: "assistant", content: "x", thinking_blocks: [{ type: "redacted_thinking", data: "abc" }] },
        go
      ]
    },
    ["messages.thinking_blocks"]
  ],
  [
    "of what a client of Responses was answered",
    responses,
    {
      input: [
        go,
        {
          role: "assistant",
          content: [
            { type: "output_text", text: "a", annotations: [{ type: "url_citation" }], logprobs: [{ token: "a" }] }
          ]
        },
        go
      ]
    },
    ["output_text.annotations", "output_text.logprobs"]
  ],
  [
    "of a client of Messages, in a message, a call and beside them",
    anthropic,
    {
      max_tokens: 9,
      service_tier: "priority",
      messages: [
        go,
        {
          role: "assistant",
          id: "msg_1",
          content: [{ type: "tool_use", id: "c", name: "f", input: {}, caller: { type: "code_execution_20260120" } }]
        },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: "x" }] }
      ]
    },
    ["messages.id", "service_tier", "tool_use.caller"]
  ],
  [
    "of a client of Ollama, by who says it",
    ollama,
    {
      messages: [
        { role: "system", content: "S", images: [png] },
        { role: "user", content: "go", name: "bob", thinking: "t" },
        {
          role: "assistant",
          content: "x",
          images: [png],
          tool_calls: [called({ extra: 1 }, { arguments: {}, index: 0 })]
        },
        { role: "tool", content: "done", tool_call_id: "c", images: [png] }
      ],
      tools: [{ type: "function", function: { name: "f" }, items: { a: 1 } }]
    },
    ["messages.images", "messages.name", "messages.thinking", "messages.tool_calls.extra", "tools.items"]
  ],
  [
    "of a client of Google's, in parts of every kind",
    gemini,
    {
      ...contents(
        { text: "go" },
        { functionCall: { name: "f" } },
        {
          inlineData: { mimeType: "image/png", data: png, displayName: "a.png" }
        }
      ),
      systemInstruction: { parts: [{ text: "S", videoMetadata: {} }] },
      tools: [{ functionDeclarations: [{ name: "f" }] }],
      toolConfig: { functionCallingConfig: { mode: "AUTO", streamFunctionCallArguments: true } }
    },
    [
      "contents.parts.inlineData.displayName",
      "parts.functionCall",
      "systemInstruction.parts.videoMetadata",
      "toolConfig.functionCallingConfig.streamFunctionCallArguments"
    ]
  ]
]

describe("what is left out of a request is named", () => {
  for (const [what, client, request, named] of cases) {
    test(what, () => expect([...read(client, request).dropped].sort()).toEqual([...named]))
  }

  test("and nothing is where a field holds nothing, or says what is so anyhow", () => {
    const { dropped } = read(openai, {
      messages: [go, { role: "assistant", content: "x", annotations: [], refusal: null, audio: null }, go]
    })
    expect(dropped).toEqual([])
    const caller = { type: "direct" }
    const ofMessages = read(anthropic, {
      max_tokens: 9,
      messages: [
        go,
        { role: "assistant", content: [{ type: "tool_use", id: "c", name: "f", input: {}, caller }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: "x" }] }
      ]
    })
    expect(ofMessages.dropped).toEqual([])
  })

  test("what is said about a document stands before it", () => {
    const source = { type: "base64", media_type: "application/pdf", data: "AAAA" }
    const { chat } = read(anthropic, {
      max_tokens: 9,
      messages: [{ role: "user", content: [{ type: "document", title: "bill", context: "of March", source }] }]
    })
    expect(chat.messages[0]).toMatchObject({ parts: [{ text: "of March" }, { type: "file", name: "bill" }] })
  })

  test("thoughts that are to be shown, to a model that does not take that", () => {
    const { chat } = read(responses, { input: "go", reasoning: { effort: "low", summary: "auto" } })
    const dropped = (server: Halves, model: string, original: boolean) =>
      Result.getOrThrow(serverOf(server).encode(chat, model, { ...anyServer, original })).dropped
    expect(dropped(anthropic, "claude-opus-4-7", true)).toEqual(["showThoughts"])
    expect(dropped(anthropic, "claude-sonnet-4-5", true)).toEqual([])
    expect(dropped(openai, "m", true)).toEqual(["showThoughts"])
    expect(dropped(openai, "m", false)).toEqual([])
    expect(dropped(gemini, "gemini-3-pro", true)).toEqual([])
  })
})

describe("a refusal of what a server cannot be told", () => {
  test("has the name of the client's field in its words, since not every dialect has another place for it", () => {
    const pdf = { mimeType: "application/pdf", data: "AAAA" }
    const requests: ReadonlyArray<readonly [server: Halves, request: object, field: ChatField]> = [
      [openai, { ...contents({ text: "go" }), generationConfig: { candidateCount: 2 } }, "choices"],
      [anthropic, { ...contents({ text: "go" }), generationConfig: { candidateCount: 2 } }, "choices"],
      [ollama, { ...contents({ text: "go" }), generationConfig: { candidateCount: 2 } }, "choices"],
      [openai, contents({ text: "go" }, { inlineData: pdf }), "file"],
      [ollama, contents({ text: "go" }, { inlineData: pdf }), "file"],
      [ollama, contents({ text: "go" }, { inlineData: { mimeType: "audio/wav", data: "AAAA" } }), "audio"]
    ]
    const { words } = clientOf(gemini)
    const word = (field: ChatField) => words[field] ?? field
    for (const [server, request, field] of requests) {
      const told = serverOf(server).encode(read(gemini, request).chat, "m", { ...anyServer, several: false, word })
      const failure = Result.isFailure(told) ? told.failure : undefined
      expect(failure?.param).toBe(word(field))
      expect(failure?.message).toStartWith(`'${word(field)}' `)
    }
  })
})
