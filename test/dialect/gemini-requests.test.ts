import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { Chat, ChatMessage, ChatTurnItem } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { sealedForGoogle } from "../../src/dialect/gemini/gemini-seals.ts"
import { anyServer } from "../kit/codecs.ts"

const [whole] = gemini.operations
const client = whole.client!
const server = whole.server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const read = (request: object) => Result.getOrThrow(client.decode(encoder.encode(JSON.stringify(request)), "m"))

const written = (chat: Partial<Chat>, model = "m") => {
  const all: Chat = {
    stream: false,
    messages: [{ role: "user", parts: [{ type: "text", text: "x" }] }],
    tools: [],
    extra: {},
    ...chat
  }
  const { body, dropped } = Result.getOrThrow(server.encode(all, model, anyServer))
  return { json: JSON.parse(decoder.decode(body)), dropped, text: decoder.decode(body) }
}

const user = (text: string): ChatMessage => ({ role: "user", parts: [{ type: "text", text }] })

describe("a request of Google's in the words of the hub", () => {
  test("is the same in either spelling, and with one thing in place of a list of one", () => {
    const camel = {
      contents: [{ role: "user", parts: [{ inlineData: { mimeType: "image/png", data: "AAAA" } }, { text: "x" }] }],
      systemInstruction: { parts: [{ text: "Be brief." }] },
      tools: [
        {
          functionDeclarations: [
            {
              name: "t",
              parameters: { type: "OBJECT", properties: { a_b: { type: "STRING", anyOf: [{ type: "STRING" }] } } }
            }
          ]
        }
      ],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["t"] } },
      generationConfig: { maxOutputTokens: 5, thinkingConfig: { thinkingLevel: "LOW" } }
    }
    const snake = {
      contents: { parts: [{ inline_data: { mime_type: "image/png", data: "AAAA" } }, { text: "x" }] },
      system_instruction: { parts: { text: "Be brief." } },
      tools: {
        function_declarations: {
          name: "t",
          parameters: { type: "OBJECT", properties: { a_b: { type: "STRING", any_of: [{ type: "STRING" }] } } }
        }
      },
      tool_config: { function_calling_config: { mode: "any", allowed_function_names: "t" } },
      generation_config: { max_output_tokens: 5, thinking_config: { thinking_level: "low" } }
    }
    expect(read(snake).chat).toEqual(read(camel).chat)
    expect([read(snake).dropped, read(camel).dropped]).toEqual([[], []])
    expect(read(camel).chat).toMatchObject({ effort: "low", maxTokens: 5, toolChoice: { name: "t" } })
  })

  test("has its arguments and results with the names that the client gave, and the digits of their numbers", () => {
    const body = `{"contents":[{"role":"model","parts":[{"function_call":{"name":"t","args":{"snake_case":9007199254740993,"x":1.0}}}]},{"parts":[{"function_response":{"name":"t","response":{"out_put":{"n":9007199254740993}}}}]}]}`
    const { chat } = Result.getOrThrow(client.decode(encoder.encode(body), "m"))
    expect(chat.messages).toMatchObject([
      { role: "assistant", items: [{ type: "call", args: '{"snake_case":9007199254740993,"x":1.0}' }] },
      { role: "tool", text: '{"out_put":{"n":9007199254740993}}', failed: false }
    ])
  })

  test("has schemas in JSON Schema's words", () => {
    const parameters = {
      type: "OBJECT",
      nullable: true,
      propertyOrdering: ["type", "n"],
      properties: {
        type: { type: "STRING", format: "enum", enum: ["a", "b"], nullable: true },
        n: { type: "INTEGER", enum: ["1", "2"], format: "int32", example: 1 },
        list: { type: "ARRAY", minItems: "1", maxItems: "3", items: { type: "NUMBER", minimum: 0 } },
        any: { nullable: true, anyOf: [{ type: "STRING" }, { type: "BOOLEAN" }] }
      },
      required: ["n"]
    }
    const { chat } = read({
      contents: [{ parts: [{ text: "x" }] }],
      tools: [{ functionDeclarations: [{ name: "t", parameters }] }]
    })
    expect(chat.tools[0]?.schema).toEqual({
      type: ["object", "null"],
      properties: {
        type: { type: ["string", "null"], enum: ["a", "b", null] },
        n: { type: "integer", enum: [1, 2], format: "int32" },
        list: { type: "array", minItems: 1, maxItems: 3, items: { type: "number", minimum: 0 } },
        any: { anyOf: [{ type: "string" }, { type: "boolean" }, { type: "null" }] }
      },
      required: ["n"]
    })
  })

  test("has the properties of a schema in the order that is asked for, since that is the one a model writes them in", () => {
    const properties = { answer: { type: "STRING" }, rest: { type: "STRING" }, thought: { type: "STRING" } }
    const responseSchema = { type: "OBJECT", properties, propertyOrdering: ["thought", "gone", "answer"] }
    const generationConfig = { responseMimeType: "application/json", responseSchema }
    const { chat } = read({ contents: [{ parts: [{ text: "x" }] }], generationConfig })
    expect(JSON.stringify(chat.format)).toMatch(/"thought".*"answer".*"rest"/)
  })

  test("pairs results with calls by id, else by name and order, in the order of the calls", () => {
    const { chat } = read({
      contents: [
        {
          role: "model",
          parts: [
            { functionCall: { name: "t", args: { n: 1 } } },
            { functionCall: { name: "t", args: { n: 2 } } },
            { functionCall: { id: "own", name: "u" } }
          ]
        },
        {
          role: "function",
          parts: [
            { functionResponse: { id: "own", name: "u", response: { error: { code: 5 } } } },
            { functionResponse: { name: "t", response: { result: "one" } } },
            { functionResponse: { name: "t", response: { output: { deep: true } } } },
            { text: "And now?" }
          ]
        }
      ]
    })
    expect(chat.messages).toMatchObject([
      { role: "assistant" },
      { role: "tool", text: "one", failed: false },
      { role: "tool", text: '{"deep":true}', failed: false },
      { role: "tool", callId: "own", text: '{"code":5}', failed: true },
      { role: "user", parts: [{ type: "text", text: "And now?" }] }
    ])
  })

  test.each(["tool", "function", "user"])("has results in a turn of the role %s, and of no other", (role) => {
    const asked = (of: string) => ({
      contents: [
        { role: "user", parts: [{ text: "Tide?" }] },
        { role: "model", parts: [{ functionCall: { name: "tide", args: '{"at":"north"}' } }] },
        { role: of, parts: [{ functionResponse: { name: "tide", response: { result: "high" } } }] }
      ]
    })
    expect(read(asked(role)).chat.messages.slice(1)).toMatchObject([
      { role: "assistant", items: [{ type: "call", name: "tide", args: '{"at":"north"}' }] },
      { role: "tool", text: "high" }
    ])
    const refused = client.decode(encoder.encode(JSON.stringify(asked("assistant"))), "m")
    expect(Result.isFailure(refused) && refused.failure.param).toBe("contents[2].role")
  })

  test("joins what a stream came in, thoughts with their signature among it", () => {
    const { chat } = read({
      contents: [
        { parts: [{ text: "go" }] },
        { role: "model", parts: [{ text: "Two ", thought: true }] },
        {
          role: "model",
          parts: [
            { text: "words.", thought: true },
            { text: "", thought: true, thoughtSignature: sealedForGoogle("c2ln") }
          ]
        },
        { role: "model", parts: [{ text: "Hel" }] },
        { role: "model", parts: [{ text: "lo" }] },
        { parts: [{ text: "on" }] }
      ]
    })
    expect(chat.messages[1]).toEqual({
      role: "assistant",
      items: [
        { type: "reasoning", text: "Two words.", signature: "c2ln" },
        { type: "text", text: "Hello" }
      ]
    })
  })

  test.each([
    [{ thinkingBudget: 0 }, "none"],
    [{ thinkingBudget: -1 }, undefined],
    [{ thinkingBudget: 1000 }, "minimal"],
    [{ thinkingBudget: 24_576 }, "high"],
    [{ thinkingLevel: "THINKING_LEVEL_UNSPECIFIED" }, undefined],
    [{ thinkingLevel: "MINIMAL", thinkingBudget: 9000 }, "minimal"]
  ])("with %j is to think %p", (thinkingConfig, effort) => {
    expect(read({ contents: [{ parts: [{ text: "x" }] }], generationConfig: { thinkingConfig } }).chat.effort).toBe(
      effort
    )
  })

  test("lets a model choose among the tools that are allowed alone", () => {
    const tools = [{ functionDeclarations: ["a", "b", "c"].map((name) => ({ name })) }]
    const chosen = (mode: string, ...allowedFunctionNames: ReadonlyArray<string>) => {
      const functionCallingConfig = { mode, ...(allowedFunctionNames.length === 0 ? {} : { allowedFunctionNames }) }
      const { chat } = read({ contents: [{ parts: [{ text: "x" }] }], tools, toolConfig: { functionCallingConfig } })
      return [chat.toolChoice, chat.tools.map(({ name }) => name).join("")]
    }
    expect(chosen("ANY")).toEqual(["required", "abc"])
    expect(chosen("ANY", "a", "c")).toEqual(["required", "ac"])
    expect(chosen("ANY", "b")).toEqual([{ name: "b" }, "abc"])
    expect(chosen("NONE")).toEqual(["none", "abc"])
    expect(chosen("VALIDATED", "b")).toEqual(["auto", "b"])
    expect(chosen("MODE_UNSPECIFIED")).toEqual([undefined, "abc"])
  })
})

