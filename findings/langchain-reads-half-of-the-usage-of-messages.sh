#!/usr/bin/env bash
# What LangChain counts of a stream of Anthropic's Messages, in Python and in JavaScript.
#
# `message_start` tells the prompt and a first count of the answer, `message_delta` the final count of the answer and often of the
# prompt again; all of them are totals so far. langchain-anthropic 1.7.10 (Python) reads `message_delta` alone: where a server tells only
# the answer there, prompts count 0. @langchain/anthropic 1.5.11 (JavaScript) takes the prompt from `message_start` alone, and adds
# both counts of the answer up. The AI SDK takes what came last of each. So a gateway that learns the prompt's count at the end had
# better tell it in `message_delta` with all its parts, and begin the answer's count at 0.
#
# Seen, prompt + answer, of 16 + 5 told at first, or 18 + 5 told at last:
#   told at first: Python 0 + 5, JavaScript 16 + 6, AI SDK 16 + 5
#   told again at last: Python 18 + 5, JavaScript 16 + 6, AI SDK 18 + 5
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check anthropic==2.14.0 langchain-anthropic==1.7.10
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @langchain/anthropic@1.5.11 @langchain/core@1.4.0 ai@6.0.326 @ai-sdk/anthropic@3.0.140
cat > run.py <<'PY'
import sys

from langchain_anthropic import ChatAnthropic

whole = None
for piece in ChatAnthropic(model="claude-sonnet-4-5", api_key="none", base_url=sys.argv[1], max_retries=0).stream("Hello"):
    whole = piece if whole is None else whole + piece
print(whole.usage_metadata["input_tokens"], "+", whole.usage_metadata["output_tokens"])
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import { createAnthropic } from "@ai-sdk/anthropic"
import { ChatAnthropic } from "@langchain/anthropic"
import { streamText } from "ai"

const event = (type, value) => `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`
const prompt = (input_tokens) => ({ input_tokens, cache_read_input_tokens: 4, cache_creation_input_tokens: 2 })
const message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-4-5",
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: { ...prompt(10), output_tokens: 1 }
}
const stream = (usage) =>
  event("message_start", { message }) +
  event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }) +
  event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Hello to you." } }) +
  event("content_block_stop", { index: 0 }) +
  event("message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage }) +
  event("message_stop", {})
let now = ""
const server = http.createServer(async (request, response) => {
  for await (const _ of request);
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end(now)
})
await once(server.listen(0, "127.0.0.1"), "listening")
const url = `http://127.0.0.1:${server.address().port}`

const python = async () => (await promisify(execFile)("venv/bin/python", ["run.py", url])).stdout.trim()
const javascript = async () => {
  const model = new ChatAnthropic({ model: "claude-sonnet-4-5", apiKey: "none", anthropicApiUrl: url, maxRetries: 0 })
  let whole
  for await (const piece of await model.stream("Hello")) whole = whole?.concat(piece) ?? piece
  return `${whole.usage_metadata.input_tokens} + ${whole.usage_metadata.output_tokens}`
}
const aiSdk = async () => {
  const model = createAnthropic({ baseURL: url, apiKey: "none" })("claude-sonnet-4-5")
  const { inputTokens, outputTokens } = await streamText({ model, prompt: "Hello", maxRetries: 0 }).usage
  return `${inputTokens} + ${outputTokens}`
}
for (const [name, usage] of [
  ["told at first", { output_tokens: 5 }],
  ["told again at last", { ...prompt(12), output_tokens: 5 }]
]) {
  now = stream(usage)
  console.log(`${name}: Python ${await python()}, JavaScript ${await javascript()}, AI SDK ${await aiSdk()}`)
}
server.close()
JS
node run.mjs 2> log | tee seen || { tail -20 log >&2; exit 1; }
cat > expected <<'TXT'
told at first: Python 0 + 5, JavaScript 16 + 6, AI SDK 16 + 5
told again at last: Python 18 + 5, JavaScript 16 + 6, AI SDK 18 + 5
TXT
diff expected seen
