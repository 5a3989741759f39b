#!/usr/bin/env bash
# What Together's own package for JavaScript hears of events that carry a name.
#
# together-ai 0.52.0 passes on events without an `event:` line alone. `event: message`, the name that an event has anyway by the
# standard, takes the whole event with it, and `event: error` takes the error: the loop ends in order after half an answer.
# openai 7.59.0 and groq-sdk 1.6.0, made by the same generator, take the first for the text it is and raise at the second.
#
# Seen:
#   no names: together "half and half", openai "half and half", groq "half and half"
#   event: message: together "half ", openai "half and half", groq "half and half"
#   error: together "half " raises, openai "half " raises, groq "half " raises
#   event: error: together "half ", openai "half " raises, groq "half " raises
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact together-ai@0.52.0 openai@7.59.0 groq-sdk@1.6.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import Groq from "groq-sdk"
import OpenAI from "openai"
import Together from "together-ai"

const event = (value) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (content, finish) =>
  event({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: finish }]
  })
const failure = event({ error: { message: "backend broke", type: "server_error", param: null, code: null } })
const endings = {
  "no names": `${chunk("and half", "stop")}data: [DONE]\n\n`,
  "event: message": `event: message\n${chunk("and half", "stop")}data: [DONE]\n\n`,
  error: failure,
  "event: error": `event: error\n${failure}`
}
let ending = ""
const server = http.createServer((request, response) => {
  request.resume()
  response.writeHead(200, { "content-type": "text/event-stream" }).end(chunk("half ", null) + ending)
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const baseURL = `http://127.0.0.1:${server.address().port}/v1`
const clients = { together: Together, openai: OpenAI, groq: Groq }
for (const [name, events] of Object.entries(endings)) {
  ending = events
  const told = []
  for (const [who, Client] of Object.entries(clients)) {
    const { chat } = new Client({ apiKey: "none", baseURL, maxRetries: 0 })
    const messages = [{ role: "user", content: "Hello" }]
    let text = ""
    let end = ""
    try {
      for await (const { choices } of await chat.completions.create({ model: "m", messages, stream: true })) {
        text += choices[0].delta.content
      }
    } catch {
      end = " raises"
    }
    told.push(`${who} ${JSON.stringify(text)}${end}`)
  }
  console.log(`${name}: ${told.join(", ")}`)
}
server.close()
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
no names: together "half and half", openai "half and half", groq "half and half"
event: message: together "half ", openai "half and half", groq "half and half"
error: together "half " raises, openai "half " raises, groq "half " raises
event: error: together "half ", openai "half " raises, groq "half " raises
TXT
diff wanted.txt seen.txt
