import { expect, test } from "bun:test"
import { Result } from "effect"
import { type BackendType, kindNamed } from "../../src/backend/all.ts"
import type { ServerCodec } from "../../src/dialect/chat.ts"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"

const options = {
  min_p: 0.05,
  typical_p: 0.9,
  repeat_penalty: 1.1,
  repeat_last_n: 64,
  mirostat: 2,
  mirostat_tau: 5,
  mirostat_eta: 0.1
}

const messages = [{ role: "user", content: "hello" }]

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const ofOllama = ollama.operations[0].client!
const ofChat = openai.operations[0].client!
const chatServer = openai.operations[0].server!
const ollamaServer = ollama.operations[0].server!

const asked = (server: ServerCodec, type: BackendType, request: object = { messages, options }, client = ofOllama) => {
  const { chat } = Result.getOrThrow(client.decode(bytes(request), "m"))
  const traits = { ...anyServer, ...kindNamed(type).takes, word: (field: string) => wordOf(client, field) }
  const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", traits))
  const told: Record<string, unknown> = JSON.parse(new TextDecoder().decode(body))
  return { told, dropped: dropped.map((field) => wordOf(client, field)).sort() }
}

const wordOf = ({ words }: typeof ofOllama, field: string): string =>
  Object.entries(words).find(([name]) => name === field)?.[1] ?? field

const named = (...kept: ReadonlyArray<string>) =>
  Object.keys(options)
    .filter((name) => !kept.includes(name))
    .map((name) => `options.${name}`)
    .sort()

const rows: ReadonlyArray<readonly [BackendType, Readonly<Record<string, number>>, ReadonlyArray<string>]> = [
  ["llamacpp", options, []],
  ["llamaswap", options, []],
  ["vllm", { min_p: 0.05, repetition_penalty: 1.1 }, named("min_p", "repeat_penalty")],
  ["sglang", { min_p: 0.05, repetition_penalty: 1.1 }, named("min_p", "repeat_penalty")],
  ["openrouter", { min_p: 0.05, repetition_penalty: 1.1 }, named("min_p", "repeat_penalty")],
  ["lmstudio", { repeat_penalty: 1.1 }, named("repeat_penalty")],
  ["exo", {}, named()],
  ["openai", {}, named()],
  ["generic", {}, named()]
]

test.each(rows)(
  "an Ollama client's ways of choosing a token reach %s under its own names, or are named",
  (type, fields, left) => {
    const { dropped, told } = asked(chatServer, type)
    const { messages: _, model: __, stream: ___, stream_options: ____, ...rest } = told
    expect<unknown>([rest, dropped]).toEqual([fields, left])
  }
)

test("a client of chat completions has them heard by an Ollama that is asked in its own chat", () => {
  const request = { messages, min_p: 0.05, typical_p: 0.9, repeat_penalty: 1.1, repeat_last_n: 64 }
  const { dropped, told } = asked(ollamaServer, "ollama", request, ofChat)
  expect([told["options"], dropped]).toEqual([
    { min_p: 0.05, typical_p: 0.9, repeat_penalty: 1.1, repeat_last_n: 64 },
    []
  ])
})

test.each([
  ["anthropic", anthropic.operations[0].server!],
  ["gemini", gemini.operations[0].server!]
] as const)("and %s, which has none of them, is told none", (type, server) =>
  expect(asked(server, type).dropped).toEqual(expect.arrayContaining([...named()]))
)

test("one that is no number is refused by its place", () => {
  const fault = Result.getFailure(ofOllama.decode(bytes({ messages, options: { min_p: "low" } }), "m"))
  expect(JSON.stringify(fault)).toContain("options.min_p")
})
