#!/usr/bin/env bash
# What JavaScript frameworks make of an error event in a stream of Gemini's API.
#
# The official SDK raises it. @genkit-ai/google-genai 1.42.0 (genkit 1.42.0) and @langchain/google-genai 2.3.2 (@langchain/core
# 1.4.0) know no such event: where the body ends behind it, what came so far is the answer, and nothing was amiss. Only a
# connection that breaks behind the event, its last chunk left out, is an error to both, though without the server's words, and
# costs the official SDK (@google/genai 3.3.0) nothing.
#
# Seen:
#   the body ends: @google/genai "half an ", then raises "out of memory"; Genkit "half an ", whole; LangChain "half an ", whole
#   the connection breaks: @google/genai "half an ", then raises "out of memory"; Genkit "half an ", then raises; LangChain "half an ", then raises
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @google/genai@3.3.0 genkit@1.42.0 @genkit-ai/google-genai@1.42.0 \
  @langchain/core@1.4.0 @langchain/google-genai@2.3.2
cat > run.mjs <<'JS'
import { once } from "node:events"
import net from "node:net"
import { googleAI } from "@genkit-ai/google-genai"
import { GoogleGenAI } from "@google/genai"
import { ChatGoogleGenerativeAI } from "@langchain/google-genai"
import { genkit } from "genkit"

const event = (body) => `data: ${JSON.stringify(body)}\r\n\r\n`
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
const half = { candidates: [{ content: { role: "model", parts: [{ text: "half an " }] }, index: 0 }], modelVersion: "gemini-2.5-flash" }
const failure = { error: { code: 503, message: "out of memory", status: "UNAVAILABLE" } }
let lastChunk
const server = net.createServer((socket) => {
  socket.on("error", () => {})
  socket.once("data", () => {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    socket.write(head + chunk(event(half)))
    setTimeout(() => socket.write(chunk(event(failure))), 100)
    setTimeout(() => socket.end(lastChunk), 200)
  })
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseUrl = `http://127.0.0.1:${server.address().port}`
const model = "gemini-2.5-flash"

const clients = {
  "@google/genai": async function* () {
    const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl } })
    for await (const piece of await client.models.generateContentStream({ model, contents: "Hello" })) yield piece.text
  },
  Genkit: async function* () {
    const kit = genkit({ plugins: [googleAI({ apiKey: "none", baseUrl })] })
    const { stream, response } = kit.generateStream({ model: googleAI.model(model), prompt: "Hello" })
    response.catch(() => {})
    for await (const piece of stream) yield piece.text
    await response
  },
  LangChain: async function* () {
    const chain = new ChatGoogleGenerativeAI({ apiKey: "none", model, baseUrl, maxRetries: 0 })
    for await (const piece of await chain.stream("Hello")) yield piece.text
  }
}
const heard = async (client) => {
  let text = ""
  try {
    for await (const piece of client()) text += piece
    return `${JSON.stringify(text)}, whole`
  } catch (error) {
    return `${JSON.stringify(text)}, then raises${/out of memory/.test(String(error)) ? ' "out of memory"' : ""}`
  }
}
for (const [end, last] of [
  ["the body ends", "0\r\n\r\n"],
  ["the connection breaks", ""]
]) {
  lastChunk = last
  const all = []
  for (const [name, client] of Object.entries(clients)) all.push(`${name} ${await heard(client)}`)
  console.log(`${end}: ${all.join("; ")}`)
}
process.exit(0)
JS
node run.mjs 2> log.txt | tee seen.txt
cat > wanted.txt <<'TXT'
the body ends: @google/genai "half an ", then raises "out of memory"; Genkit "half an ", whole; LangChain "half an ", whole
the connection breaks: @google/genai "half an ", then raises "out of memory"; Genkit "half an ", then raises; LangChain "half an ", then raises
TXT
diff wanted.txt seen.txt
