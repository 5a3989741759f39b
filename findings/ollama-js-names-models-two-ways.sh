#!/usr/bin/env bash
# By which field Ollama's own package for JavaScript names a model on the wire.
#
# ollama 0.6.4 takes `model` in every call, and sends it as `name` for pull, push and delete, the field that Ollama's API
# has given up for `model`; show and create send `model`. A server or a gateway that reads `model` alone, as the
# documents of today have it, is asked to pull, push and delete nothing.
#
# Seen:
#   POST /api/pull name
#   POST /api/push name
#   DELETE /api/delete name
#   POST /api/show model
#   POST /api/create model
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ollama@0.6.4
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { Ollama } from "ollama"

const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  const fields = Object.keys(JSON.parse(text)).filter((field) => field === "name" || field === "model")
  console.log(`${request.method} ${request.url} ${fields.join(" ")}`)
  response.writeHead(200, { "content-type": "application/json" }).end('{"status":"success"}')
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const ollama = new Ollama({ host: `http://127.0.0.1:${server.address().port}` })
await ollama.pull({ model: "m" })
await ollama.push({ model: "m" })
await ollama.delete({ model: "m" })
await ollama.show({ model: "m" })
await ollama.create({ model: "m", from: "other" })
server.close()
JS
node run.mjs > seen.txt
cat seen.txt
cat > expected.txt <<'TXT'
POST /api/pull name
POST /api/push name
DELETE /api/delete name
POST /api/show model
POST /api/create model
TXT
diff expected.txt seen.txt