describe("a request of the hub in Google's words", () => {
  test("has all that a system says first before all turns, and later words of it as a reminder", () => {
    const { json } = written({
      messages: [
        { role: "system", text: "One." },
        { role: "system", text: "Two." },
        user("x"),
        { role: "system", text: "Later." }
      ]
    })
    expect(json.systemInstruction).toEqual({ parts: [{ text: "One.\n\nTwo." }] })
    expect(json.contents).toEqual([
      { role: "user", parts: [{ text: "x" }, { text: "<system-reminder>\nLater.\n</system-reminder>" }] }
    ])
  })

  test("has a turn where there is only a system's word, and none without parts", () => {
    expect(written({ messages: [{ role: "system", text: "Only." }] }).json).toEqual({
      contents: [{ role: "user", parts: [{ text: "Only." }] }]
    })
    const { json } = written({ messages: [user("a"), { role: "assistant", items: [] }, user("b")] })
    expect(json.contents).toEqual([{ role: "user", parts: [{ text: "a" }, { text: "b" }] }])
  })

  test("gives calls their signatures, and what Google takes in place of one for the first of a turn alone", () => {
    const called = (id: string, signature?: string): ChatTurnItem => ({
      type: "call",
      id,
      name: "t",
      args: "",
      ...(signature === undefined ? {} : { signature })
    })
    const result = (callId: string): ChatMessage => ({ role: "tool", callId, text: "ok", failed: callId === "b" })
    const messages: ReadonlyArray<ChatMessage> = [
      user("x"),
      {
        role: "assistant",
        items: [{ type: "reasoning", text: "Hm.", signature: undefined }, called("a"), called("b")]
      },
      result("a"),
      result("b"),
      { role: "assistant", items: [called("c", "c2ln")] },
      result("c")
    ]
    const { json } = written({ messages })
    expect(json.contents[1].parts).toEqual([
      { functionCall: { id: "a", name: "t", args: {} }, thoughtSignature: "skip_thought_signature_validator" },
      { functionCall: { id: "b", name: "t", args: {} } }
    ])
    expect(json.contents[2].parts).toEqual([
      { functionResponse: { id: "a", name: "t", response: { output: "ok" } } },
      { functionResponse: { id: "b", name: "t", response: { error: "ok" } } }
    ])
    expect(json.contents[3].parts[0].thoughtSignature).toBe("c2ln")
    expect(written({ messages }, "gemini-2.5-flash").text).not.toContain("skip_thought")
  })

  test.each([
    ["gemini-2.5-flash", "none", { thinkingBudget: 0 }],
    ["gemini-2.5-flash", "medium", { thinkingBudget: 8192 }],
    // It thinks in any case, and so do all of the third generation.
    ["gemini-2.5-pro", "none", { thinkingBudget: 128 }],
    ["gemini-3-flash-preview", "none", { thinkingLevel: "MINIMAL" }],
    ["gemini-3.1-flash-lite", "minimal", { thinkingLevel: "MINIMAL" }],
    ["gemini-3.7-flash", "none", { thinkingLevel: "LOW" }],
    ["gemini-3-pro-preview", "none", { thinkingLevel: "LOW" }],
    ["gemini-3-pro-preview", "low", { thinkingLevel: "LOW" }],
    ["gemini-3-pro-preview", "medium", { thinkingLevel: "LOW" }],
    ["gemini-3-pro-preview", "xhigh", { thinkingLevel: "HIGH" }],
    ["gemini-3.1-pro-preview", "minimal", { thinkingLevel: "LOW" }],
    ["gemini-3.1-pro-preview", "medium", { thinkingLevel: "MEDIUM" }],
    ["somebody's", "none", { thinkingBudget: 0 }],
    ["somebody's", "high", { thinkingLevel: "HIGH" }]
  ])("tells %s to think %s in the way it takes", (model, effort, thinkingConfig) => {
    expect(written({ effort }, model).json.generationConfig).toEqual({ thinkingConfig })
    // Google refuses to show the thoughts of who is not to think.
    const shown =
      "thinkingBudget" in thinkingConfig && thinkingConfig.thinkingBudget === 0 ? {} : { includeThoughts: true }
    const { generationConfig } = written({ effort, showThoughts: true }, model).json
    expect(generationConfig).toEqual({ thinkingConfig: { ...thinkingConfig, ...shown } })
  })

  test("names what it has no word for, and refuses what would make another answer of it", () => {
    const { dropped } = written({
      user: "u",
      tier: "scale",
      verbosity: "low",
      parallelCalls: false,
      tools: [{ name: "t", description: undefined, schema: {}, strict: undefined }]
    })
    expect([...dropped].sort()).toEqual(["parallelCalls", "tier", "user", "verbosity"])
    const refused = (chat: Partial<Chat>) => {
      const result = server.encode({ stream: false, messages: [user("x")], tools: [], extra: {}, ...chat }, "m", {
        ...anyServer,
        word: (field) => `my ${field}`
      })
      return Result.isFailure(result) ? result.failure.param : undefined
    }
    expect(refused({ stop: ["a", "b", "c", "d", "e", "f"] })).toBe("my stop")
    expect(refused({ messages: [{ role: "user", parts: [{ type: "image", url: "http://x/y.png" }] }] })).toBe(
      "my messages"
    )
    const bad: ChatMessage = { role: "assistant", items: [{ type: "call", id: "c", name: "t", args: "{" }] }
    expect(refused({ messages: [user("x"), bad] })).toBe("my messages")
    expect(refused({ messages: [{ role: "tool", callId: "zz", text: "", failed: false }] })).toBe("my messages")
  })

  test("names tools by letters that Google takes, and each of them differently", () => {
    const tools = ["9 lives", "9_lives", "ok.name:x"].map((name) => ({
      name,
      description: undefined,
      schema: {},
      strict: undefined
    }))
    const names = written({ tools }).json.tools[0].functionDeclarations.map(
      ({ name }: { readonly name: string }) => name
    )
    expect(names[2]).toBe("ok.name:x")
    expect(new Set(names).size).toBe(3)
    for (const name of names) expect(name).toMatch(/^[A-Za-z_][\w.:-]{0,127}$/)
  })
})

