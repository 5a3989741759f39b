import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { Chat, ChatMessage, ChatPart, ChatTurnItem } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom, anyServer } from "../kit/codecs.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"
import { ending, line, saying } from "../kit/ollama.ts"

const [chat] = ollama.operations

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const bytes = (value: unknown) => encoder.encode(JSON.stringify(value))

type Call = ChatTurnItem & { readonly type: "call" }

const said = (text: string): ChatMessage => ({ role: "user", parts: [{ type: "text", text }] })

const turnOf = (text: string, calls: ReadonlyArray<Call>, thought: string | undefined): ReadonlyArray<ChatMessage> => {
  const thoughts: ReadonlyArray<ChatTurnItem> =
    thought === undefined ? [] : [{ type: "reasoning", text: thought, signature: undefined }]
  const results = calls.map(({ id }): ChatMessage => ({ role: "tool", callId: id, text, failed: false }))
  return [{ role: "assistant", items: [...thoughts, { type: "text", text }, ...calls] }, ...results, said(text)]
}

const conversationOf = (text: string, turns: ReadonlyArray<ReadonlyArray<ChatMessage>>): ReadonlyArray<ChatMessage> => [
  { role: "system", text },
  said(text),
  ...turns.flat()
]

const encodes = (asked: Partial<Chat>) =>
  Result.map(
    chat.server!.encode({ stream: true, messages: [], tools: [], extra: {}, ...asked }, "tide", anyServer),
    ({ body, dropped }) => ({ body: Object(JSON.parse(decoder.decode(body))), dropped })
  )

const encoded = (asked: Partial<Chat>) => Result.getOrThrow(encodes(asked))

describe("a request as Ollama's own chat takes it", () => {
  const tool = { name: "a", description: undefined, schema: { type: "object", properties: {} }, strict: true }

  test("is the same again when it comes back, in all that the dialect can say", () => {
    const text = fc.string({ minLength: 1 }).filter((each) => each.trim() === each)
    const call = fc.record({ type: fc.constant("call" as const), id: text, name: text, args: fc.constant('{"n":1}') })
    const turn = fc
      .tuple(
        text,
        fc.uniqueArray(call, { maxLength: 3, selector: ({ id }) => id }),
        fc.option(text, { nil: undefined })
      )
      .map(([said, calls, thought]) => turnOf(said, calls, thought))
    const chats = fc.record(
      {
        stream: fc.boolean(),
        messages: fc.tuple(text, fc.array(turn, { maxLength: 3 })).map(([said, turns]) => conversationOf(said, turns)),
        tools: fc.constantFrom([], [{ ...tool, strict: undefined }]),
        maxTokens: fc.integer({ min: 1 }),
        temperature: fc.float({ noNaN: true, min: 0, max: 2 }),
        topK: fc.nat(),
        seed: fc.nat(),
        stop: fc.array(text, { minLength: 1 }),
        effort: fc.constantFrom("none", "low", "medium", "high"),
        format: fc.constantFrom(
          { type: "json" as const },
          { type: "schema" as const, name: "output", schema: { a: 1 } }
        ),
        extra: fc.constant({})
      },
      { requiredKeys: ["stream", "messages", "tools", "extra"] }
    )
    fc.assert(
      fc.property(chats, (made) => {
        // Whoever lets it think is told what it thinks.
        const isLet = made.effort !== undefined && made.effort !== "none"
        const asked = { ...made, ...(isLet ? { showThoughts: true } : {}) }
        const { body, dropped } = encoded(asked)
        expect(dropped).toEqual([])
        expect(Result.getOrThrow(chat.client!.decode(bytes(body), undefined)).chat).toEqual(asked)
      })
    )
  })

  test("leaves tools out that are not to be called, and names a choice that it cannot keep to", () => {
    expect(encoded({ tools: [tool], toolChoice: "none" })).toMatchObject({ dropped: [] })
    expect(encoded({ tools: [tool], toolChoice: "none" }).body).not.toHaveProperty("tools")
    expect(encoded({ tools: [tool], toolChoice: "required" }).dropped).toEqual(["toolChoice", "strict"])
    const named = encoded({ tools: [tool, { ...tool, name: "b" }], toolChoice: { name: "b" } })
    expect([named.dropped, named.body.tools.map((each: typeof tools) => each.function.name)]).toEqual([
      ["toolChoice", "strict"],
      ["b"]
    ])
    const tools = { function: { name: "" } }
    expect(encoded({ user: "u", tier: "auto", parallelCalls: false, logprobs: 2 }).dropped.toSorted()).toEqual([
      "parallelCalls",
      "tier",
      "user"
    ])
  })

  test("thinks as it can be told to, and says what has failed", () => {
    const thinks = ["none", "minimal", "low", "high", "xhigh"].map((effort) => encoded({ effort }).body.think)
    expect(thinks).toEqual([false, "low", "low", "high", "high"])
    const item = { type: "call", id: "x", name: "a", args: "" } as const
    const { body } = encoded({
      messages: [
        { role: "assistant", items: [item] },
        { role: "tool", callId: "x", text: "no", failed: true },
        { role: "system", text: "late" }
      ]
    })
    expect(body.messages).toEqual([
      { role: "assistant", content: "", tool_calls: [{ id: "x", function: { name: "a", arguments: {} } }] },
      { role: "tool", tool_name: "a", tool_call_id: "x", content: "Error: no" },
      { role: "user", content: "<system-reminder>\nlate\n</system-reminder>" }
    ])
  })

  test("is refused where it would be another one", () => {
    const fault = (asked: Partial<Chat>) => {
      const made = encodes(asked)
      return Result.isFailure(made) ? made.failure.param : undefined
    }
    const said = (part: ChatPart): Partial<Chat> => ({ messages: [{ role: "user", parts: [part] }] })
    expect(fault({ choices: 2 })).toBe("choices")
    expect(fault(said({ type: "image", url: "https://example.com/a.png" }))).toBe("messages")
    expect(fault(said({ type: "file", name: "a", mediaType: "application/pdf", data: "AA" }))).toBe("file")
    expect(fault(said({ type: "audio", format: "wav", data: "AA" }))).toBe("audio")
    const call = { type: "call", id: "x", name: "a", args: "{no" } as const
    expect(fault({ messages: [{ role: "assistant", items: [call] }] })).toBe("messages")
  })
})

