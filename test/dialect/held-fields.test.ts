import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, Chat, ChatEvent, ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { sealedForGoogle, unsealedFromGoogle } from "../../src/dialect/gemini/gemini-seals.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"
import { transduce } from "../../src/dialect/Transducer.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const clientOf = ({ operations }: Halves): ClientCodec => operations.find(({ client }) => client !== undefined)!.client!

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json))

const told = (chat: Chat, server: Halves, original = false) => {
  const { body, dropped } = Result.getOrThrow(
    serverOf(server).encode(chat, "m", { ...anyServer, files: true, original })
  )
  return { text: new TextDecoder().decode(body), dropped: [...dropped].sort() }
}

const decoded = (client: Halves, request: unknown) => Result.getOrThrow(clientOf(client).decode(bytes(request), "m"))

const all: Chat = {
  stream: false,
  messages: [
    {
      role: "user",
      parts: [
        { type: "image", mediaType: "image/png", data: "iVBORw0KGgo=", detail: "high" },
        { type: "file", name: "bill.pdf", mediaType: "application/pdf", data: "AAAA" }
      ]
    },
    {
      role: "assistant",
      items: [
        { type: "reasoning", text: "thought", signature: "of-anthropic" },
        { type: "call", id: "c", name: "f", args: "{}", signature: "of-google" }
      ]
    },
    { role: "tool", callId: "c", text: "done", failed: false }
  ],
  tools: [
    {
      name: "f",
      description: undefined,
      schema: { type: "object", properties: {}, additionalProperties: false },
      strict: true
    }
  ],
  format: {
    type: "schema",
    name: "n",
    description: "about",
    schema: { type: "object", properties: {}, additionalProperties: false }
  },
  extra: {}
}

const without = (chat: Chat, type: "file" | "image"): Chat => ({
  ...chat,
  messages: chat.messages.map((message) =>
    message.role === "user" ? { ...message, parts: message.parts.filter((part) => part.type !== type) } : message
  )
})

describe("what a request holds in its turns and tools that a server has no word for", () => {
  test("is named, for each server, and nothing that it is told", () => {
    expect(told(all, openai).dropped).toEqual(["thoughtSignature"])
    expect(told(all, openai, true).dropped).toEqual(["reasoning", "signature", "thoughtSignature"])
    expect(told(all, anthropic).dropped).toEqual(["detail", "formatNote", "signature"])
    expect(told(all, gemini).dropped).toEqual([
      "detail",
      "fileName",
      "formatNote",
      "reasoning",
      "strict",
      "thoughtSignature"
    ])
    expect(told(without(all, "file"), ollama).dropped).toEqual([
      "detail",
      "formatNote",
      "signature",
      "strict",
      "thoughtSignature"
    ])
  })

  test("is called by a name in every client's dialect that such a field may come in", () => {
    const words = [openai, responses, anthropic, ollama, gemini].map((client) => clientOf(client).words)
    const named = (field: "fileName" | "formatNote" | "formatRules" | "reasoning" | "strict" | "thoughtSignature") =>
      words.map((each) => each[field])
    expect(named("formatRules")).not.toContain(undefined)
    expect(named("reasoning")).not.toContain(undefined)
    expect(named("strict").slice(0, 4)).not.toContain(undefined)
    expect(named("thoughtSignature").filter((word) => word === undefined)).toHaveLength(1)
  })
})

