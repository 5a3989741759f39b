import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const requests: ReadonlyArray<readonly [string, Halves, object]> = [
  ["chat completions", openai, { messages: [{ role: "user", content: "" }] }],
  ["Responses", responses, { input: " " }],
  ["Messages", anthropic, { max_tokens: 5, messages: [{ role: "user", content: [{ type: "text", text: "\n" }] }] }],
  ["Ollama's chat", ollama, { stream: false, messages: [{ role: "user", content: "" }] }],
  ["Google's dialect", gemini, { contents: [{ parts: [{ text: " " }] }] }]
]

describe("a request that says nothing but blanks", () => {
  for (const [name, client, request] of requests) {
    const asked = (server: Halves) => {
      const body = new TextEncoder().encode(JSON.stringify({ model: "m", ...request }))
      const { chat } = Result.getOrThrow(client.operations[0]!.client!.decode(body, "m"))
      return Result.map(serverOf(server).encode(chat, "m", anyServer), (encoded) =>
        JSON.parse(new TextDecoder().decode(encoded.body))
      )
    }

    test(`is one that a backend is asked, in ${name}`, () => {
      const said = [{ role: "user", content: "" }]
      expect(Result.getOrThrow(asked(openai)).messages).toEqual(said)
      expect(Result.getOrThrow(asked(ollama)).messages).toEqual(said)
      expect(Result.getOrThrow(asked(gemini)).contents).toEqual([{ role: "user", parts: [{ text: "" }] }])
    })

    test(`is refused in the client's words where the model answers none, in ${name}`, () => {
      const refused = asked(anthropic)
      expect(Result.isFailure(refused) && refused.failure.message).toContain("nothing but blanks")
    })
  }
})
