#!/usr/bin/env bash
# What a server of Ollama's API hears of the AI SDK's `abortSignal`, by either community provider.
#
# With ai-sdk-ollama 4.3.0 (ai 7.0.173) the loop over an aborted stream ends, and the request goes on: the connection stays, and the model
# writes to the end for nobody. The same of a whole answer. ollama-ai-provider-v2 4.0.1 hangs up in both, as @ai-sdk/openai-compatible
# 3.0.92 does. So a time limit or a button that stops frees no slot; a gateway cannot know of it.
#
# Seen (an answer of forty pieces in two seconds, aborted behind the first, or after 300 ms):
#   ai-sdk-ollama: streamed answered to the end, whole answered to the end
#   ollama-ai-provider-v2: streamed hangs up, whole hangs up
#   openai-compatible: streamed hangs up, whole hangs up
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --legacy-peer-deps --save-exact ai@7.0.173 ai-sdk-ollama@4.3.0 ollama-ai-provider-v2@4.0.1 \
  @ai-sdk/openai-compatible@3.0.92 zod@4.6.7
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText, streamText } from "ai"
import { createOllama as createSdkOllama } from "ai-sdk-ollama"
import { createOllama } from "ollama-ai-provider-v2"

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const line = (content, done) => ({ model: "m", created_at: "2026-01-01T00:00:00Z", message: { role: "assistant", content }, done })
const chunk = (delta, finish) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })
const last = { ...line("", true), done_reason: "stop", prompt_eval_count: 1, eval_count: 40 }
let heard
const server = http.createServer(async (request, answer) => {
  let text = ""
  for await (const piece of request) text += piece
  const { stream } = JSON.parse(text)
  heard = new Promise((resolve) => answer.on("close", () => resolve(answer.writableEnded ? "answered to the end" : "hangs up")))
  const native = request.url.startsWith("/api")
  answer.writeHead(200, { "content-type": native ? "application/x-ndjson" : "text/event-stream" })
  for (let at = 0; at < 40 && !answer.destroyed; at += 1) {
    if (stream) answer.write(native ? `${JSON.stringify(line("w ", false))}\n` : `data: ${JSON.stringify(chunk({ content: "w " }, null))}\n\n`)
    await later(50)
  }
  if (answer.destroyed) return
  if (native) answer.end(`${JSON.stringify(stream ? last : { ...last, message: { role: "assistant", content: "w" } })}\n`)
  else answer.end(`data: ${JSON.stringify(chunk({}, "stop"))}\n\ndata: [DONE]\n\n`)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const url = `http://127.0.0.1:${server.address().port}`
const models = {
  "ai-sdk-ollama": createSdkOllama({ baseURL: url })("m"),
  "ollama-ai-provider-v2": createOllama({ baseURL: `${url}/api` })("m"),
  "openai-compatible": createOpenAICompatible({ name: "local", baseURL: `${url}/v1` })("m")
}
for (const [name, model] of Object.entries(models)) {
  const abort = new AbortController()
  const { textStream } = streamText({ model, prompt: "Go", abortSignal: abort.signal, maxRetries: 0, onError: () => undefined })
  try {
    for await (const _ of textStream) abort.abort()
  } catch {
    // An abort may raise.
  }
  const streamed = await heard
  const limit = AbortSignal.timeout(300)
  await generateText({ model, prompt: "Go", abortSignal: limit, maxRetries: 0 }).catch(() => undefined)
  console.log(`${name}: streamed ${streamed}, whole ${await heard}`)
}
process.exit(0)
JS
node run.mjs 2> log.txt | tee seen.txt
cat > wanted.txt <<'TXT'
ai-sdk-ollama: streamed answered to the end, whole answered to the end
ollama-ai-provider-v2: streamed hangs up, whole hangs up
openai-compatible: streamed hangs up, whole hangs up
TXT
diff wanted.txt seen.txt
