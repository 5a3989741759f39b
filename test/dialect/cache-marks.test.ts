import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const clientOf = ({ operations }: Halves): ClientCodec => operations.find(({ client }) => client !== undefined)!.client!

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const cache_control = { type: "ephemeral", ttl: "1h" }

/** What a server is asked, and what of the request is named as left out, in the client's words. */
const asked = (client: Halves, server: Halves, request: object) => {
  const codec = clientOf(client)
  const { chat, dropped } = Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify(request)), "m"))
  const told = Result.getOrThrow(serverOf(server).encode(chat, "m", anyServer))
  const body = JSON.parse(new TextDecoder().decode(told.body))
  return { body, dropped: [...dropped, ...told.dropped.map((field) => codec.words[field] ?? field)] }
}

const marked = (text: string) => ({ type: "text", text, cache_control })

const schema = { type: "object", properties: {} }

const ofChat = {
  model: "m",
  tools: [{ type: "function", function: { name: "f", parameters: schema }, cache_control }],
  messages: [
    { role: "system", content: [{ type: "text", text: "one" }, marked("two")] },
    { role: "user", content: [marked("ask"), { type: "image_url", image_url: { url: "https://a/b" }, cache_control }] },
    {
      role: "assistant",
      content: [marked("wait")],
      tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }]
    },
    { role: "tool", tool_call_id: "c", content: [marked("done")] },
    { role: "user", content: "go on", cache_control }
  ]
}

const ofMessages = {
  model: "m",
  max_tokens: 9,
  cache_control,
  tools: [{ name: "f", input_schema: schema, cache_control }],
  system: [{ type: "text", text: "one" }, marked("two")],
  messages: [
    {
      role: "user",
      content: [marked("ask"), { type: "image", source: { type: "url", url: "https://a/b" }, cache_control }]
    },
    {
      role: "assistant",
      content: [marked("wait"), { type: "tool_use", id: "c", name: "f", input: {}, cache_control }]
    },
    {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: "c", content: "done", cache_control }, marked("go on")]
    }
  ]
}

describe("marks of where what is kept of a prompt ends", () => {
  test("reach Anthropic from a client of chat completions, each in its place", () => {
    const { body, dropped } = asked(openai, anthropic, ofChat)
    expect(dropped).toEqual([])
    expect(body).toMatchObject({
      system: [{ type: "text", text: "one" }, marked("two")],
      tools: [{ name: "f", cache_control }],
      messages: [
        { content: [marked("ask"), { type: "image", cache_control }] },
        { content: [marked("wait"), { type: "tool_use" }] },
        { content: [{ type: "tool_result", cache_control }, marked("go on")] }
      ]
    })
    expect(body.system[0].cache_control).toBeUndefined()
  })

  test("reach Anthropic from a client of Messages that is translated, and so does the one of all", () => {
    const { body, dropped } = asked(anthropic, anthropic, ofMessages)
    expect(dropped).toEqual([])
    expect(body).toMatchObject({
      cache_control,
      system: ofMessages.system,
      tools: [{ name: "f", cache_control }],
      messages: [
        { content: [marked("ask"), { type: "image", cache_control }] },
        { content: [marked("wait"), { type: "tool_use", cache_control }] },
        { content: [{ type: "tool_result", cache_control }, marked("go on")] }
      ]
    })
  })

  test("are named once as left out to a server that has no such thing, and nowhere in what it is asked", () => {
    for (const [client, request] of [
      [openai, ofChat],
      [anthropic, ofMessages]
    ] as const) {
      for (const server of [openai, gemini, ollama]) {
        const plain = JSON.parse(JSON.stringify(request).replaceAll("https://a/b", "data:image/png;base64,AAAA"))
        const told =
          client === openai ? plain : JSON.parse(JSON.stringify(plain).replace(/\{"type":"url"[^}]*\}/, image))
        const { body, dropped } = asked(client, server, told)
        expect(dropped.filter((field) => field.includes("cache"))).toEqual(["cache_control"])
        expect(JSON.stringify(body)).not.toContain("ephemeral")
      }
    }
  })

  test("change nothing of a request that has none", () => {
    const { body } = asked(openai, anthropic, {
      model: "m",
      messages: [
        {
          role: "system",
          content: [
            { type: "text", text: "one" },
            { type: "text", text: "two" }
          ]
        },
        { role: "user", content: "ask" }
      ]
    })
    expect(body).toMatchObject({ system: "one\n\ntwo", messages: [{ role: "user", content: "ask" }] })
  })
})

const image = JSON.stringify({ type: "base64", media_type: "image/png", data: "AAAA" })

test("what a message holds that nobody else can be told is named, whoever says it", () => {
  const { dropped } = asked(openai, anthropic, {
    model: "m",
    audio: { voice: "v", format: "mp3" },
    messages: [
      { role: "system", content: "S", made_up: 1 },
      { role: "user", content: "hi", name: "bob", other: 1 }
    ]
  })
  expect([...dropped].sort()).toEqual(["audio", "messages.made_up", "messages.name", "messages.other"])
})