const words = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => text.trim() !== "")

const turn = fc.record({
  asked: words,
  said: fc.option(words, { nil: undefined }),
  calls: fc.array(
    fc.record({ name: fc.constantFrom("read", "open"), n: fc.integer(), told: words, failed: fc.boolean() }),
    { maxLength: 3 }
  )
})

const chatOf = ({
  last,
  options,
  system,
  turns
}: {
  readonly last: string
  readonly options: Partial<Chat>
  readonly system: string | undefined
  readonly turns: ReadonlyArray<{
    readonly asked: string
    readonly said: string | undefined
    readonly calls: ReadonlyArray<{
      readonly name: string
      readonly n: number
      readonly told: string
      readonly failed: boolean
    }>
  }>
}): Chat => {
  let at = 0
  const messages = turns.flatMap(({ asked, calls, said }, nth): ReadonlyArray<ChatMessage> => {
    const items: Array<ChatTurnItem> = said === undefined ? [] : [{ type: "text", text: said }]
    const results: Array<ChatMessage> = []
    for (const { failed, n, name, told } of calls) {
      const id = `c${at}`
      at += 1
      items.push({ type: "call", id, name, args: JSON.stringify({ n }), signature: `s${nth}` })
      results.push({ role: "tool", callId: id, text: told, failed })
    }
    return [user(asked), ...(items.length === 0 ? [] : [{ role: "assistant", items } as const]), ...results]
  })
  const parts = [{ type: "text", text: last }] as const
  return {
    stream: false,
    messages: [
      ...(system === undefined ? [] : [{ role: "system", text: system } as const]),
      ...messages,
      { role: "user", parts }
    ],
    tools: ["read", "open"].map((name) => ({
      name,
      description: "d",
      schema: { type: "object", properties: { n: { type: "integer" } } },
      strict: undefined
    })),
    ...options,
    extra: {}
  }
}

