#!/usr/bin/env bash
# When a loop over a streamed answer is over: at the event that says so, or not before the server ends the body.
#
# A server that sends `[DONE]`, or `message_stop`, or `response.completed`, and keeps the body open over what it still has to do
# (to count, to write a log) holds up some programs and not others, those of one package among them: openai 7.59.0 ends chat at
# `[DONE]` and Responses with the body; groq-sdk 1.6.0 and together-ai 0.52.0, of the same generator, end chat with the body, as
# does ai 7.0.173. ollama 0.6.4 and @mistralai/mistralai 2.7.0 end at the last event, @anthropic-ai/sdk 1.14.0 and @google/genai
# 3.3.0 do not. So a body ends right behind its last event.
#
# Seen (the body ends six seconds after the last event):
#   openai, chat: at the last event
#   openai, responses: with the body
#   groq: with the body
#   together: with the body
#   mistral: at the last event
#   huggingface: at the last event
#   ai, chat: with the body
#   anthropic: with the body
#   google genai: with the body
#   ollama: at the last event
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact openai@7.59.0 groq-sdk@1.6.0 together-ai@0.52.0 \
  @mistralai/mistralai@2.7.0 @huggingface/inference@4.13.30 ai@7.0.173 @ai-sdk/openai-compatible@3.0.92 \
  @anthropic-ai/sdk@1.14.0 @google/genai@3.3.0 ollama@0.6.4
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import Anthropic from "@anthropic-ai/sdk"
import { GoogleGenAI } from "@google/genai"
import { InferenceClient } from "@huggingface/inference"
import { Mistral } from "@mistralai/mistralai"
import { streamText } from "ai"
import Groq from "groq-sdk"
import { Ollama } from "ollama"
import OpenAI from "openai"
import Together from "together-ai"

const data = (value) => `data: ${JSON.stringify(value)}\n\n`
const named = (value) => `event: ${value.type}\n${data(value)}`
const base = { id: "c", object: "chat.completion.chunk", created: 1, model: "m" }
const choice = { index: 0, delta: { role: "assistant", content: "Hi" }, finish_reason: "stop" }
const message = { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null }
const response = { id: "r", object: "response", created_at: 1, model: "m", output: [] }
const eventStream = "text/event-stream"
const bodies = {
  chat: [eventStream, `${data({ ...base, choices: [choice] })}data: [DONE]\n\n`],
  responses: [
    eventStream,
    named({ type: "response.created", response: { ...response, status: "in_progress" } }) +
      named({ type: "response.completed", response: { ...response, status: "completed" } })
  ],
  messages: [
    eventStream,
    [
      { type: "message_start", message: { ...message, usage: { input_tokens: 1, output_tokens: 1 } } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "Hi" } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } },
      { type: "message_stop" }
    ]
      .map(named)
      .join("")
  ],
  gemini: [
    eventStream,
    data({ candidates: [{ index: 0, content: { role: "model", parts: [{ text: "Hi" }] }, finishReason: "STOP" }] })
  ],
  native: [
    "application/x-ndjson",
    `${JSON.stringify({ model: "m", created_at: "2026-01-01T00:00:00Z", message: { role: "assistant", content: "Hi" }, done: true, done_reason: "stop" })}\n`
  ]
}
const dialectOf = (path) => {
  if (path.endsWith("/messages")) return "messages"
  if (path.endsWith("/responses")) return "responses"
  if (path.endsWith("/api/chat")) return "native"
  return path.includes("streamGenerateContent") ? "gemini" : "chat"
}
const listen = async () => {
  const body = { ended: false }
  const server = http.createServer((request, response) => {
    request.resume()
    const [type, events] = bodies[dialectOf(request.url.split("?")[0])]
    response.writeHead(200, { "content-type": type }).write(events)
    setTimeout(() => {
      body.ended = true
      response.end()
    }, 6000)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { body, origin: `http://127.0.0.1:${server.address().port}` }
}
const messages = [{ role: "user", content: "Hello" }]
const chat = { model: "m", messages, stream: true }
const streams = {
  "openai, chat": (origin) => new OpenAI({ apiKey: "none", baseURL: `${origin}/v1` }).chat.completions.create(chat),
  "openai, responses": (origin) =>
    new OpenAI({ apiKey: "none", baseURL: `${origin}/v1` }).responses.create({ model: "m", input: "Hello", stream: true }),
  groq: (origin) => new Groq({ apiKey: "none", baseURL: origin }).chat.completions.create(chat),
  together: (origin) => new Together({ apiKey: "none", baseURL: `${origin}/v1` }).chat.completions.create(chat),
  mistral: (origin) => new Mistral({ apiKey: "none", serverURL: origin }).chat.stream({ model: "m", messages }),
  huggingface: (origin) =>
    new InferenceClient("none", { endpointUrl: `${origin}/v1` }).chatCompletionStream({ model: "m", messages }),
  "ai, chat": (origin) =>
    streamText({ model: createOpenAICompatible({ name: "local", baseURL: `${origin}/v1` })("m"), prompt: "Hello" }).textStream,
  anthropic: (origin) => new Anthropic({ apiKey: "none", baseURL: origin }).messages.create({ ...chat, max_tokens: 8 }),
  "google genai": (origin) =>
    new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: origin } }).models.generateContentStream({
      model: "m",
      contents: "Hello"
    }),
  ollama: (origin) => new Ollama({ host: origin }).chat(chat)
}
const told = await Promise.all(
  Object.entries(streams).map(async ([name, open]) => {
    const { body, origin } = await listen()
    for await (const _ of await open(origin));
    return `${name}: ${body.ended ? "with the body" : "at the last event"}`
  })
)
console.log(told.join("\n"))
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
openai, chat: at the last event
openai, responses: with the body
groq: with the body
together: with the body
mistral: at the last event
huggingface: at the last event
ai, chat: with the body
anthropic: with the body
google genai: with the body
ollama: at the last event
TXT
diff wanted.txt seen.txt
