#!/usr/bin/env bash
# What LlamaIndex hears of two calls in a stream of chat completions, in Python and in JavaScript.
#
# Calls may come one after the other, in pieces that take turns, or several in one chunk; `index` says
# which is meant. llama-index-llms-openai 0.8.3 looks at the first call of a chunk alone and at the last one it has: the second of one
# chunk is lost, and of calls that take turns each piece becomes a call. @llamaindex/openai 0.4.22 never looks at `index`: `exec` runs
# the first of one chunk, raises where pieces take turns, and runs no tool at all where a word comes before the call.
# Without a stream both have both. So a gateway had better send one call in a chunk, and each to its end.
#
# Seen:
#   one after the other: Python one({"x":1}) two({"y":2}), JavaScript one({"x":1}) two({"y":2})
#   taking turns: Python one() two() None({"x":) None({"y":) None(1}) None(2}), JavaScript raises SyntaxError
#   in one chunk: Python one({"x":1}), JavaScript one({"x":1})
#   a word before: Python one({"x":1}), JavaScript no call
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check openai==2.54.0 \
  llama-index-core==0.14.25 llama-index-llms-openai==0.8.3 llama-index-llms-openai-like==0.8.1
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact llamaindex@0.12.1 @llamaindex/openai@0.4.22 zod@4.6.7
cat > run.py <<'PY'
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(model="m", api_base=sys.argv[1], api_key="none", is_chat_model=True, is_function_calling_model=True, max_retries=0)
answer = None
for answer in model.stream_chat([ChatMessage(role="user", content="Hello")]):
    pass
calls = answer.message.additional_kwargs.get("tool_calls", [])
print(" ".join(f"{call.function.name}({call.function.arguments})" for call in calls) or "no call")
PY
cat > run.mjs <<'JS'
import { execFile } from "node:child_process"
import { once } from "node:events"
import http from "node:http"
import { promisify } from "node:util"
import { OpenAI } from "@llamaindex/openai"
import { tool } from "llamaindex"
import { z } from "zod"

const chunk = (delta, finish_reason = null) => ({
  id: "c",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta, finish_reason }]
})
const begun = (index, id, name, args = "") => ({ index, id, type: "function", function: { name, arguments: args } })
const more = (index, args) => ({ index, function: { arguments: args } })
const calls = (...pieces) => chunk({ tool_calls: pieces })
const role = chunk({ role: "assistant", content: null })
const end = chunk({}, "tool_calls")
const streams = {
  "one after the other": [
    calls(begun(0, "a", "one")),
    calls(more(0, '{"x":')),
    calls(more(0, "1}")),
    calls(begun(1, "b", "two")),
    calls(more(1, '{"y":')),
    calls(more(1, "2}")),
    end
  ],
  "taking turns": [
    calls(begun(0, "a", "one")),
    calls(begun(1, "b", "two")),
    calls(more(0, '{"x":')),
    calls(more(1, '{"y":')),
    calls(more(0, "1}")),
    calls(more(1, "2}")),
    end
  ],
  "in one chunk": [calls(begun(0, "a", "one", '{"x":1}'), begun(1, "b", "two", '{"y":2}')), end],
  "a word before": [role, chunk({ content: "Wait." }), calls(begun(0, "a", "one", '{"x":1}')), end]
}
let now = []
const server = http.createServer(async (request, response) => {
  for await (const _ of request);
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end(now.map((value) => `data: ${JSON.stringify(value)}\n\n`).join("") + "data: [DONE]\n\n")
})
await once(server.listen(0, "127.0.0.1"), "listening")
const url = `http://127.0.0.1:${server.address().port}/v1`

const named = (name, asked) =>
  tool({
    name,
    description: name,
    parameters: z.object({ x: z.number().optional(), y: z.number().optional() }),
    execute: (given) => {
      asked.push(`${name}(${JSON.stringify(given)})`)
      return "done"
    }
  })
const inJavaScript = async () => {
  const asked = []
  const model = new OpenAI({ model: "m", apiKey: "none", baseURL: url, maxRetries: 0 })
  const messages = [{ role: "user", content: "Hello" }]
  try {
    const { stream } = await model.exec({ messages, tools: [named("one", asked), named("two", asked)], stream: true })
    for await (const _ of stream);
  } catch (error) {
    return `raises ${error.name}`
  }
  return asked.join(" ") || "no call"
}
const inPython = async () => {
  const { stdout } = await promisify(execFile)("venv/bin/python", ["run.py", url])
  return stdout.trim().split("\n").at(-1)
}
for (const [name, stream] of Object.entries(streams)) {
  now = stream
  console.log(`${name}: Python ${await inPython()}, JavaScript ${await inJavaScript()}`)
}
server.close()
JS
node run.mjs 2> log | tee seen || { tail -20 log >&2; exit 1; }
cat > expected <<'TXT'
one after the other: Python one({"x":1}) two({"y":2}), JavaScript one({"x":1}) two({"y":2})
taking turns: Python one() two() None({"x":) None({"y":) None(1}) None(2}), JavaScript raises SyntaxError
in one chunk: Python one({"x":1}), JavaScript one({"x":1})
a word before: Python one({"x":1}), JavaScript no call
TXT
diff expected seen
