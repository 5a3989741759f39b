#!/usr/bin/env bash
# By which name the official SDK for Gemini reads what an answer cites.
#
# @google/genai 3.3.0: its types say `citationMetadata.citations`, and so do its answers; on the wire it reads `citationSources`
# alone. A server that writes what the types say has its citations dropped without a word.
#
# Seen:
#   citationSources: citations [{"startIndex":0,"endIndex":4,"uri":"https://a.example/"}]
#   citations: citations none
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

const cited = [{ startIndex: 0, endIndex: 4, uri: "https://a.example/" }]
let name = ""
const server = http.createServer((request, response) => {
  request.resume()
  const content = { role: "model", parts: [{ text: "Said." }] }
  const answer = { candidates: [{ index: 0, content, finishReason: "STOP", citationMetadata: { [name]: cited } }] }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseUrl = `http://127.0.0.1:${server.address().port}`
const { models } = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl } })
for (name of ["citationSources", "citations"]) {
  const { candidates } = await models.generateContent({ model: "m", contents: "Hello" })
  const { citations } = candidates[0].citationMetadata ?? {}
  console.log(`${name}: citations ${citations === undefined ? "none" : JSON.stringify(citations)}`)
}
server.close()
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
citationSources: citations [{"startIndex":0,"endIndex":4,"uri":"https://a.example/"}]
citations: citations none
TXT
diff wanted.txt seen.txt
