#!/usr/bin/env bash
# What Mistral's own packages make of calls of tools that come in pieces.
#
# @mistralai/mistralai 2.7.0 and mistralai 3.7.0 (Python) ask each piece of `tool_calls` in a stream for a name and arguments. In
# OpenAI's form only the first piece of a call has its name, and later ones bring more of its arguments: both packages raise an
# error of validation at the second. A call that comes in one piece is read. So a server of these clients collects a call before
# it tells of it.
#
# Seen:
#   in one piece: JavaScript f({"x":1}), Python f({"x":1})
#   in two pieces: JavaScript ZodError, Python ResponseValidationError
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @mistralai/mistralai@2.7.0
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check mistralai==3.7.0
cat > run.py <<'PY'
import sys

from mistralai.client import Mistral

client = Mistral(api_key="none", server_url=sys.argv[1])
said = "nothing"
try:
    for event in client.chat.stream(model="m", messages=[{"role": "user", "content": "Hello"}]):
        for call in event.data.choices[0].delta.tool_calls or []:
            said = f"{call.function.name}({call.function.arguments})"
except Exception as error:
    said = type(error).__name__
print(said)
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import { Mistral } from "@mistralai/mistralai"

const first = (given) => ({ index: 0, id: "abc123def", type: "function", function: { name: "f", arguments: given } })
const streams = {
  "in one piece": [first('{"x":1}')],
  "in two pieces": [first('{"x":'), { index: 0, function: { arguments: "1}" } }]
}
let calls = []
const server = http.createServer((request, response) => {
  request.resume()
  const piece = (delta, finish_reason = null) => ({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta, finish_reason }]
  })
  const pieces = [...calls.map((call) => piece({ tool_calls: [call] })), piece({}, "tool_calls")]
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end([...pieces.map((each) => JSON.stringify(each)), "[DONE]"].map((each) => `data: ${each}\n\n`).join(""))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const serverURL = `http://127.0.0.1:${server.address().port}`
const inJavaScript = async () => {
  const client = new Mistral({ apiKey: "none", serverURL })
  let said = "nothing"
  try {
    for await (const { data } of await client.chat.stream({ model: "m", messages: [{ role: "user", content: "Hello" }] })) {
      for (const call of data.choices[0].delta.toolCalls ?? []) said = `${call.function.name}(${call.function.arguments})`
    }
  } catch (error) {
    said = error.name
  }
  return said
}
for (const [name, pieces] of Object.entries(streams)) {
  calls = pieces
  const { stdout } = await promisify(execFile)("venv/bin/python", ["run.py", serverURL])
  console.log(`${name}: JavaScript ${await inJavaScript()}, Python ${stdout.trim()}`)
}
server.close()
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
in one piece: JavaScript f({"x":1}), Python f({"x":1})
in two pieces: JavaScript ZodError, Python ResponseValidationError
TXT
diff wanted.txt seen.txt
