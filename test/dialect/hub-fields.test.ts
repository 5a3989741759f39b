import { expect, test } from "bun:test"
import { Result } from "effect"
import type { Chat, ChatEvent, ChatField, ServerTraits } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer, answersFrom } from "../kit/codecs.ts"

const server = openai.operations[0].server!

const chat: Chat = {
  stream: false,
  messages: [
    { role: "user", parts: [{ type: "text", text: "Rain?" }] },
    { role: "assistant", items: [{ type: "call", id: "c1", name: "sky", args: "{}", signature: "c2ln" }] },
    { role: "tool", callId: "c1", text: "dry", failed: false }
  ],
  tools: [],
  presencePenalty: 0.5,
  frequencyPenalty: -1,
  choices: 1,
  extra: {}
}

const bodyOf = (asked: Chat, original = false, traits: Partial<ServerTraits> = {}) => {
  const { body, dropped } = Result.getOrThrow(server.encode(asked, "m", { ...anyServer, original, ...traits }))
  return { json: JSON.parse(new TextDecoder().decode(body)), dropped }
}

test("penalties, the number of answers and the signature of a call reach a server of chat completions", () => {
  const { dropped, json } = bodyOf(chat)
  expect(json).toMatchObject({ presence_penalty: 0.5, frequency_penalty: -1, n: 1 })
  expect(json.messages[1].tool_calls[0].extra_content).toEqual({ google: { thought_signature: "c2ln" } })
  expect(dropped).toEqual([])
})

test("how closely to look, how likely, how many words and by what key reach a server of chat completions", () => {
  const image = { type: "image", url: "https://example.org/a.png", detail: "high" } as const
  const { json } = bodyOf({
    ...chat,
    messages: [{ role: "user", parts: [image] }],
    logprobs: 3,
    verbosity: "low",
    cacheKey: "k",
    safetyId: "s",
    format: { type: "schema", name: "n", description: "d", schema: {} }
  })
  expect(json).toMatchObject({
    messages: [{ content: [{ type: "image_url", image_url: { url: image.url, detail: "high" } }] }],
    logprobs: true,
    top_logprobs: 3,
    verbosity: "low",
    prompt_cache_key: "k",
    safety_identifier: "s",
    response_format: { type: "json_schema", json_schema: { name: "n", description: "d", schema: {} } }
  })
})

test("how likely its tokens were is read from an answer of chat completions", () => {
  const likely = [{ token: "a", logprob: -1, bytes: [97], top_logprobs: [] }]
  const choice = { index: 0, message: { content: "a" }, logprobs: { content: likely }, finish_reason: "stop" }
  const body = new TextEncoder().encode(JSON.stringify({ choices: [choice] }))
  expect(Result.getOrThrow(answersFrom(server).whole(body))).toContainEqual({
    type: "text",
    text: "a",
    logprobs: likely
  })
})

test("OpenAI itself is not sent what another has signed", () => {
  const { dropped, json } = bodyOf(chat, true)
  expect(json.messages[1].tool_calls[0].extra_content).toBeUndefined()
  expect(dropped).toEqual(["signature"])
})

test("several answers of a server that gives one are refused by the name of the field, and never cut to one", () => {
  const traits = { ...anyServer, several: false, word: (field: ChatField) => `my ${field}` }
  const refused = server.encode({ ...chat, choices: 2 }, "m", traits)
  expect(Result.isFailure(refused) && refused.failure.param).toBe("my choices")
})

test("the signature of a call is read from an answer of chat completions", () => {
  const call = {
    index: 0,
    id: "c1",
    type: "function",
    function: { name: "sky", arguments: "{}" },
    extra_content: { google: { thought_signature: "c2ln" } }
  }
  const message = { role: "assistant", content: null, tool_calls: [call] }
  const answer = { choices: [{ index: 0, message, finish_reason: "tool_calls" }] }
  const events = Result.getOrThrow(answersFrom(server).whole(new TextEncoder().encode(JSON.stringify(answer))))
  expect(events).toContainEqual({ type: "call", call: 0, id: "c1", name: "sky", signature: "c2ln" })
})

test("a tool that is named goes by its name, and stands alone where a server minds no names", () => {
  const tools = ["sky", "sea"].map((name) => ({ name, description: undefined, schema: {}, strict: undefined }))
  const asked: Chat = { ...chat, tools, toolChoice: { name: "sea" } }
  expect(bodyOf(asked).json).toMatchObject({
    tools: [{ function: { name: "sky" } }, { function: { name: "sea" } }],
    tool_choice: { type: "function", function: { name: "sea" } }
  })
  const { tool_choice, tools: told } = bodyOf(asked, false, { namedTool: false }).json
  expect([tool_choice, told.length, told[0].function.name]).toEqual(["required", 1, "sea"])
})

test("the bound on tokens has its newer name for a client that gave it one like that and a server that knows it", () => {
  const bound = (asked: Partial<Chat>, knows: boolean, original = false) => {
    const { json } = bodyOf({ ...chat, maxTokens: 9, ...asked }, original, { newerBound: knows })
    return [json.max_tokens, json.max_completion_tokens]
  }
  expect(bound({}, true)).toEqual([9, undefined])
  expect(bound({ newerBound: true }, true)).toEqual([undefined, 9])
  expect(bound({ newerBound: true }, false)).toEqual([9, undefined])
  expect(bound({}, false, true)).toEqual([undefined, 9])
})

test("an answer that is spoken is told by its words, and the loss of its sound is named, whole and streamed", () => {
  const encoder = new TextEncoder()
  const reads = answersFrom(server)
  const whole = (message: object): ReadonlyArray<ChatEvent> =>
    Result.getOrThrow(
      reads.whole(encoder.encode(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] })))
    )
  const deltas = [{ audio: { id: "audio_1", transcript: "Good " } }, { audio: { transcript: "day", data: "AAAA" } }, {}]
  const chunks = deltas.map((delta, at) => ({
    choices: [{ index: 0, delta, finish_reason: at === 2 ? "stop" : null }]
  }))
  const stream = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")
  const streamed = transduce(reads.stream, [encoder.encode(`${stream}data: [DONE]\n\n`)])
  const audio = { id: "audio_1", transcript: "Good day", data: "AAAA" }
  const said = (events: ReadonlyArray<ChatEvent>) =>
    events.map((each) => (each.type === "text" ? each.text : "")).join("")
  for (const events of [whole({ content: null, audio }), streamed]) {
    expect(said(events)).toBe("Good day")
    expect(events).toContainEqual({ type: "lost", what: "audio" })
  }
  expect(said(whole({ content: "Good day", audio }))).toBe("Good day")
})
