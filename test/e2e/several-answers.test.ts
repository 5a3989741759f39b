import { describe, expect, test } from "bun:test"
import { GoogleGenAI } from "@google/genai"
import OpenAI from "openai"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { eventOf } from "../kit/gemini.ts"
import type { Script } from "../kit/rawServer.ts"
import { fieldsOf, streaming } from "../kit/voices.ts"

const weather = { name: "weather", arguments: '{"city":"Oslo"}' }

const chunk = (index: number, delta: object, finish: string | null = null) => ({
  id: "c",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index, delta, finish_reason: finish }]
})

const usage = { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 }

/** Says rain, and calls a tool besides, in turns. */
const chatting: Script = (request) => {
  const called = { id: "call_a", type: "function", function: weather }
  if (fieldsOf(request)["stream"] !== true) {
    const choices = [
      { index: 0, message: { role: "assistant", content: "Rain." }, finish_reason: "stop" },
      { index: 1, message: { role: "assistant", content: null, tool_calls: [called] }, finish_reason: "tool_calls" }
    ]
    return [json({ id: "c", object: "chat.completion", created: 1, model: "m", choices, usage })]
  }
  const events = [
    chunk(0, { role: "assistant", content: "Ra" }),
    chunk(1, { role: "assistant", tool_calls: [{ index: 0, ...called }] }),
    chunk(0, { content: "in." }),
    chunk(1, {}, "tool_calls"),
    chunk(0, {}, "stop"),
    { ...chunk(0, {}), choices: [], usage }
  ]
  return streaming([...events.map(eventOf), "data: [DONE]\n\n"])
}

const candidate = (index: number, parts: ReadonlyArray<object>, finishReason?: string) => ({
  content: { role: "model", parts },
  // Google leaves out a zero.
  ...(index === 0 ? {} : { index }),
  ...(finishReason === undefined ? {} : { finishReason })
})

const usageMetadata = { promptTokenCount: 3, candidatesTokenCount: 9, totalTokenCount: 12 }

const functionCall = { functionCall: { name: "weather", args: { city: "Oslo" } } }

/** The same as Google's. */
const generating: Script = (request) => {
  const rest = { modelVersion: "m", responseId: "r" }
  if (!request.target.includes(":stream")) {
    const candidates = [candidate(0, [{ text: "Rain." }], "STOP"), candidate(1, [functionCall], "STOP")]
    return [json({ candidates, usageMetadata, ...rest })]
  }
  const pieces = [
    [candidate(0, [{ text: "Ra" }])],
    [candidate(0, [{ text: "in." }]), candidate(1, [functionCall], "STOP")],
    [candidate(0, [], "STOP")]
  ]
  return streaming(pieces.map((candidates) => eventOf({ candidates, usageMetadata, ...rest })))
}

const start = async (type: "gemini" | "vllm" | "ollama" | "anthropic", script: Script) => {
  const upstream = await startUpstream({ type: "vllm", models: [{ id: "m", tools: true }] })
  upstream.script(script)
  const gateway = await startGateway({
    backends: [backendFor("one", upstream, { type, models: [{ id: "m", tools: true }] })],
    routing: { max_retries: 0 }
  })
  const stop = async () => {
    await gateway[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  }
  return {
    upstream,
    openai: new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 }),
    google: new GoogleGenAI({
      apiKey: "none",
      httpOptions: { baseUrl: gateway.url, retryOptions: { attempts: 1 } }
    }),
    [Symbol.asyncDispose]: stop
  }
}

const ask = {
  model: "m",
  n: 2,
  messages: [{ role: "user", content: "The weather?" }]
} satisfies OpenAI.ChatCompletionCreateParams

const askGoogle = { model: "m", contents: "The weather?", config: { candidateCount: 2 } }

const shown = ({ choices, usage: took }: OpenAI.ChatCompletion) => ({
  choices: choices.map(({ finish_reason, index, message }) => [
    index,
    message.content,
    message.tool_calls?.map((call) => (call.type === "function" ? [call.function.name, call.function.arguments] : [])),
    finish_reason
  ]),
  tokens: took?.total_tokens
})

const wanted = {
  choices: [
    [0, "Rain.", undefined, "stop"],
    [1, null, [[weather.name, weather.arguments]], "tool_calls"]
  ],
  tokens: 12
}

describe("several answers to one request", () => {
  test("come to the openai package from Google's models, whole and streamed", async () => {
    await using all = await start("gemini", generating)
    expect(shown(await all.openai.chat.completions.create(ask))).toEqual(wanted)
    const stream = all.openai.chat.completions.stream({ ...ask, stream_options: { include_usage: true } })
    expect(shown(await stream.finalChatCompletion())).toEqual(wanted)
    for (const request of all.upstream.calls()) {
      expect(fieldsOf(request)).toMatchObject({ generationConfig: { candidateCount: 2 } })
    }
  })

  test("come to the @google/genai package from chat completions, whole and streamed", async () => {
    await using all = await start("vllm", chatting)
    const whole = await all.google.models.generateContent(askGoogle)
    const [first, second] = whole.candidates ?? []
    expect([first?.index, first?.content?.parts?.[0]?.text, first?.finishReason]).toEqual([0, "Rain.", "STOP"])
    expect([second?.index, second?.content?.parts?.[0]?.functionCall?.args]).toEqual([1, { city: "Oslo" }])
    expect(whole.usageMetadata?.totalTokenCount).toBe(12)
    const texts = new Map<number, string>()
    const ends: Array<number> = []
    let calls = 0
    let tokens = 0
    for await (const each of await all.google.models.generateContentStream(askGoogle)) {
      for (const { content, finishReason, index = 0 } of each.candidates ?? []) {
        for (const part of content?.parts ?? []) {
          texts.set(index, (texts.get(index) ?? "") + (part.text ?? ""))
          if (part.functionCall !== undefined) calls += index
        }
        if (finishReason !== undefined) ends.push(index)
      }
      tokens = each.usageMetadata?.totalTokenCount ?? tokens
    }
    expect([[...texts], ends.toSorted(), calls, tokens]).toEqual([
      [
        [0, "Rain."],
        [1, ""]
      ],
      [0, 1],
      1,
      12
    ])
    for (const request of all.upstream.calls()) expect(fieldsOf(request)["n"]).toBe(2)
  })

  test("of which one breaks off are none", async () => {
    await using all = await start("gemini", () =>
      streaming(
        [[candidate(0, [{ text: "Rain." }], "STOP")], [candidate(1, [{ text: "Su" }])]].map((candidates) =>
          eventOf({ candidates })
        )
      )
    )
    const reading = all.openai.chat.completions.stream(ask).finalChatCompletion()
    expect(
      await reading.then(
        () => "whole",
        () => "broken"
      )
    ).toBe("broken")
  })

  test("are refused with the reason where the backend gives one alone", async () => {
    for (const [type, why] of [
      ["ollama", "one answer to a request, however many are asked for"],
      ["anthropic", "one answer to a request"]
    ] as const) {
      await using all = await start(type, () => [json({})])
      const refused = await all.google.models.generateContent(askGoogle).then(String, String)
      expect(refused).toContain("'generationConfig.candidateCount' must be 1")
      expect(refused).toContain(why)
      expect(all.upstream.calls()).toEqual([])
    }
  })
})