describe("what thoughts are signed with", () => {
  const asGoogles = (thoughtSignature: string) => ({
    contents: [
      { role: "user", parts: [{ text: "go" }] },
      { role: "model", parts: [{ text: "hm", thought: true, thoughtSignature }, { text: "yes" }] },
      { role: "user", parts: [{ text: "on" }] }
    ]
  })

  test("reaches Anthropic from a client of Google's if it is Anthropic's, and not if it is Google's", () => {
    const own = decoded(gemini, asGoogles(sealedForGoogle("of-anthropic")))
    expect(told(own.chat, anthropic).text).toContain('"signature":"of-anthropic"')
    const foreign = decoded(gemini, asGoogles("b2YtZ29vZ2xl"))
    expect(told(foreign.chat, anthropic).text).not.toContain("b2YtZ29vZ2xl")
    expect(foreign.dropped).toEqual(["contents.parts.thoughtSignature"])
  })

  test("does not reach Google if it is Anthropic's, whoever brings it back", () => {
    const signed = [{ type: "thinking", thinking: "hm", signature: "of-anthropic" }]
    const ofMessages = decoded(anthropic, {
      max_tokens: 9,
      messages: [
        { role: "user", content: "go" },
        { role: "assistant", content: [...signed, { type: "text", text: "yes" }] },
        { role: "user", content: "on" }
      ]
    })
    expect(told(ofMessages.chat, gemini)).toMatchObject({ dropped: ["reasoning", "thoughtSignature"] })
    expect(told(ofMessages.chat, gemini).text).not.toContain("of-anthropic")
    // As its bytes came.
    const body = asGoogles(sealedForGoogle("of-anthropic"))
    const open = JSON.parse(new TextDecoder().decode(gemini.withoutSeals!(bytes(body))))
    expect(open.contents[1].parts).toEqual([{ text: "yes" }])
    const [first, , last] = body.contents
    const alone = { contents: [first, { role: "model", parts: body.contents[1]!.parts.slice(0, 1) }, last] }
    expect(JSON.parse(new TextDecoder().decode(gemini.withoutSeals!(bytes(alone)))).contents).toHaveLength(2)
    const plain = bytes(asGoogles("b2YtZ29vZ2xl"))
    expect(gemini.withoutSeals!(plain)).toBe(plain)
  })

  test("comes back as it was from a client that keeps bytes, in either alphabet of base64 (law)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (signature) => {
        const sealed = sealedForGoogle(signature)
        expect(Buffer.from(sealed, "base64").toString("base64")).toBe(sealed)
        expect(unsealedFromGoogle(sealed)).toBe(Buffer.from(signature, "utf8").toString("utf8"))
        expect(unsealedFromGoogle(sealed.replaceAll("+", "-").replaceAll("/", "_"))).toBe(unsealedFromGoogle(sealed))
      })
    )
    expect(unsealedFromGoogle("b2YtZ29vZ2xl")).toBeUndefined()
  })

  const context: AnswerContext = { model: "m", id: "a1", now: 0, callIds: new Set() }

  const said: ReadonlyArray<ChatEvent> = [
    { type: "start" },
    { type: "reasoning", text: "one" },
    { type: "signature", signature: "sig-1" },
    { type: "reasoning", text: "two" },
    { type: "signature", signature: "sig-2" },
    // A thought that is not told.
    { type: "signature", signature: "sig-3" },
    { type: "text", text: "so" },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ]

  const cases = [
    [openai, { model: "m", messages: [{ role: "user", content: "go" }], reasoning: { effort: "low" } }],
    [responses, { model: "m", input: "go", include: ["reasoning.encrypted_content"] }],
    [anthropic, { model: "m", max_tokens: 9, messages: [{ role: "user", content: "go" }] }],
    [gemini, { contents: [{ role: "user", parts: [{ text: "go" }] }] }]
  ] as const

  // The signatures that are in an answer, opened where they are sealed.
  const signaturesIn = (answer: string): ReadonlyArray<string> => {
    const opened = answer
      .replaceAll(/"thoughtSignature":"([^"]+)"/g, (_, seal) => unsealedFromGoogle(seal) ?? "")
      .replaceAll(/"encrypted_content":"nexus1\.([^"]+)"/g, (_, seal) =>
        seal
          .split(".")
          .map((part: string) => Buffer.from(part, "base64url").toString())
          .join(" ")
      )
    return [...new Set(opened.match(/sig-\d/g))]
  }

  test("is told of each thought by itself, also of one that is not told, whole and streamed", () => {
    for (const [client, request] of cases) {
      const { answers } = decoded(client, request)
      const whole = new TextDecoder().decode(Result.getOrThrow(answers.whole(said, context)))
      const stream = Buffer.concat([...transduce(answers.stream(context), said)]).toString()
      for (const answer of [whole, stream]) expect(signaturesIn(answer)).toEqual(["sig-1", "sig-2", "sig-3"])
    }
  })

  test("goes with a thought that was not told, back to Anthropic", () => {
    const ofChat = decoded(openai, {
      model: "m",
      messages: [
        { role: "user", content: "go" },
        {
          role: "assistant",
          content: "so",
          reasoning_details: [{ type: "reasoning.text", signature: "sig-3", format: "anthropic-claude-v1" }]
        },
        { role: "user", content: "on" }
      ]
    })
    expect(told(ofChat.chat, anthropic).text).toContain('{"type":"thinking","thinking":"","signature":"sig-3"}')
  })
})
