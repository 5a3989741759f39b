#!/usr/bin/env bash
# What the AI SDK makes of an earlier answer when it asks over Responses, its default for models of OpenAI's.
#
# @ai-sdk/openai 4.0.118 (ai 7.0.173) sends the next turn with `{"type":"item_reference","id":"msg_1"}` in place of what the
# assistant had said, though neither its own request says `store: true` nor the answer that it read: that one said
# `store: false`. A server that keeps nothing cannot answer the second turn at all. With `store: false` among the provider's
# options the text itself is sent. So a stateless server has to refuse in words that name the option.
#
# Seen:
#   as it is: {"type":"item_reference","id":"msg_1"}
#   store false: {"role":"assistant","content":"It is four."}
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 @ai-sdk/openai@4.0.118
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAI } from "@ai-sdk/openai"
import { generateText } from "ai"

const answer = {
  id: "resp_1",
  object: "response",
  created_at: 1,
  model: "m",
  status: "completed",
  store: false,
  output: [
    {
      type: "message",
      id: "msg_1",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "It is four.", annotations: [] }]
    }
  ],
  usage: {
    input_tokens: 1,
    output_tokens: 1,
    total_tokens: 2,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 }
  }
}
const bodies = []
const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  bodies.push(JSON.parse(text))
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const model = createOpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${server.address().port}/v1` })("m")
const asked = { role: "user", content: "2 + 2?" }
const first = await generateText({ model, messages: [asked] })
const messages = [asked, ...first.response.messages, { role: "user", content: "Sure?" }]
await generateText({ model, messages })
await generateText({ model, messages, providerOptions: { openai: { store: false } } })
server.close()
if (bodies.some(({ store }) => store === true)) throw new Error("it asks for what it refers to to be kept")
console.log(`as it is: ${JSON.stringify(bodies[1].input[1])}`)
console.log(`store false: ${JSON.stringify(bodies[2].input[1])}`)
JS
node run.mjs > seen.txt
cat seen.txt
cat > expected.txt <<'TXT'
as it is: {"type":"item_reference","id":"msg_1"}
store false: {"role":"assistant","content":"It is four."}
TXT
diff expected.txt seen.txt
