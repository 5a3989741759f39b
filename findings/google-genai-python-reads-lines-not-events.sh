#!/usr/bin/env bash
# What the official SDK for Gemini in Python hears of an event stream: not what that in JavaScript hears.
#
# google-genai 3.6.1 takes every line that does not begin with `data: ` for JSON: a comment ends the answer in an error, apart
# from an event as well, where @google/genai 3.3.0 reads on, and so does a `data:` without a blank behind it. An event whose data
# takes several lines is read, where JavaScript raises. An error event without a number for its code, with which JavaScript's loop
# ends as after a whole answer, raises a TypeError. So there is no comment that keeps a stream to both alive.
#
# Seen:
#   comment apart: python 'half' raises UnknownApiResponseError, javascript 'half and half'
#   no blank: python 'half' raises UnknownApiResponseError, javascript 'half and half'
#   several lines: python 'half and half', javascript 'half' raises SyntaxError
#   error, no code: python 'half' raises TypeError, javascript 'half'
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @google/genai@3.3.0
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check google-genai==3.6.1
cat > run.py <<'PY'
import sys

from google.genai import Client, types

client = Client(api_key="none", http_options=types.HttpOptions(base_url=sys.argv[1]))
text, end = "", ""
try:
    for part in client.models.generate_content_stream(model="m", contents="Hello"):
        text += part.text or ""
except Exception as error:
    end = f" raises {type(error).__name__}"
print(f"{text!r}{end}")
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import { GoogleGenAI } from "@google/genai"

const answer = (text) =>
  JSON.stringify({ candidates: [{ index: 0, content: { role: "model", parts: [{ text }] }, finishReason: "STOP" }] })
const rest = answer(" and half")
const endings = {
  "comment apart": `: still here\n\ndata: ${rest}\n\n`,
  "no blank": `data:${rest}\n\n`,
  "several lines": `data: {\ndata: ${rest.slice(1)}\n\n`,
  "error, no code": `data: ${JSON.stringify({ error: { message: "gone", status: "UNAVAILABLE" } })}\n\n`
}
let ending = ""
const server = http.createServer((request, response) => {
  request.resume()
  response.writeHead(200, { "content-type": "text/event-stream" }).end(`data: ${answer("half")}\n\n${ending}`)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseUrl = `http://127.0.0.1:${server.address().port}`
const { models } = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl } })
const javascript = async () => {
  let text = ""
  let end = ""
  try {
    for await (const { text: said = "" } of await models.generateContentStream({ model: "m", contents: "Hello" })) text += said
  } catch (error) {
    end = ` raises ${error.constructor.name}`
  }
  return `'${text}'${end}`
}
const python = async () => (await promisify(execFile)("venv/bin/python", ["-W", "ignore", "run.py", baseUrl])).stdout.trim()
for (const [name, events] of Object.entries(endings)) {
  ending = events
  console.log(`${name}: python ${await python()}, javascript ${await javascript()}`)
}
server.close()
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
comment apart: python 'half' raises UnknownApiResponseError, javascript 'half and half'
no blank: python 'half' raises UnknownApiResponseError, javascript 'half and half'
several lines: python 'half and half', javascript 'half' raises SyntaxError
error, no code: python 'half' raises TypeError, javascript 'half'
TXT
diff wanted.txt seen.txt
