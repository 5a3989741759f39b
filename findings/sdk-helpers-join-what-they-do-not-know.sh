#!/usr/bin/env bash
# How the stream helper of the official SDK for chat adds up the pieces of an answer: in JavaScript and in Python not alike.
#
# `chat.completions.stream()` of openai 7.59.0 for JavaScript takes the last piece of a field that it does not know for the whole
# field; openai 3.57.0 for Python joins the pieces. So what a model thought (`reasoning_content`, `reasoning`) is its last word in
# one and all of it in the other. Of two calls that a server numbers 0 both, as some do, JavaScript keeps the id and name of the
# second, Python glues the ids and the names together; both join the arguments. Nothing raises.
#
# Seen:
#   reasoning_content: javascript "right", python "That is right"
#   two calls numbered 0: javascript b g {"x":1}{"y":2}, python ab fg {"x":1}{"y":2}
#   two calls numbered 0 and 1: javascript a f {"x":1}, b g {"y":2}, python a f {"x":1}, b g {"y":2}
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact openai@7.59.0
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==3.57.0
cat > run.py <<'PY'
import json
import sys

from openai import OpenAI

with OpenAI(api_key="none", base_url=sys.argv[1]).chat.completions.stream(
    model=sys.argv[2], messages=[{"role": "user", "content": "Hello"}]
) as stream:
    message = stream.get_final_completion().choices[0].message
if message.tool_calls:
    print(", ".join(f"{call.id} {call.function.name} {call.function.arguments}" for call in message.tool_calls))
else:
    print(json.dumps(message.reasoning_content))
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import OpenAI from "openai"

const thought = (reasoning_content) => ({ content: "", reasoning_content })
const call = (index, id, name, text) => ({
  tool_calls: [{ index, id, type: "function", function: { name, arguments: text } }]
})
const answers = {
  reasoning_content: [thought("That "), thought("is "), thought("right"), { content: "Yes" }],
  "two calls numbered 0": [call(0, "a", "f", '{"x":1}'), call(0, "b", "g", '{"y":2}')],
  "two calls numbered 0 and 1": [call(0, "a", "f", '{"x":1}'), call(1, "b", "g", '{"y":2}')]
}
const event = (delta, finish) => {
  const choices = [{ index: 0, delta, finish_reason: finish }]
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices })}\n\n`
}
const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  const deltas = answers[JSON.parse(text).model]
  const finish = deltas[0].tool_calls === undefined ? "stop" : "tool_calls"
  const events = deltas.map((delta, at) => event(at === 0 ? { role: "assistant", ...delta } : delta, null))
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end(`${events.join("")}${event({}, finish)}data: [DONE]\n\n`)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const client = new OpenAI({ apiKey: "none", baseURL })
const javascript = async (model) => {
  const whole = await client.chat.completions
    .stream({ model, messages: [{ role: "user", content: "Hello" }] })
    .finalChatCompletion()
  const { reasoning_content, tool_calls: calls } = whole.choices[0].message
  if (calls === undefined) return JSON.stringify(reasoning_content)
  return calls.map(({ id, function: { name, arguments: text } }) => `${id} ${name} ${text}`).join(", ")
}
const python = async (model) => (await promisify(execFile)("venv/bin/python", ["run.py", baseURL, model])).stdout.trim()
for (const model of Object.keys(answers)) {
  console.log(`${model}: javascript ${await javascript(model)}, python ${await python(model)}`)
}
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
reasoning_content: javascript "right", python "That is right"
two calls numbered 0: javascript b g {"x":1}{"y":2}, python ab fg {"x":1}{"y":2}
two calls numbered 0 and 1: javascript a f {"x":1}, b g {"y":2}, python a f {"x":1}, b g {"y":2}
TXT
diff wanted.txt seen.txt
