#!/usr/bin/env bash
# What JavaScript frameworks make of a call whose `arguments` are an empty string.
#
# A stream of OpenAI's begins each call with `"arguments": ""`, and a server that has nothing to add for a function without
# parameters leaves it at that. @langchain/openai 1.5.8 takes it for {} in a stream and for an invalid call in a whole answer:
# `tool_calls` is empty, nothing raises, and an agent's turn ends there. @llamaindex/openai 0.4.22 raises in both. The AI SDK
# 6.0.326 takes it for {} in both. With {} all of them call the tool, so that is what a gateway had better write.
#
# Seen:
#   {}: LangChain streamed [{}] whole [{}], LlamaIndex streamed runs whole runs, AI SDK streamed [{}] whole [{}]
#   nothing: LangChain streamed [{}] whole [], LlamaIndex streamed raises SyntaxError whole raises SyntaxError, AI SDK streamed [{}] whole [{}]
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @langchain/openai@1.5.8 @langchain/core@1.4.0 \
  llamaindex@0.12.1 @llamaindex/openai@0.4.22 zod@4.6.7 ai@6.0.326 @ai-sdk/openai-compatible@2.0.92
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { ChatOpenAI } from "@langchain/openai"
import { OpenAI } from "@llamaindex/openai"
import { generateText, jsonSchema, streamText, tool as sdkTool } from "ai"
import { tool } from "llamaindex"
import { z } from "zod"

let args = ""
const answer = (streamed) => {
  const call = { id: "a", type: "function", function: { name: "one", arguments: args } }
  const said = { role: "assistant", content: null, tool_calls: [streamed ? { index: 0, ...call } : call] }
  const of = (choice, object) => JSON.stringify({ id: "c", object, created: 1, model: "m", choices: [{ index: 0, ...choice }] })
  const chunk = (delta, finish_reason) => `data: ${of({ delta, finish_reason }, "chat.completion.chunk")}\n\n`
  return streamed
    ? chunk(said, null) + chunk({}, "tool_calls") + "data: [DONE]\n\n"
    : of({ message: said, finish_reason: "tool_calls" }, "chat.completion")
}
const server = http.createServer(async (request, response) => {
  let body = ""
  for await (const piece of request) body += piece
  const { stream = false } = JSON.parse(body)
  response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" })
  response.end(answer(stream))
})
await once(server.listen(0, "127.0.0.1"), "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`

const langchain = async (stream) => {
  const model = new ChatOpenAI({ model: "m", apiKey: "none", configuration: { baseURL }, maxRetries: 0 })
  let message
  if (stream) for await (const piece of await model.stream("Hello")) message = message?.concat(piece) ?? piece
  else message = await model.invoke("Hello")
  return JSON.stringify((message.tool_calls ?? []).map((call) => call.args))
}
const llamaindex = async (stream) => {
  let ran = "runs nothing"
  const execute = () => {
    ran = "runs"
    return "done"
  }
  const tools = [tool({ name: "one", description: "one", parameters: z.object({}), execute })]
  const model = new OpenAI({ model: "m", apiKey: "none", baseURL, maxRetries: 0 })
  try {
    const result = await model.exec({ messages: [{ role: "user", content: "Hello" }], tools, stream })
    if (stream) for await (const _ of result.stream);
    return ran
  } catch (error) {
    return `raises ${error.name}`
  }
}
const aiSdk = async (stream) => {
  const model = createOpenAICompatible({ name: "s", baseURL, apiKey: "none" })("m")
  const tools = { one: sdkTool({ description: "one", inputSchema: jsonSchema({ type: "object", properties: {} }) }) }
  const calls = await (stream ? streamText : generateText)({ model, prompt: "Hello", tools, maxRetries: 0 })
  return JSON.stringify((await calls.toolCalls).map(({ input }) => input))
}
for (const [name, given] of [
  ["{}", "{}"],
  ["nothing", ""]
]) {
  args = given
  const each = []
  for (const [who, read] of Object.entries({ LangChain: langchain, LlamaIndex: llamaindex, "AI SDK": aiSdk }))
    each.push(`${who} streamed ${await read(true)} whole ${await read(false)}`)
  console.log(`${name}: ${each.join(", ")}`)
}
server.close()
process.exit(0)
JS
node run.mjs > all 2> log || { tail -20 log >&2; exit 1; }
grep -E '^(\{\}|nothing): ' all | tee seen
cat > expected <<'TXT'
{}: LangChain streamed [{}] whole [{}], LlamaIndex streamed runs whole runs, AI SDK streamed [{}] whole [{}]
nothing: LangChain streamed [{}] whole [], LlamaIndex streamed raises SyntaxError whole raises SyntaxError, AI SDK streamed [{}] whole [{}]
TXT
diff expected seen
