#!/usr/bin/env bash
# Which thoughts, refusals and token counts the providers of the AI SDK read from one and the same stream of chat completions.
#
# ai 7.0.173 with its providers for servers that all speak OpenAI's chat completions. Thoughts are read by one name each:
# @ai-sdk/deepseek 3.0.56 by `reasoning_content` alone, @ai-sdk/groq 4.0.84 by `reasoning` alone, @ai-sdk/openai-compatible 3.0.92
# by either. @ai-sdk/openai 4.0.118 reads none. A refusal in `delta.refusal` is text with the finish reason content-filter, though the
# server said `stop`, to @ai-sdk/openai and @ai-sdk/openai-compatible; to the others the answer is empty and ended well. And
# @ai-sdk/groq counts no tokens where the server says `usage`: it looks into `x_groq` alone. A server before all of them says
# thoughts by both names, and refusals that are to be seen as text.
#
# Seen:
#   reasoning_content: deepseek reasoning, groq nothing, openai nothing, openai-compatible reasoning
#   reasoning: deepseek nothing, groq reasoning, openai nothing, openai-compatible reasoning
#   refusal: deepseek nothing and stop, groq nothing and stop, openai text and content-filter, openai-compatible text and content-filter
#   usage: deepseek 7, groq undefined, openai 7, openai-compatible 7
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 \
  @ai-sdk/deepseek@3.0.56 @ai-sdk/groq@4.0.84 @ai-sdk/openai@4.0.118 @ai-sdk/openai-compatible@3.0.92
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createDeepSeek } from "@ai-sdk/deepseek"
import { createGroq } from "@ai-sdk/groq"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { streamText } from "ai"

let delta = {}
const server = http.createServer((request, response) => {
  request.resume()
  const piece = (choices, more = {}) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices, ...more })
  const pieces = [
    piece([{ index: 0, delta: { role: "assistant", ...delta }, finish_reason: null }]),
    piece([{ index: 0, delta: {}, finish_reason: "stop" }]),
    piece([], { usage: { prompt_tokens: 7, completion_tokens: 1, total_tokens: 8 } })
  ]
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end([...pieces.map((each) => JSON.stringify(each)), "[DONE]"].map((each) => `data: ${each}\n\n`).join(""))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const settings = { apiKey: "none", baseURL: `http://127.0.0.1:${server.address().port}/v1` }
const models = {
  deepseek: createDeepSeek(settings)("m"),
  groq: createGroq(settings)("m"),
  openai: createOpenAI(settings).chat("m"),
  "openai-compatible": createOpenAICompatible({ ...settings, name: "own", includeUsage: true })("m")
}
const told = async (more, tell) => {
  delta = more
  const all = []
  for (const [who, model] of Object.entries(models)) {
    const parts = []
    for await (const part of streamText({ model, prompt: "Hello", maxRetries: 0 }).fullStream) parts.push(part)
    const seen = parts.find(({ type }) => type === "text-delta" || type === "reasoning-delta")
    all.push(`${who} ${tell(seen?.type.slice(0, -"-delta".length) ?? "nothing", parts.find(({ type }) => type === "finish"))}`)
  }
  return all.join(", ")
}
console.log(`reasoning_content: ${await told({ reasoning_content: "Hm." }, (seen) => seen)}`)
console.log(`reasoning: ${await told({ reasoning: "Hm." }, (seen) => seen)}`)
console.log(`refusal: ${await told({ refusal: "I cannot." }, (seen, { finishReason }) => `${seen} and ${finishReason}`)}`)
console.log(`usage: ${await told({ content: "Hello" }, (_, { totalUsage }) => totalUsage.inputTokens)}`)
server.close()
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
reasoning_content: deepseek reasoning, groq nothing, openai nothing, openai-compatible reasoning
reasoning: deepseek nothing, groq reasoning, openai nothing, openai-compatible reasoning
refusal: deepseek nothing and stop, groq nothing and stop, openai text and content-filter, openai-compatible text and content-filter
usage: deepseek 7, groq undefined, openai 7, openai-compatible 7
TXT
diff wanted.txt seen.txt
