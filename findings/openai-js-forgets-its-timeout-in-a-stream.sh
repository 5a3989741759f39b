#!/usr/bin/env bash
# What `timeout` of the official SDK for OpenAI covers once an answer is streamed, in JavaScript and in Python.
#
# openai 7.59.0 for JavaScript counts until the head of the answer is there, and of a whole answer until its body is: over a
# stream that falls silent it does not count. openai 3.57.0 for Python counts each silence. Where the
# connection is cut, JavaScript throws the runtime's TypeError, which is no error of the SDK's; Python raises an
# APIConnectionError. So a server in front of JavaScript ends silent streams itself, with an error event.
#
# Seen (a timeout of 3 s, a silence of 8 s):
#   whole answer, silent body: javascript APIConnectionTimeoutError, python APITimeoutError
#   stream, silent after a piece: javascript 'one two', python 'one ' APITimeoutError
#   stream, cut after a piece: javascript 'one ' TypeError, python 'one ' APIConnectionError
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact openai@7.59.0
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==3.57.0
cat > run.py <<'PY'
import sys

from openai import OpenAI

client = OpenAI(api_key="none", base_url=sys.argv[1], timeout=3.0, max_retries=0)
model = sys.argv[2]
request = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
told = []
text = ""
try:
    if model == "whole":
        text = client.chat.completions.create(**request).choices[0].message.content
    else:
        for part in client.chat.completions.create(**request, stream=True):
            text += part.choices[0].delta.content
except Exception as error:
    told.append(type(error).__name__)
print(" ".join(([f"'{text}'"] if text else []) + told))
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import OpenAI from "openai"

const base = { id: "c", created: 1, model: "m" }
const chunk = (content) => {
  const choices = [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }]
  return `data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices })}\n\n`
}
const whole = JSON.stringify({
  ...base,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "one two" }, finish_reason: "stop" }]
})
const silence = 8000
const server = http.createServer(async (request, response) => {
  let text = ""
  for await (const piece of request) text += piece
  const { model } = JSON.parse(text)
  if (model === "whole") {
    response.writeHead(200, { "content-type": "application/json" }).flushHeaders()
    setTimeout(() => response.end(whole), silence)
    return
  }
  response.writeHead(200, { "content-type": "text/event-stream" }).write(chunk("one "))
  if (model === "silent") setTimeout(() => response.end(`${chunk("two")}data: [DONE]\n\n`), silence)
  else setTimeout(() => response.destroy(), 500)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const { chat } = new OpenAI({ apiKey: "none", baseURL, timeout: 3000, maxRetries: 0 })
const javascript = async (model) => {
  const request = { model, messages: [{ role: "user", content: "Hello" }] }
  let text = ""
  let raised = ""
  try {
    if (model === "whole") text = (await chat.completions.create(request)).choices[0].message.content
    else for await (const { choices } of await chat.completions.create({ ...request, stream: true })) text += choices[0].delta.content
  } catch (error) {
    raised = error.constructor.name
  }
  return [text === "" ? "" : `'${text}'`, raised].filter((part) => part !== "").join(" ")
}
const python = async (model) => (await promisify(execFile)("venv/bin/python", ["run.py", baseURL, model])).stdout.trim()
const cases = { whole: "whole answer, silent body", silent: "stream, silent after a piece", cut: "stream, cut after a piece" }
for (const [model, name] of Object.entries(cases)) {
  console.log(`${name}: javascript ${await javascript(model)}, python ${await python(model)}`)
}
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
whole answer, silent body: javascript APIConnectionTimeoutError, python APITimeoutError
stream, silent after a piece: javascript 'one two', python 'one ' APITimeoutError
stream, cut after a piece: javascript 'one ' TypeError, python 'one ' APIConnectionError
TXT
diff wanted.txt seen.txt
