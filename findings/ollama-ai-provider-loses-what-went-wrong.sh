#!/usr/bin/env bash
# What the AI SDK hears through Ollama's provider when a model fails.
#
# ollama-ai-provider-v2 4.0.1 (ai 7.0.173) tells a refusal by the name of its status alone: "Bad Request", whatever the body says. A
# line with an error in a stream, the form in which Ollama tells that its model died, is written to the console as one that does
# not parse, and the answer ends after half of it, for a reason "other" and without an error; so it does where no last line comes.
# Ollama's own package (ollama 0.6.4) raises the words. So a server of this provider breaks the connection behind an error line.
#
# Seen:
#   status 400: ai "" error "Bad Request", ollama "" raises "the prompt is too long"
#   an error line: ai "half an " finish other, ollama "half an " raises "out of memory"
#   no last line: ai "half an " finish other, ollama "half an " raises "Did not receive done or success response in stream."
#   an error line, then cut: ai "half an " raises "terminated", ollama "half an " raises "out of memory"
#   a whole answer: ai "half an " finish stop, ollama "half an "
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ai@7.0.173 ollama-ai-provider-v2@4.0.1 ollama@0.6.4
cat > main.mjs <<'JS'
import { createServer } from "node:http"
import { streamText } from "ai"
import { Ollama } from "ollama"
import { createOllama } from "ollama-ai-provider-v2"

console.error = () => {}
console.warn = () => {}
const line = (says) => `${JSON.stringify({ model: "m", created_at: "2026-01-01T00:00:00Z", ...says })}\n`
const half = line({ message: { role: "assistant", content: "half an " }, done: false })
const last = line({ message: { role: "assistant", content: "" }, done: true, done_reason: "stop", prompt_eval_count: 1, eval_count: 1 })
const failed = '{"error":"out of memory"}\n'

let now
const server = createServer((request, answer) => {
  request.resume().on("end", () => {
    const { body, cut = false, status = 200 } = now
    answer.writeHead(status, { "content-type": status === 200 ? "application/x-ndjson" : "application/json" })
    answer.write(body, () => (cut ? setTimeout(() => answer.destroy(), 100) : answer.end()))
  })
})
await new Promise((listening) => server.listen(0, "127.0.0.1", listening))
const base = `http://127.0.0.1:${server.address().port}`

const byAi = async () => {
  const model = createOllama({ baseURL: `${base}/api` })("m")
  const { fullStream } = streamText({ model, prompt: "Hello", maxRetries: 0, onError: () => {} })
  let text = ""
  let end = ""
  try {
    for await (const part of fullStream) {
      if (part.type === "text-delta") text += part.text
      else if (part.type === "error") end += ` error "${part.error.message}"`
      else if (part.type === "finish" && end === "") end = ` finish ${part.finishReason}`
    }
  } catch (error) {
    end += ` raises "${error.message}"`
  }
  return `"${text}"${end}`
}

const byOllama = async () => {
  let text = ""
  try {
    const asked = { model: "m", messages: [{ role: "user", content: "Hello" }], stream: true }
    for await (const piece of await new Ollama({ host: base }).chat(asked)) text += piece.message.content
  } catch (error) {
    return `"${text}" raises "${error.message}"`
  }
  return `"${text}"`
}

for (const [name, what] of [
  ["status 400", { status: 400, body: '{"error":"the prompt is too long"}' }],
  ["an error line", { body: half + failed }],
  ["no last line", { body: half }],
  ["an error line, then cut", { body: half + failed, cut: true }],
  ["a whole answer", { body: half + last }]
]) {
  now = what
  process.stdout.write(`${name}: ai ${await byAi()}, ollama ${await byOllama()}\n`)
}
server.close()
JS
node main.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
status 400: ai "" error "Bad Request", ollama "" raises "the prompt is too long"
an error line: ai "half an " finish other, ollama "half an " raises "out of memory"
no last line: ai "half an " finish other, ollama "half an " raises "Did not receive done or success response in stream."
an error line, then cut: ai "half an " raises "terminated", ollama "half an " raises "out of memory"
a whole answer: ai "half an " finish stop, ollama "half an "
TXT
diff wanted.txt seen.txt
