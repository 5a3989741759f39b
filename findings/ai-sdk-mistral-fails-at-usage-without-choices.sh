#!/usr/bin/env bash
# What the AI SDK's provider for Mistral makes of token counts in a piece of their own.
#
# @ai-sdk/mistral 4.0.87 (ai 7.0.173) reads the first choice of each piece without a look at whether there is one. OpenAI's form
# of counts in a stream, a last piece with `choices: []`, raises a TypeError, which is no part of the stream but breaks out of
# it, after all of the answer has been given. The same piece is read by the provider for anything like OpenAI, and counts beside
# the reason for the end by both. A server of these clients does not send that piece unasked.
#
# Seen:
#   counts beside the end: mistral "Hello" then stop, 7 tokens; openai-compatible "Hello" then stop, 7 tokens
#   counts by themselves: mistral "Hello" then TypeError; openai-compatible "Hello" then stop, 7 tokens
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 @ai-sdk/mistral@4.0.87 @ai-sdk/openai-compatible@3.0.92
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createMistral } from "@ai-sdk/mistral"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { streamText } from "ai"

const usage = { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 }
const piece = (choices, more = {}) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices, ...more })
const says = piece([{ index: 0, delta: { role: "assistant", content: "Hello" }, finish_reason: null }])
const end = [{ index: 0, delta: {}, finish_reason: "stop" }]
const streams = {
  "counts beside the end": [says, piece(end, { usage })],
  "counts by themselves": [says, piece(end), piece([], { usage })]
}
let stream = []
const server = http.createServer((request, response) => {
  request.resume()
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end([...stream.map((each) => JSON.stringify(each)), "[DONE]"].map((each) => `data: ${each}\n\n`).join(""))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const providers = {
  mistral: createMistral({ apiKey: "none", baseURL }),
  "openai-compatible": createOpenAICompatible({ name: "own", apiKey: "none", baseURL })
}
for (const [name, pieces] of Object.entries(streams)) {
  stream = pieces
  const told = []
  for (const [who, provider] of Object.entries(providers)) {
    let text = ""
    let end = "nothing"
    try {
      for await (const part of streamText({ model: provider("m"), prompt: "Hello", maxRetries: 0, onError: () => {} }).fullStream) {
        if (part.type === "text-delta") text += part.text
        if (part.type === "finish") end = `${part.finishReason}, ${part.totalUsage.inputTokens} tokens`
      }
    } catch (error) {
      end = error.name
    }
    told.push(`${who} ${JSON.stringify(text)} then ${end}`)
  }
  console.log(`${name}: ${told.join("; ")}`)
}
server.close()
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
counts beside the end: mistral "Hello" then stop, 7 tokens; openai-compatible "Hello" then stop, 7 tokens
counts by themselves: mistral "Hello" then TypeError; openai-compatible "Hello" then stop, 7 tokens
TXT
diff wanted.txt seen.txt
