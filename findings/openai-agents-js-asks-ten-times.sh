#!/usr/bin/env bash
# What OpenAI's agents for JavaScript make of an answer with status 200 that holds no choice.
#
# @openai/agents 0.20.0 over chat completions (openai 7.59.0) takes such an answer for a turn in which nothing was said, and asks
# again with the same request until its turns are used up: ten requests, then "Max turns (10) exceeded", without a word of what the
# server had said. So an error in a body with status 200, an answer without `application/json` as its type (of which the SDK
# beneath makes a string), and `choices: []` each cost ten requests. With status 400 there is one, and its words are kept.
#
# Seen:
#   an answer: 1 request, "It is four."
#   error, status 400: 1 request, raises BadRequestError: 400 backend broke
#   error, status 200: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
#   no choices: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
#   an answer as text/plain: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @openai/agents@0.20.0 openai@7.59.0 zod@4.6.7
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled } from "@openai/agents"
import OpenAI from "openai"

setTracingDisabled(true)
const message = { role: "assistant", content: "It is four." }
const answer = {
  id: "c",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
}
const failure = { error: { message: "backend broke", type: "server_error", param: null, code: null } }
const json = "application/json"
const cases = {
  "an answer": [200, json, answer],
  "error, status 400": [400, json, failure],
  "error, status 200": [200, json, failure],
  "no choices": [200, json, { ...answer, choices: [] }],
  "an answer as text/plain": [200, "text/plain", answer]
}
let now
let requests = 0
const server = http.createServer((request, response) => {
  request.resume()
  requests += 1
  const [status, type, body] = now
  response.writeHead(status, { "content-type": type }).end(JSON.stringify(body))
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const client = new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${server.address().port}/v1` })
const agent = new Agent({ name: "adder", model: new OpenAIChatCompletionsModel(client, "m") })
for (const [name, how] of Object.entries(cases)) {
  now = how
  requests = 0
  const end = await run(agent, "2 + 2?").then(
    ({ finalOutput }) => JSON.stringify(finalOutput),
    (error) => `raises ${error.constructor.name}: ${error.message}`
  )
  console.log(`${name}: ${requests} ${requests === 1 ? "request" : "requests"}, ${end}`)
}
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
an answer: 1 request, "It is four."
error, status 400: 1 request, raises BadRequestError: 400 backend broke
error, status 200: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
no choices: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
an answer as text/plain: 10 requests, raises MaxTurnsExceededError: Max turns (10) exceeded
TXT
diff wanted.txt seen.txt
