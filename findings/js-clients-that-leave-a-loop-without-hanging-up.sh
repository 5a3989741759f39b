#!/usr/bin/env bash
# What a server hears when a program leaves the loop over a streamed answer: of some packages nothing at all.
#
# `break` out of `for await` closes the connection with openai 7.59.0, @anthropic-ai/sdk 1.14.0, groq-sdk 1.6.0,
# @mistralai/mistralai 2.7.0 and @langchain/openai 1.6.0. With @google/genai 3.3.0, ollama 0.6.4, @huggingface/inference
# 4.13.30, @langchain/ollama 1.3.0 and the `textStream` of ai 7.0.173 the connection stays, the rest of the answer is sent, and
# nobody reads it: a model generates to its end for a program that took one word. Their own way to abort is what ends it.
#
# Seen (an answer of forty pieces, left after the first):
#   openai: hangs up
#   anthropic: hangs up
#   groq: hangs up
#   mistral: hangs up
#   langchain, openai: hangs up
#   google genai: sent to the end
#   ollama: sent to the end
#   huggingface: sent to the end
#   langchain, ollama: sent to the end
#   ai, textStream: sent to the end
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact openai@7.59.0 @anthropic-ai/sdk@1.14.0 groq-sdk@1.6.0 \
  @mistralai/mistralai@2.7.0 @langchain/core@1.4.0 @langchain/openai@1.6.0 @langchain/ollama@1.3.0 @google/genai@3.3.0 \
  ollama@0.6.4 @huggingface/inference@4.13.30 ai@7.0.173 @ai-sdk/openai-compatible@3.0.92
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import Anthropic from "@anthropic-ai/sdk"
import { GoogleGenAI } from "@google/genai"
import { InferenceClient } from "@huggingface/inference"
import { ChatOllama } from "@langchain/ollama"
import { ChatOpenAI } from "@langchain/openai"
import { Mistral } from "@mistralai/mistralai"
import { streamText } from "ai"
import Groq from "groq-sdk"
import { Ollama } from "ollama"
import OpenAI from "openai"

const event = (value) => `data: ${JSON.stringify(value)}\n\n`
const chat = {
  type: "text/event-stream",
  piece: (content) =>
    event({
      id: "c",
      object: "chat.completion.chunk",
      created: 1,
      model: "m",
      choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }]
    }),
  end: "data: [DONE]\n\n"
}
const gemini = {
  type: "text/event-stream",
  piece: (text) => event({ candidates: [{ index: 0, content: { role: "model", parts: [{ text }] } }] }),
  end: ""
}
const native = {
  type: "application/x-ndjson",
  piece: (content) =>
    `${JSON.stringify({ model: "m", created_at: "2026-01-01T00:00:00Z", message: { role: "assistant", content }, done: false })}\n`,
  end: `${JSON.stringify({ model: "m", created_at: "2026-01-01T00:00:00Z", message: { role: "assistant", content: "" }, done: true, done_reason: "stop" })}\n`
}
const start = {
  type: "message_start",
  message: {
    id: "m",
    type: "message",
    role: "assistant",
    model: "m",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 }
  }
}
const messages = {
  type: "text/event-stream",
  head:
    `event: message_start\n${event(start)}event: content_block_start\n` +
    event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  piece: (text) =>
    `event: content_block_delta\n${event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })}`,
  end: ""
}
const dialectOf = (path) => {
  if (path.endsWith("/messages")) return messages
  if (path.endsWith("/api/chat")) return native
  return path.includes("streamGenerateContent") ? gemini : chat
}

const listen = async () => {
  let left
  const heard = new Promise((resolve) => (left = resolve))
  const server = http.createServer((request, response) => {
    request.resume()
    const { type, head = "", piece, end } = dialectOf(request.url.split("?")[0])
    response.writeHead(200, { "content-type": type }).write(head + piece("word "))
    let sent = 1
    const timer = setInterval(() => {
      sent += 1
      if (sent < 40) response.write(piece("word "))
      else response.end(end)
    }, 200)
    response.on("close", () => {
      clearInterval(timer)
      left(response.writableFinished ? "sent to the end" : "hangs up")
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { heard, origin: `http://127.0.0.1:${server.address().port}` }
}
const asked = [{ role: "user", content: "Hello" }]
const streams = {
  openai: (origin) =>
    new OpenAI({ apiKey: "none", baseURL: `${origin}/v1` }).chat.completions.create({ model: "m", messages: asked, stream: true }),
  anthropic: (origin) =>
    new Anthropic({ apiKey: "none", baseURL: origin }).messages.create({ model: "m", max_tokens: 8, messages: asked, stream: true }),
  groq: (origin) =>
    new Groq({ apiKey: "none", baseURL: origin }).chat.completions.create({ model: "m", messages: asked, stream: true }),
  mistral: (origin) => new Mistral({ apiKey: "none", serverURL: origin }).chat.stream({ model: "m", messages: asked }),
  "langchain, openai": (origin) =>
    new ChatOpenAI({ apiKey: "none", model: "m", configuration: { baseURL: `${origin}/v1` } }).stream("Hello"),
  "google genai": (origin) =>
    new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: origin } }).models.generateContentStream({
      model: "m",
      contents: "Hello"
    }),
  ollama: (origin) => new Ollama({ host: origin }).chat({ model: "m", messages: asked, stream: true }),
  huggingface: (origin) =>
    new InferenceClient("none", { endpointUrl: `${origin}/v1` }).chatCompletionStream({ model: "m", messages: asked }),
  "langchain, ollama": (origin) => new ChatOllama({ model: "m", baseUrl: origin }).stream("Hello"),
  "ai, textStream": (origin) =>
    streamText({ model: createOpenAICompatible({ name: "local", baseURL: `${origin}/v1` })("m"), prompt: "Hello" }).textStream
}
// A program that goes on still holds its stream: so none is collected here.
const held = []
const told = await Promise.all(
  Object.entries(streams).map(async ([name, open]) => {
    const { heard, origin } = await listen()
    const stream = await open(origin)
    held.push(stream)
    for await (const _ of stream) break
    return `${name}: ${await heard}`
  })
)
console.log(told.join("\n"))
process.exit(held.length === told.length ? 0 : 1)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
openai: hangs up
anthropic: hangs up
groq: hangs up
mistral: hangs up
langchain, openai: hangs up
google genai: sent to the end
ollama: sent to the end
huggingface: sent to the end
langchain, ollama: sent to the end
ai, textStream: sent to the end
TXT
diff wanted.txt seen.txt
