#!/usr/bin/env bash
# What the AI SDK makes of a stream that breaks: an error event is an error to everything but `textStream`.
#
# ai 7.0.173 with @ai-sdk/openai-compatible 3.0.92: when a backend sends half an answer, then `data: {"error":…}`, and ends
# its body in order, `for await (… of textStream)` just ends, as it does after a whole answer; so does a stream that ends in
# order without any finish reason. Only the parts (`fullStream`) and `finishReason` tell. The `openai` package throws in the
# first case and, like `textStream`, not in the second. What makes every reader throw is a body that is cut (no end of its
# chunked framing) behind the error event.
#
# Seen:
#   error event, orderly end | textStream | "Half an " | ends
#   error event, orderly end | fullStream | "Half an " | error,finish:error
#   error event, orderly end | openai | "Half an " | throws APIError: backend broke
#   error event, then cut | textStream | "Half an " | throws APICallError
#   error event, then cut | openai | "Half an " | throws APIError: backend broke
#   no finish reason, orderly end | textStream | "Half an " | ends
#   no finish reason, orderly end | fullStream | "Half an " | error,finish:error
#   no finish reason, orderly end | openai | "Half an " | ends
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 @ai-sdk/openai-compatible@3.0.92 openai@7.57.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { streamText } from "ai"
import OpenAI from "openai"

const event = (value) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (content) =>
  event({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta: { content }, finish_reason: null }]
  })
const failure = event({ error: { message: "backend broke", type: "server_error", param: null, code: null } })

const streamOf = (port) =>
  streamText({
    model: createOpenAICompatible({ name: "local", baseURL: `http://127.0.0.1:${port}/v1` })("m"),
    prompt: "Hello",
    maxRetries: 0,
    onError: () => {}
  })

const readers = {
  textStream: async (port, took) => {
    for await (const text of streamOf(port).textStream) took(text)
    return "ends"
  },
  fullStream: async (port, took) => {
    const told = []
    for await (const part of streamOf(port).fullStream) {
      if (part.type === "text-delta") took(part.text)
      if (part.type === "error") told.push("error")
      if (part.type === "finish") told.push(`finish:${part.finishReason}`)
    }
    return told.join()
  },
  openai: async (port, took) => {
    const client = new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 })
    const messages = [{ role: "user", content: "Hello" }]
    for await (const part of await client.chat.completions.create({ model: "m", messages, stream: true })) {
      took(part.choices[0]?.delta.content ?? "")
    }
    return "ends"
  }
}

const cases = [
  ["error event, orderly end", ["textStream", "fullStream", "openai"], (response) => response.end(failure)],
  [
    "error event, then cut",
    ["textStream", "openai"],
    (response) => {
      response.write(failure)
      setTimeout(() => response.destroy(), 200)
    }
  ],
  ["no finish reason, orderly end", ["textStream", "fullStream", "openai"], (response) => response.end()]
]

for (const [name, who, end] of cases) {
  for (const reader of who) {
    const server = http.createServer((request, response) => {
      request.resume()
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(chunk("Half "))
      response.write(chunk("an "))
      setTimeout(end, 100, response)
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    let text = ""
    const how = await readers[reader](server.address().port, (piece) => (text += piece)).catch((error) =>
      error.constructor.name === "APIError" ? `throws APIError: ${error.message}` : `throws ${error.constructor.name}`
    )
    console.log(`${name} | ${reader} | ${JSON.stringify(text)} | ${how}`)
    server.closeAllConnections()
    server.close()
  }
}
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
error event, orderly end | textStream | "Half an " | ends
error event, orderly end | fullStream | "Half an " | error,finish:error
error event, orderly end | openai | "Half an " | throws APIError: backend broke
error event, then cut | textStream | "Half an " | throws APICallError
error event, then cut | openai | "Half an " | throws APIError: backend broke
no finish reason, orderly end | textStream | "Half an " | ends
no finish reason, orderly end | fullStream | "Half an " | error,finish:error
no finish reason, orderly end | openai | "Half an " | ends
TXT
diff wanted.txt seen.txt
