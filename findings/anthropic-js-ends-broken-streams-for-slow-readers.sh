#!/usr/bin/env bash
# What the stream helper of Anthropic's official SDK for JavaScript tells of a stream that broke, to a loop that works on each piece.
#
# `messages.stream()` of @anthropic-ai/sdk 1.14.0 reads ahead of the loop over it. What goes wrong is told to a loop that waits for the next
# piece, and kept for nobody: one that still works on a piece when an error event comes, or when the connection breaks, gets the
# pieces that are left, and then ends as after a whole answer. A loop that only adds up raises, so that tests pass; `create` with
# `stream: true` always does, and so do the helpers of openai 7.59.0, of the same origin. No server can help it: who works in the loop
# awaits `finalMessage()` behind it, or looks for `message_stop`.
#
# Seen (a loop that waits 20 ms at each piece; one that does not raises everywhere):
#   anthropic, error event: stream() "half an " ends, create "half an " raises
#   anthropic, connection breaks: stream() "half an " ends, create "half an " raises
#   openai chat, error event: stream() "half an " raises, create "half an " raises
#   openai chat, connection breaks: stream() "half an " raises, create "half an " raises
#   openai responses, error event: stream() "half an " raises, create "half an " raises
#   openai responses, connection breaks: stream() "half an " raises, create "half an " raises
#   a loop that does not wait: raises 12 of 12
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @anthropic-ai/sdk@1.14.0 openai@7.59.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const named = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
const words = ["half ", "an "]

const message = { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } }
const piece = (content) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`
const response = { id: "r", object: "response", created_at: 1, model: "m", status: "in_progress", output: [], parallel_tool_calls: true, tools: [] }
const place = { item_id: "i", output_index: 0, content_index: 0 }
const text = { type: "output_text", text: "", annotations: [] }
const item = { id: "i", type: "message", role: "assistant", status: "in_progress", content: [] }

const pieces = {
  "/v1/messages": [
    named({ type: "message_start", message }),
    named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    ...words.map((each) => named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: each } }))
  ],
  "/v1/chat/completions": words.map(piece),
  "/v1/responses": [
    named({ type: "response.created", sequence_number: 0, response }),
    named({ type: "response.output_item.added", sequence_number: 1, output_index: 0, item }),
    named({ type: "response.content_part.added", sequence_number: 2, ...place, part: text }),
    ...words.map((delta, at) => named({ type: "response.output_text.delta", sequence_number: 3 + at, ...place, delta, logprobs: [] }))
  ]
}
const errors = {
  "/v1/messages": named({ type: "error", error: { type: "overloaded_error", message: "out of memory" } }),
  "/v1/chat/completions": 'data: {"error":{"message":"out of memory"}}\n\n',
  "/v1/responses": named({ type: "error", sequence_number: 5, code: "server_error", message: "out of memory", param: null })
}

let breaks = false
const server = http.createServer(async (request, answer) => {
  request.resume()
  await once(request, "end")
  answer.writeHead(200, { "content-type": "text/event-stream" })
  const [first, ...rest] = pieces[request.url]
  answer.write(first)
  await later(50)
  answer.write(rest.join("") + (breaks ? "" : errors[request.url]))
  // What was written is with the client by then.
  if (breaks) await later(5)
  if (breaks) answer.destroy()
  else answer.end()
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const url = `http://127.0.0.1:${server.address().port}`
const anthropic = new Anthropic({ apiKey: "none", baseURL: url, maxRetries: 0 })
const openai = new OpenAI({ apiKey: "none", baseURL: `${url}/v1`, maxRetries: 0 })
const messages = [{ role: "user", content: "Hello" }]
const ofMessages = { model: "m", max_tokens: 10, messages }
const ways = {
  anthropic: {
    "stream()": () => anthropic.messages.stream(ofMessages),
    create: () => anthropic.messages.create({ ...ofMessages, stream: true })
  },
  "openai chat": {
    "stream()": () => openai.chat.completions.stream({ model: "m", messages }),
    create: () => openai.chat.completions.create({ model: "m", messages, stream: true })
  },
  "openai responses": {
    "stream()": () => openai.responses.stream({ model: "m", input: "Hello" }),
    create: () => openai.responses.create({ model: "m", input: "Hello", stream: true })
  }
}
const textOf = (event) => event.choices?.[0]?.delta?.content ?? event.delta?.text ?? (typeof event.delta === "string" ? event.delta : "")
const read = async (open, wait) => {
  let said = ""
  try {
    for await (const event of await open()) {
      said += textOf(event)
      if (wait) await later(20)
    }
    return `"${said}" ends`
  } catch {
    return `"${said}" raises`
  }
}
let raised = 0
for (const [name, each] of Object.entries(ways)) {
  for (breaks of [false, true]) {
    const told = []
    for (const [way, open] of Object.entries(each)) {
      told.push(`${way} ${await read(open, true)}`)
      if ((await read(open, false)).endsWith("raises")) raised += 1
    }
    console.log(`${name}, ${breaks ? "connection breaks" : "error event"}: ${told.join(", ")}`)
  }
}
console.log(`a loop that does not wait: raises ${raised} of 12`)
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
anthropic, error event: stream() "half an " ends, create "half an " raises
anthropic, connection breaks: stream() "half an " ends, create "half an " raises
openai chat, error event: stream() "half an " raises, create "half an " raises
openai chat, connection breaks: stream() "half an " raises, create "half an " raises
openai responses, error event: stream() "half an " raises, create "half an " raises
openai responses, connection breaks: stream() "half an " raises, create "half an " raises
a loop that does not wait: raises 12 of 12
TXT
diff wanted.txt seen.txt
