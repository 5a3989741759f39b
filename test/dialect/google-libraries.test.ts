import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import type { ChatMessage } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { anyServer } from "../kit/codecs.ts"

const client = gemini.operations.find((each) => each.client !== undefined)!.client!
const server = gemini.operations.find((each) => each.server !== undefined)!.server!

const read = (request: object) =>
  Result.getOrThrow(client.decode(new TextEncoder().encode(JSON.stringify(request)), "m"))

const told = (messages: ReadonlyArray<ChatMessage>) => {
  const { body } = Result.getOrThrow(
    server.encode({ stream: false, messages, tools: [], extra: {} }, "gemini-3-pro", anyServer)
  )
  return JSON.parse(new TextDecoder().decode(body))
}

describe("a request of Google's", () => {
  test("has no signature where a client says that it has none", () => {
    const none = "skip_thought_signature_validator"
    // Python's library writes it as it writes all bytes.
    for (const thoughtSignature of [none, Buffer.from(none).toString("base64")]) {
      const parts = [{ functionCall: { id: "c", name: "t" }, thoughtSignature }]
      const response = { functionResponse: { id: "c", name: "t", response: {} } }
      const { chat } = read({ contents: [{ role: "model", parts }, { parts: [response] }] })
      expect(chat.messages[0]).toEqual({ role: "assistant", items: [{ type: "call", id: "c", name: "t", args: "{}" }] })
    }
  })

  test("pairs results that have no name with calls by their order, as proxies write them", () => {
    const call = (name: string) => ({ functionCall: { name, args: {} } })
    const result = (name: object, output: string) => ({ functionResponse: { ...name, response: { output } } })
    const { chat } = read({
      contents: [
        { role: "user", parts: [{ text: "go" }] },
        { role: "model", parts: [call("t"), call("u"), call("v")] },
        { role: "user", parts: [result({ name: "" }, "one"), result({ name: "v" }, "three"), result({}, "two")] }
      ]
    })
    expect(chat.messages.slice(2)).toMatchObject([{ text: "one" }, { text: "two" }, { text: "three" }])
  })

  test("gives no result without a name the call that another one tells, whichever comes first", () => {
    const { chat } = read({
      contents: [
        { role: "user", parts: [{ text: "go" }] },
        {
          role: "model",
          parts: [
            { functionCall: { id: "a", name: "t", args: {} } },
            { functionCall: { id: "b", name: "u", args: {} } },
            { functionCall: { id: "c", name: "v", args: {} } }
          ]
        },
        {
          role: "user",
          parts: [
            { functionResponse: { name: null, response: { output: "two" } } },
            { functionResponse: { name: "v", response: { output: "three" } } },
            { functionResponse: { id: "a", response: { output: "one" } } }
          ]
        }
      ]
    })
    expect(chat.messages.slice(2)).toMatchObject([
      { callId: "a", text: "one" },
      { callId: "b", text: "two" },
      { callId: "c", text: "three" }
    ])
  })

  test("may have the words of an enumeration as their numbers, as Vertex AI's older libraries write them", () => {
    const parameters = {
      type: 6,
      properties: { a: { type: 1, nullable: true }, b: { type: 5, items: { type: 3 } }, c: { type: 0 } }
    }
    const { chat } = read({
      contents: [{ parts: [{ text: "x" }] }],
      tools: [{ functionDeclarations: [{ name: "t", parameters }] }],
      toolConfig: { functionCallingConfig: { mode: 2 } }
    })
    expect(chat.tools[0]?.schema).toEqual({
      type: "object",
      properties: { a: { type: ["string", "null"] }, b: { type: "array", items: { type: "integer" } }, c: {} }
    })
    expect(chat.toolChoice).toBe("required")
  })

  test("begins with a turn of the user, without which Google refuses a model's calls", () => {
    const call = { type: "call", id: "a", name: "t", args: "{}" } as const
    const messages: ReadonlyArray<ChatMessage> = [
      { role: "assistant", items: [call] },
      { role: "tool", callId: "a", text: "ok", failed: false }
    ]
    const { contents } = told(messages)
    expect(contents.map(({ role }: { readonly role: string }) => role)).toEqual(["user", "model", "user"])
    // Google refuses an empty text as well.
    expect(contents[0].parts).toEqual([{ text: " " }])
  })
})