describe("an answer of Ollama's own chat", () => {
  const own = answersFrom(chat.server!)
  const stream = (...all: ReadonlyArray<unknown>) => encoder.encode(all.map(line).join(""))
  const call = { function: { index: 0, name: "f", arguments: { id: 1 } } }
  const usage = { prompt: 11, cachedRead: 0, cachedWrite: 0, completion: 5, reasoning: 0 }
  const ends = (reason: string) => [{ type: "stop", stop: { reason } }, { type: "usage", usage }, { type: "done" }]

  const answered: ReadonlyArray<readonly [what: string, bytes: Uint8Array, events: ReadonlyArray<object>]> = [
    [
      "thoughts, words and calls, each of them its own whatever its index",
      stream(
        saying("m", { thinking: "Hm." }),
        saying("m", { content: "Both." }),
        saying("m", { tool_calls: [call] }),
        saying("m", { tool_calls: [{ id: "own", ...call }] }),
        ending("m")
      ),
      [
        { type: "start" },
        { type: "reasoning", text: "Hm." },
        { type: "text", text: "Both." },
        { type: "call", call: 0, id: undefined, name: "f" },
        { type: "arguments", call: 0, text: '{"id":1}' },
        { type: "call", call: 1, id: "own", name: "f" },
        { type: "arguments", call: 1, text: '{"id":1}' },
        ...ends("calls")
      ]
    ],
    [
      "a limit",
      stream(ending("m", { content: "a" }, "length")),
      [{ type: "start" }, { type: "text", text: "a" }, ...ends("length")]
    ],
    [
      "an error line",
      stream(saying("m", { content: "a" }), { error: "died" }),
      [{ type: "start" }, { type: "text", text: "a" }, { type: "error", message: "died" }]
    ],
    [
      "an end without a reason",
      stream({ ...ending("m", { content: "a" }), done_reason: undefined }),
      [
        { type: "start" },
        { type: "text", text: "a" },
        { type: "error", message: "The backend ended the stream before it finished" }
      ]
    ],
    [
      "an end without a last line",
      stream(saying("m", { content: "a" })),
      [
        { type: "start" },
        { type: "text", text: "a" },
        { type: "error", message: "The backend ended the stream before it finished" }
      ]
    ]
  ]

  for (const [what, input, events] of answered) {
    test(`is read with ${what}`, () => expect(transduce(own.stream, [input])).toEqual<unknown>([...events]))
  }

  test("is the same under any cutting", () =>
    holdsUnderAnyCutting(own.stream, fc.constantFrom(...answered.map(([, input]) => input))))

  test("keeps every digit of a number in arguments", () => {
    const input = encoder.encode(
      '{"model":"m","message":{"tool_calls":[{"function":{"name":"f","arguments":{"id":12345678901234567890}}}]},"done":false}\n'
    )
    expect(transduce(own.stream, [input])).toContainEqual({
      type: "arguments",
      call: 0,
      text: '{"id":12345678901234567890}'
    })
  })

  test("is read whole, and is none without a message or an end", () => {
    const whole = (value: object) => own.whole(bytes(value))
    expect(Result.getOrThrow(whole(ending("m", { content: "a", thinking: "b" })))).toEqual<unknown>([
      { type: "start" },
      { type: "reasoning", text: "b" },
      { type: "text", text: "a" },
      ...ends("end")
    ])
    expect(Result.isFailure(whole({ done: true }))).toBe(true)
    expect(Result.getOrThrow(whole(saying("m", { content: "a" }))).at(-1)).toMatchObject({ type: "error" })
  })
})

test.each([true, "high"] as const)(
  "what a model thinks is asked for of Google's too, where it is let think: %s",
  (think) => {
    const { chat: asked } = Result.getOrThrow(
      chat.client!.decode(bytes({ model: "m", messages: [{ role: "user", content: "go" }], think }), undefined)
    )
    const google = gemini.operations.find((each) => each.server !== undefined)!.server!
    const { body } = Result.getOrThrow(google.encode(asked, "gemini-3-pro", anyServer))
    expect(JSON.parse(decoder.decode(body)).generationConfig.thinkingConfig.includeThoughts).toBe(true)
  }
)
