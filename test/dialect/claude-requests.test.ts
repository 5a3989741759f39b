import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { Chat, ServerTraits } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"
import { hubChats } from "../kit/hub-chats.ts"

const { client, server } = anthropic.operations[0]
const chatClient = openai.operations[0].client!

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const hello: Chat = {
  stream: false,
  messages: [{ role: "user", parts: [{ type: "text", text: "hello" }] }],
  tools: [],
  extra: {}
}

const told = (more: Partial<Chat>, model = "claude-opus-4-8", traits: Partial<ServerTraits> = {}) => {
  const encoded = Result.getOrThrow(server!.encode({ ...hello, ...more }, model, { ...anyServer, ...traits }))
  return { body: JSON.parse(decoder.decode(encoded.body)), dropped: [...encoded.dropped].sort() }
}

const refused = (more: Partial<Chat>) => {
  const encoded = server!.encode({ ...hello, ...more }, "m", { ...anyServer, word: (field) => `my ${field}` })
  return Result.isFailure(encoded) ? encoded.failure.param : undefined
}

const tool = (name: string, schema: unknown = { type: "object", properties: {} }) => ({
  name,
  description: undefined,
  schema,
  strict: undefined
})

describe("a request in Anthropic's words", () => {
  test("law: what the hub says in Messages, it reads again as it was", () => {
    fc.assert(
      fc.property(hubChats, fc.integer({ min: 1, max: 9000 }), (asked, maxTokens) => {
        // A history of calls is given the tools that it is without.
        fc.pre(asked.tools.length > 0 || asked.messages.every(({ role }) => role !== "tool"))
        // Without a limit one is made up, and that one call is wanted at a time is said of a choice.
        const choice = asked.parallelCalls === false ? { toolChoice: asked.toolChoice ?? "auto" } : {}
        const chat = { ...asked, ...choice, maxTokens }
        const { body, dropped } = Result.getOrThrow(server!.encode(chat, "m", anyServer))
        const again = Result.getOrThrow(client!.decode(body, undefined))
        expect(again.chat).toEqual(chat)
        expect([...dropped, ...again.dropped]).toEqual([])
      }),
      { numRuns: 200 }
    )
  })

  test("law: whatever chat asks, its turns take turns, its ids fit and are of one call each, and no text of it is blank", () => {
    const odd = fc.constantFrom("call_0", "functions.sky:0", "functions:sky.0", "a b", "", "é".repeat(40))
    const turn = fc.record({ ids: fc.array(odd, { maxLength: 3 }), said: fc.constantFrom("", " ", "yes") })
    const told = ({ ids, said }: { readonly ids: ReadonlyArray<string>; readonly said: string }) => [
      {
        role: "assistant",
        content: said,
        tool_calls: ids.map((id) => ({ id, type: "function", function: { name: "sky", arguments: "{}" } }))
      },
      ...ids.map((tool_call_id) => ({ role: "tool", tool_call_id, content: "" })),
      { role: "user", content: "on" }
    ]
    const turns = fc.array(turn, { maxLength: 4 })
    fc.assert(
      fc.property(turns, (all) => {
        const messages = [{ role: "user", content: "go" }, ...all.flatMap(told)]
        const request = { model: "m", messages, tools: [{ type: "function", function: { name: "sky" } }] }
        const { chat } = Result.getOrThrow(chatClient.decode(encoder.encode(JSON.stringify(request)), undefined))
        const { body } = Result.getOrThrow(server!.encode(chat, "m", anyServer))
        const sent: ReadonlyArray<{ role: string; content: string | ReadonlyArray<Record<string, string>> }> =
          JSON.parse(decoder.decode(body)).messages
        for (const [at, { role }] of sent.entries()) expect(role).toBe(at % 2 === 0 ? "user" : "assistant")
        const blocks = sent.map(({ content }) => (typeof content === "string" ? [] : content))
        const calls = blocks.flatMap((each) => each.flatMap(({ id }) => id ?? []))
        expect(calls.every((id) => /^[A-Za-z0-9_-]{1,64}$/.test(id))).toBe(true)
        expect(new Set(calls).size).toBe(calls.length)
        expect(blocks.flatMap((each) => each.flatMap(({ tool_use_id }) => tool_use_id ?? []))).toEqual(calls)
        for (const block of blocks.flat()) if (block["type"] === "text") expect(block["text"]?.trim()).not.toBe("")
      }),
      { numRuns: 200 }
    )
  })

  test("has a limit on tokens in any case: the client's, the model's, or a usual one", () => {
    expect(told({ maxTokens: 7 }, "m", { mostTokens: 900 }).body.max_tokens).toBe(7)
    expect(told({}, "m", { mostTokens: 900 }).body.max_tokens).toBe(900)
    expect(told({}).body.max_tokens).toBe(4096)
  })

  test.each<[asked: string, model: string, says: object]>([
    ["high", "claude-opus-4-8", { output_config: { effort: "high" } }],
    ["minimal", "claude-opus-4-8", { output_config: { effort: "low" } }],
    ["max", "claude-sonnet-4-6", { output_config: { effort: "max" } }],
    ["none", "claude-opus-4-8", { thinking: { type: "disabled" } }],
    ["low", "claude-sonnet-4-5-20250929", { thinking: { type: "enabled", budget_tokens: 2048 }, max_tokens: 6144 }],
    ["high", "anthropic.claude-opus-4-20250514-v1:0", { thinking: { type: "enabled", budget_tokens: 16_384 } }],
    ["medium", "claude-3-7-sonnet-latest", { thinking: { type: "enabled", budget_tokens: 8192 } }]
  ])("says an effort of %s to %s as it takes it", (effort, model, says) => {
    const { body, dropped } = told({ effort }, model)
    expect(body).toMatchObject(says)
    expect(dropped).toEqual([])
  })

  test("leaves an effort out where the model has none, and names it", () => {
    expect(told({ effort: "high" }, "claude-3-5-haiku-20241022").dropped).toEqual(["effort"])
    expect(told({ effort: "high" }, "m", { thinks: "never" }).dropped).toEqual(["effort"])
    expect(told({ effort: "none" }, "claude-3-5-haiku-20241022")).toMatchObject({ dropped: [] })
  })

  test("lets no thoughts in tokens stand beside what they exclude", () => {
    const older = "claude-sonnet-4-5"
    const thinks = (more: Partial<Chat>) => told({ effort: "high", ...more }, older)
    expect(thinks({ temperature: 0.2, topP: 0.9, topK: 3 })).toMatchObject({ dropped: ["temperature", "topK", "topP"] })
    expect(thinks({ tools: [tool("sky")], toolChoice: "required" })).toMatchObject({ dropped: ["effort"] })
    expect(thinks({ maxTokens: 900 })).toMatchObject({ dropped: ["effort"] })
    expect(thinks({ maxTokens: 4000 }).body.thinking.budget_tokens).toBeLessThan(4000)
    // In the middle of its calls a model wants its thoughts back.
    const turns: Chat["messages"] = [
      ...hello.messages,
      { role: "assistant", items: [{ type: "call", id: "a", name: "sky", args: "{}" }] },
      { role: "tool", callId: "a", text: "1", failed: false }
    ]
    expect(thinks({ messages: turns, tools: [tool("sky")] }).dropped).toEqual(["effort"])
  })

  test("gives back thoughts that are signed by it alone", () => {
    const said = (signature: string | undefined) =>
      told({
        messages: [
          ...hello.messages,
          {
            role: "assistant",
            items: [
              { type: "reasoning", text: "Hm.", signature },
              { type: "text", text: "Yes." }
            ]
          },
          ...hello.messages
        ]
      })
    expect(said("c2ln").body.messages[1].content).toEqual([
      { type: "thinking", thinking: "Hm.", signature: "c2ln" },
      { type: "text", text: "Yes." }
    ])
    for (const signature of [undefined, "nexus.unsigned", "nexus1.SG0"]) {
      expect(said(signature)).toMatchObject({
        body: { messages: [{}, { content: "Yes." }, {}] },
        dropped: ["reasoning"]
      })
    }
  })

  test("keeps a temperature in bounds, leaves out blank stops, and hashes whoever is known by their user", () => {
    expect(told({ temperature: 1.7 })).toMatchObject({ body: { temperature: 1 }, dropped: ["temperature"] })
    expect(told({ stop: [" ", "END"] })).toMatchObject({ body: { stop_sequences: ["END"] }, dropped: ["stop"] })
    expect(told({ user: "u-7" }).body.metadata.user_id).toBe("u-7")
    for (const user of ["ada@example.org", "+47 22 33 44 55", "x".repeat(150)]) {
      expect(told({ user }).body.metadata.user_id).toMatch(/^[0-9a-f]{64}$/)
    }
    expect(told({ safetyId: "s-1" })).toMatchObject({ body: { metadata: { user_id: "s-1" } }, dropped: [] })
    expect(told({ user: "u-7", safetyId: "s-1" }).dropped).toEqual(["safetyId"])
    expect(told({ tier: "default" }).body.service_tier).toBe("standard_only")
    expect(told({ tier: "flex" })).toMatchObject({ dropped: ["tier"] })
  })

  test("makes an object of every schema, of one that is a union as well", () => {
    const branch = (name: string) => ({ type: "object", properties: { [name]: { type: "string" } } })
    const schemas = [
      undefined,
      { properties: { a: {} } },
      { type: ["object", "null"] },
      { anyOf: [branch("a"), branch("b")] }
    ]
    const { body, dropped } = told({ tools: schemas.map((schema, at) => tool(`t${at}`, schema)) })
    expect(body.tools.map((each: { readonly input_schema: unknown }) => each.input_schema)).toEqual([
      { type: "object", properties: {} },
      { type: "object", properties: { a: {} } },
      { type: "object", properties: {} },
      { type: "object", properties: { a: { type: "string" }, b: { type: "string" } } }
    ])
    expect(dropped).toEqual(["tools"])
  })

  test("says that one tool at a time is wanted, that none is, and which one", () => {
    const tools = [tool("sky")]
    expect(told({ tools, parallelCalls: false }).body.tool_choice).toEqual({
      type: "auto",
      disable_parallel_tool_use: true
    })
    expect(told({ tools, toolChoice: "none", parallelCalls: false }).body.tool_choice).toEqual({ type: "none" })
    expect(told({ tools, toolChoice: { name: "sky" } }).body.tool_choice).toEqual({ type: "tool", name: "sky" })
    expect(told({ tools }).body.tool_choice).toBeUndefined()
  })

  test("has the tools that its history calls, though none of them may be called", () => {
    const { body } = told({
      messages: [
        ...hello.messages,
        { role: "assistant", items: [{ type: "call", id: "a", name: "sky", args: "{}" }] },
        { role: "tool", callId: "a", text: "1", failed: true }
      ]
    })
    expect(body).toMatchObject({ tools: [{ name: "sky" }], tool_choice: { type: "none" } })
    expect(body.messages[2].content[0]).toMatchObject({ type: "tool_result", content: "1", is_error: true })
  })

  test("asks what only a system says, and puts what it says later into the user's turn", () => {
    expect(told({ messages: [{ role: "system", text: "Say hi." }] }).body).toMatchObject({
      messages: [{ role: "user", content: "Say hi." }]
    })
    const { body } = told({ messages: [...hello.messages, { role: "system", text: "It is late." }] })
    expect(body.system).toBeUndefined()
    expect(JSON.stringify(body.messages)).toContain("<system-reminder>")
    expect(told({ format: { type: "json" } }).body.system).toContain("JSON")
  })

  test("reads files of text out, and refuses others, audio, several answers and arguments that are none, by their names", () => {
    const file = (mediaType: string) =>
      [{ role: "user", parts: [{ type: "file", name: "a", mediaType, data: "aGk=" }] }] satisfies Chat["messages"]
    expect(told({ messages: file("text/csv") }).body.messages[0].content).toEqual([
      { type: "document", title: "a", source: { type: "text", media_type: "text/plain", data: "hi" } }
    ])
    expect(refused({ messages: file("application/zip") })).toBe("my messages")
    expect(refused({ messages: [{ role: "user", parts: [{ type: "audio", format: "wav", data: "" }] }] })).toBe(
      "my messages"
    )
    expect(refused({ choices: 2 })).toBe("my choices")
    for (const args of ["{", "[]", "1"]) {
      const call = { type: "call", id: "a", name: "sky", args } as const
      expect(refused({ messages: [...hello.messages, { role: "assistant", items: [call] }] })).toBe("my messages")
    }
  })

  test("ends in no blanks where the model is to go on with its own words, whatever stands before them", () => {
    const items = [
      { type: "reasoning", text: "Hm.", signature: "sig" },
      { type: "text", text: "The tide is \n" }
    ] as const
    const begun = (some: ReadonlyArray<(typeof items)[number]>) =>
      told({ messages: [...hello.messages, { role: "assistant", items: some }] }).body.messages[1].content
    expect(begun(items)).toEqual([
      { type: "thinking", thinking: "Hm.", signature: "sig" },
      { type: "text", text: "The tide is" }
    ])
    expect(begun(items.slice(1))).toBe("The tide is")
    const later = told({ messages: [...hello.messages, { role: "assistant", items }, ...hello.messages] })
    expect(later.body.messages[1].content[1].text).toBe("The tide is \n")
  })

  test("keeps the digits of numbers in arguments and schemas", () => {
    const args = '{"id":12345678901234567890,"x":1.50}'
    const call = { type: "call", id: "a", name: "sky", args } as const
    const { body } = Result.getOrThrow(
      server!.encode({ ...hello, messages: [...hello.messages, { role: "assistant", items: [call] }] }, "m", anyServer)
    )
    expect(decoder.decode(body)).toContain(`"input":${args}`)
  })
})
