#!/usr/bin/env bash
# What LangChain makes of a tool call that was cut off since the model had used up its tokens.
#
# @langchain/openai 1.6.0 (@langchain/core 1.4.0) mends the arguments of a streamed call as far as they came, and hands the call
# out among `tool_calls`, as if the model had said all of it: what was to be removed may have been `/data/attic`, and is `/data/a`.
# `invalid_tool_calls` is empty; only `finish_reason` says "length". The same answer not streamed has the call among the
# invalid ones, and the AI SDK (ai 7.0.173) marks it as invalid in both.
#
# Seen:
#   langchain, streamed: tool_calls [{"path":"/data/a"}], invalid 0, length
#   langchain, whole: tool_calls [], invalid 1, length
#   ai, streamed: tool call invalid true, length
#   ai, whole: tool call invalid true, length
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @langchain/core@1.4.0 @langchain/openai@1.6.0 ai@7.0.173 \
  @ai-sdk/openai-compatible@3.0.92
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ChatOpenAI } from "@langchain/openai"
import { generateText, jsonSchema, streamText, tool } from "ai"

const call = (text) => ({ id: "a", type: "function", function: { name: "remove", arguments: text } })
const base = { id: "c", created: 1, model: "m" }
const chunk = (delta, finish) =>
  `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const stream =
  chunk({ role: "assistant", tool_calls: [{ index: 0, ...call('{"path":') }] }, null) +
  chunk({ tool_calls: [{ index: 0, function: { arguments: '"/data/a' } }] }, null) +
  `${chunk({}, "length")}data: [DONE]\n\n`
const whole = JSON.stringify({
  ...base,
  object: "chat.completion",
  choices: [
    { index: 0, message: { role: "assistant", content: null, tool_calls: [call('{"path":"/data/a')] }, finish_reason: "length" }
  ]
})
const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  const streamed = JSON.parse(text).stream === true
  response.writeHead(200, { "content-type": streamed ? "text/event-stream" : "application/json" }).end(streamed ? stream : whole)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const parameters = { type: "object", properties: { path: { type: "string" } }, required: ["path"] }

const chain = new ChatOpenAI({ apiKey: "none", model: "m", configuration: { baseURL } }).bindTools([
  { type: "function", function: { name: "remove", parameters } }
])
const ofChain = ({ tool_calls, invalid_tool_calls, response_metadata }) =>
  `tool_calls ${JSON.stringify(tool_calls.map(({ args }) => args))}, invalid ${invalid_tool_calls.length}, ${response_metadata.finish_reason}`
let message
for await (const piece of await chain.stream("Tidy up")) message = message === undefined ? piece : message.concat(piece)
console.log(`langchain, streamed: ${ofChain(message)}`)
console.log(`langchain, whole: ${ofChain(await chain.invoke("Tidy up"))}`)

const options = {
  model: createOpenAICompatible({ name: "local", baseURL })("m"),
  prompt: "Tidy up",
  tools: { remove: tool({ inputSchema: jsonSchema(parameters) }) }
}
const ofAi = ([{ invalid }], finish) => `tool call invalid ${invalid === true}, ${finish}`
const streamed = streamText(options)
await streamed.consumeStream()
console.log(`ai, streamed: ${ofAi(await streamed.toolCalls, await streamed.finishReason)}`)
const { toolCalls, finishReason } = await generateText(options)
console.log(`ai, whole: ${ofAi(toolCalls, finishReason)}`)
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
langchain, streamed: tool_calls [{"path":"/data/a"}], invalid 0, length
langchain, whole: tool_calls [], invalid 1, length
ai, streamed: tool call invalid true, length
ai, whole: tool call invalid true, length
TXT
diff wanted.txt seen.txt
