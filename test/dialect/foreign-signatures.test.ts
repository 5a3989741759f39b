import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { Result } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer, hello } from "../kit/codecs.ts"
import { type Gateway, startGateway } from "../kit/gateway.ts"

const signed = { google: { thought_signature: "c2ln" } }

const call = { id: "c1", type: "function", function: { name: "f", arguments: '{"a":12345678901234567890}' } }

const history = (extra: object) => [
  { role: "user", content: 'a text with "extra_content" in it' },
  { role: "assistant", content: null, tool_calls: [{ ...call, ...extra }] },
  { role: "tool", tool_call_id: "c1", content: "r" },
  { role: "assistant", content: "done", ...extra },
  { role: "user", content: "and on" }
]

const request = (model: string, extra: object) =>
  JSON.stringify({ seed: 1.0, messages: history(extra), model, temperature: 0.5 })

describe("what Google has signed in a conversation", () => {
  const asked: Array<string> = []
  let server: ReturnType<typeof Bun.serve>
  let gateway: Gateway

  beforeEach(async () => {
    asked.length = 0
    server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (came) => {
        const [, model = ""] = new URL(came.url).pathname.split("/")
        if (came.method === "GET") return Response.json({ data: [{ id: model }] })
        asked.push(await came.text())
        const message = { role: "assistant", content: "yes" }
        return Response.json({ model, choices: [{ index: 0, message, finish_reason: "stop" }] })
      }
    })
    const at = (name: string) => `http://127.0.0.1:${server.port}/${name}`
    gateway = await startGateway({
      backends: [
        { name: "strict", url: at("strict"), type: "openai" },
        { name: "gateway", url: at("gemini-3-pro"), type: "openai" },
        { name: "open", url: at("open"), type: "generic" }
      ]
    })
  })
  afterEach(async () => {
    await gateway[Symbol.asyncDispose]()
    await server.stop(true)
  })

  const ask = (body: string) => fetch(`http://127.0.0.1:${gateway.port}/v1/chat/completions`, { method: "POST", body })

  test("does not reach a service that would refuse it, and all else goes on as it came", async () => {
    expect((await ask(request("strict", { extra_content: signed }))).status).toBe(200)
    expect(asked).toEqual([request("strict", {})])
  })

  test("goes on to whoever may have the model from Google", async () => {
    for (const model of ["open", "gemini-3-pro"]) {
      const body = request(model, { extra_content: signed })
      expect((await ask(body)).status).toBe(200)
      expect(asked.splice(0)).toEqual([body])
    }
  })
})

test("a service that would refuse it is not told in a translation either, and that is named", () => {
  const { body, dropped } = Result.getOrThrow(
    openai.operations[0].server!.encode(
      {
        ...hello,
        messages: [
          ...hello.messages,
          { role: "assistant", items: [{ type: "call", id: "c1", name: "f", args: "{}", signature: "c2ln" }] },
          { role: "tool", callId: "c1", text: "r", failed: false }
        ]
      },
      "m",
      { ...anyServer, isStrict: true }
    )
  )
  expect(new TextDecoder().decode(body)).not.toContain("extra_content")
  expect(dropped).toEqual(["signature"])
})

test("Google's own endpoint of chat completions is none of them, nor is OpenRouter", () => {
  const isStrict = (type: Parameters<typeof kindNamed>[0], url: string) => kindNamed(type).isStrict?.({ url }) ?? false
  expect(isStrict("openai", "https://api.groq.com/openai")).toBe(true)
  expect(isStrict("openai", "https://generativelanguage.googleapis.com/v1beta/openai")).toBe(false)
  expect(isStrict("openrouter", "https://openrouter.ai/api/v1")).toBe(false)
  expect(isStrict("generic", "http://127.0.0.1:4000")).toBe(false)
})