const chats: fc.Arbitrary<Chat> = fc
  .record({
    system: fc.option(words, { nil: undefined }),
    turns: fc.array(turn, { minLength: 1, maxLength: 3 }),
    last: words,
    options: fc.record(
      {
        temperature: fc.double({ min: 0, max: 2, noNaN: true }),
        topP: fc.double({ min: 0, max: 1, noNaN: true }),
        topK: fc.nat(100),
        seed: fc.integer(),
        maxTokens: fc.integer({ min: 1, max: 10_000 }),
        presencePenalty: fc.constantFrom(-1, 0.5),
        frequencyPenalty: fc.constantFrom(-0.5, 1),
        stop: fc.array(words, { minLength: 1, maxLength: 5 }),
        effort: fc.constantFrom("none", "minimal", "low", "medium", "high"),
        showThoughts: fc.constant(true),
        format: fc.constantFrom(
          { type: "json" } as const,
          { type: "schema", name: "output", schema: { type: "object" } } as const
        ),
        toolChoice: fc.constantFrom("auto" as const, "none" as const, "required" as const, { name: "read" })
      },
      { requiredKeys: [] }
    )
  })
  .map(chatOf)

// Turns of one side that follow each other are one.
const joined = (messages: ReadonlyArray<ChatMessage>): ReadonlyArray<ChatMessage> =>
  messages.reduce<Array<ChatMessage>>((all, message) => {
    const before = all.at(-1)
    if (before?.role === "user" && message.role === "user")
      all[all.length - 1] = { role: "user", parts: [...before.parts, ...message.parts] }
    else all.push(message)
    return all
  }, [])

test("what the hub says of a request is the same after a way through the dialect (law)", () => {
  fc.assert(
    fc.property(chats, fc.constantFrom("gemini-2.5-flash", "somebody's"), (chat, model) => {
      const { body, dropped } = Result.getOrThrow(server.encode(chat, model, anyServer))
      const back = Result.getOrThrow(client.decode(body, model))
      const { showThoughts, ...told } = chat
      // Who does not think has nothing to show.
      const shown = showThoughts === undefined || chat.effort === "none" ? {} : { showThoughts }
      expect(back.chat).toEqual({ ...told, ...shown, messages: joined(chat.messages) })
      expect([dropped, back.dropped]).toEqual([[], []])
    })
  )
})
