#!/usr/bin/env bash
# What the AI SDK makes of `"error": null`, which a server writes that has one type for all of its answers.
#
# @ai-sdk/openai-compatible 3.0.92 (ai 7.0.173): in a stream, any `error` that is there makes an error of its piece, null as well.
# The words of the piece are dropped, and yet the answer ends as a good one: the text is empty and `textStream` says nothing. The
# same field in an answer that is not streamed does no harm. @huggingface/inference 4.13.30 raises at it; openai 7.59.0 does not
# mind. A gateway that passes pieces on takes a null error out.
#
# Seen:
#   no error: ai "one two" stop, textStream "one two", huggingface "one two", openai "one two"
#   error null, second piece: ai "one " error stop, textStream "one ", huggingface "one " raises, openai "one two"
#   error null, whole answer: ai "one two" stop
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 @ai-sdk/openai-compatible@3.0.92 \
  @huggingface/inference@4.13.30 openai@7.59.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { InferenceClient } from "@huggingface/inference"
import { generateText, streamText } from "ai"
import OpenAI from "openai"

const base = { id: "c", created: 1, model: "m" }
const chunk = (delta, finish, more) => {
  const choices = [{ index: 0, delta, finish_reason: finish }]
  return `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices, ...more })}\n\n`
}
let more = {}
const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  if (JSON.parse(text).stream === true) {
    const pieces = [chunk({ role: "assistant", content: "one " }, null), chunk({ content: "two" }, null, more), chunk({}, "stop")]
    response.writeHead(200, { "content-type": "text/event-stream" }).end(`${pieces.join("")}data: [DONE]\n\n`)
  } else {
    const choices = [{ index: 0, message: { role: "assistant", content: "one two" }, finish_reason: "stop" }]
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ ...base, object: "chat.completion", choices, ...more }))
  }
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const asked = [{ role: "user", content: "Hello" }]
const options = { model: createOpenAICompatible({ name: "local", baseURL })("m"), prompt: "Hello", maxRetries: 0 }
const streamOf = () => streamText({ ...options, onError: () => {} })

const ai = async () => {
  let text = ""
  const told = []
  for await (const part of streamOf().fullStream) {
    if (part.type === "text-delta") text += part.text
    if (part.type === "error") told.push("error")
    if (part.type === "finish") told.push(part.finishReason)
  }
  return [JSON.stringify(text), ...told].join(" ")
}
const textOf = async (open, contentOf) => {
  let text = ""
  try {
    for await (const part of await open()) text += contentOf(part)
  } catch {
    return `${JSON.stringify(text)} raises`
  }
  return JSON.stringify(text)
}
const content = ({ choices }) => choices[0].delta.content ?? ""
const openai = new OpenAI({ apiKey: "none", baseURL, maxRetries: 0 })
const huggingface = new InferenceClient("none", { endpointUrl: baseURL })
for (const [name, fields] of Object.entries({ "no error": {}, "error null, second piece": { error: null } })) {
  more = fields
  const told = [
    `ai ${await ai()}`,
    `textStream ${await textOf(() => streamOf().textStream, (text) => text)}`,
    `huggingface ${await textOf(() => huggingface.chatCompletionStream({ model: "m", messages: asked }), content)}`,
    `openai ${await textOf(() => openai.chat.completions.create({ model: "m", messages: asked, stream: true }), content)}`
  ]
  console.log(`${name}: ${told.join(", ")}`)
}
const { text, finishReason } = await generateText(options)
console.log(`error null, whole answer: ai ${JSON.stringify(text)} ${finishReason}`)
process.exit(0)
JS
node run.mjs 2> errors.txt | tee seen.txt
cat > wanted.txt <<'TXT'
no error: ai "one two" stop, textStream "one two", huggingface "one two", openai "one two"
error null, second piece: ai "one " error stop, textStream "one ", huggingface "one " raises, openai "one two"
error null, whole answer: ai "one two" stop
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
