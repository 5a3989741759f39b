#!/usr/bin/env bash
# What the official SDK for Gemini hears of an event stream that other readers of event streams take as it is meant.
#
# @google/genai 3.3.0 raises at an error event only when its `code` is a number from 400 to 599: without a code, with one
# written as text, or with 600, the error counts as a piece of the answer without text, and the loop ends as after a whole one.
# A comment or an `event:` line right before `data:` takes the whole event with it, in silence; a comment with a blank line
# behind it does no harm. So a server that keeps connections alive by comments, or names its events, loses words.
#
# Seen:
#   error, code 503: 'half', raises ApiError 503
#   error, code "503": 'half', ends as if whole
#   error, code 600: 'half', ends as if whole
#   error, no code: 'half', ends as if whole
#   comment before data: 'half', ends as if whole
#   event before data: 'half', ends as if whole
#   comment apart: 'half and half', ends as if whole
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @google/genai@3.3.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { GoogleGenAI } from "@google/genai"

const piece = (text) =>
  `data: ${JSON.stringify({ candidates: [{ index: 0, content: { role: "model", parts: [{ text }] }, finishReason: "STOP" }] })}\n\n`
const failure = (code) => `data: ${JSON.stringify({ error: { code, message: "gone", status: "UNAVAILABLE" } })}\n\n`
const endings = {
  "error, code 503": failure(503),
  'error, code "503"': failure("503"),
  "error, code 600": failure(600),
  "error, no code": failure(undefined),
  "comment before data": `: still here\n${piece(" and half")}`,
  "event before data": `event: message\n${piece(" and half")}`,
  "comment apart": `: still here\n\n${piece(" and half")}`
}
let ending = ""
const server = http.createServer((request, response) => {
  request.resume()
  response.writeHead(200, { "content-type": "text/event-stream" }).end(piece("half") + ending)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseUrl = `http://127.0.0.1:${server.address().port}`
const { models } = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl } })
for (const [name, events] of Object.entries(endings)) {
  ending = events
  let text = ""
  let end = "ends as if whole"
  try {
    for await (const { text: said = "" } of await models.generateContentStream({ model: "m", contents: "Hello" })) text += said
  } catch (error) {
    end = `raises ${error.name} ${error.status}`
  }
  console.log(`${name}: '${text}', ${end}`)
}
server.close()
JS
node run.mjs > seen.txt
cat seen.txt
cat > expected.txt <<'TXT'
error, code 503: 'half', raises ApiError 503
error, code "503": 'half', ends as if whole
error, code 600: 'half', ends as if whole
error, no code: 'half', ends as if whole
comment before data: 'half', ends as if whole
event before data: 'half', ends as if whole
comment apart: 'half and half', ends as if whole
TXT
diff expected.txt seen.txt
