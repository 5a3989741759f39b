#!/usr/bin/env bash
# How Continue's adapters tell two calls of tools that Anthropic's API streams.
#
# @continuedev/openai-adapters 1.37.0 makes chunks of chat completions of them. Both calls get index 0, and a finish reason "stop" stands
# behind each, where OpenAI counts them and ends once, with "tool_calls". Who puts the pieces together by their index, as OpenAI's own
# helper does (openai 7.59.0), gets one call with the arguments of both; who stops at the first finish reason loses the second. The
# ids are right: read the calls by them.
#
# Seen:
#   chunks: 0 toolu_1 one({"n":1}), stop, 0 toolu_2 two({"n":2}), stop
#   put together by openai: two({"n":1}{"n":2})
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @continuedev/openai-adapters@1.37.0
mkdir helper
(cd helper && echo '{"private":true}' > package.json && npm install --silent --no-audit --no-fund --save-exact openai@7.59.0)
cat > main.mjs <<'JS'
import { createServer } from "node:http"
import { createRequire } from "node:module"

const require = createRequire(import.meta.url)
const { constructLlmApi } = require("@continuedev/openai-adapters")
const { ChatCompletionStream } = require("./helper/node_modules/openai/lib/ChatCompletionStream.js")

const event = (type, more = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null }
const call = (index, name) =>
  event("content_block_start", { index, content_block: { type: "tool_use", id: `toolu_${index + 1}`, name, input: {} } }) +
  event("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: `{"n":${index + 1}}` } }) +
  event("content_block_stop", { index })
const answer =
  event("message_start", { message: { ...message, usage: { input_tokens: 1, output_tokens: 1 } } }) +
  call(0, "one") +
  call(1, "two") +
  event("message_delta", { delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 2 } }) +
  event("message_stop")

const server = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(200, { "content-type": "text/event-stream" }).end(answer))
})
await new Promise((listening) => server.listen(0, "127.0.0.1", listening))
const api = constructLlmApi({ provider: "anthropic", apiKey: "none", apiBase: `http://127.0.0.1:${server.address().port}/v1/` })
const tool = (name) => ({ type: "function", function: { name, parameters: { type: "object", properties: { n: { type: "integer" } } } } })
const asked = { model: "m", messages: [{ role: "user", content: "Hello" }], stream: true, tools: [tool("one"), tool("two")] }

const chunks = []
for await (const chunk of api.chatCompletionStream(asked, new AbortController().signal)) chunks.push(chunk)
const told = chunks.flatMap(({ choices: [choice] }) => [
  ...(choice?.delta.tool_calls ?? []).map(({ function: f, id, index }) => `${index} ${id} ${f.name}(${f.arguments})`),
  ...(choice?.finish_reason ? [choice.finish_reason] : [])
])
console.log(`chunks: ${told.join(", ")}`)

const lines = new ReadableStream({
  start: (controller) => {
    // The helper wants to be told whose words they are.
    chunks[0].choices[0].delta.role ??= "assistant"
    for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(`${JSON.stringify(chunk)}\n`))
    controller.close()
  }
})
const { choices } = await ChatCompletionStream.fromReadableStream(lines).finalChatCompletion()
console.log(`put together by openai: ${choices[0].message.tool_calls.map((each) => `${each.function.name}(${each.function.arguments})`).join(" ")}`)
server.close()
JS
node main.mjs 2> log.txt | tee seen.txt || { cat log.txt; exit 1; }
cat > wanted.txt <<'TXT'
chunks: 0 toolu_1 one({"n":1}), stop, 0 toolu_2 two({"n":2}), stop
put together by openai: two({"n":1}{"n":2})
TXT
diff wanted.txt seen.txt
