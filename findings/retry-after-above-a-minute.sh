#!/usr/bin/env bash
# How the official Node SDKs take a `retry-after` of more than a minute: the two do the opposite of one another.
#
# openai 7.57.0 heeds up to 60 seconds; 61 is dropped as unreasonable, and it is back after half a second, then after one: a
# server that asks for two minutes of peace gets all retries within 1.5 s. @anthropic-ai/sdk 1.14.0, of the same origin,
# heeds any number and sleeps inside the call. A `retry-after` of 0 is the other way round: openai comes back at once,
# anthropic backs off by itself. `x-should-retry: false` ends both. A gateway in front of both says at most 60.
#
# Seen:
#   openai 59: waits
#   openai 61: 3 requests within 3 s
#   openai 0: 3 requests within 0.2 s
#   openai 120, x-should-retry false: 1 request, ended
#   anthropic 59: waits
#   anthropic 61: waits
#   anthropic 0: 3 requests within 3 s
#   anthropic 120, x-should-retry false: 1 request, ended
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact openai@7.57.0 @anthropic-ai/sdk@1.14.0
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import Anthropic from "@anthropic-ai/sdk"
import OpenAI from "openai"

const body = JSON.stringify({ type: "error", error: { type: "rate_limit_error", message: "too many requests" } })
const calls = {
  openai: (port) =>
    new OpenAI({ apiKey: "none", baseURL: `http://127.0.0.1:${port}/v1` }).chat.completions.create({
      model: "m",
      messages: [{ role: "user", content: "Hello" }]
    }),
  anthropic: (port) =>
    new Anthropic({ apiKey: "none", baseURL: `http://127.0.0.1:${port}` }).messages.create({
      model: "m",
      max_tokens: 8,
      messages: [{ role: "user", content: "Hello" }]
    })
}

const seen = async (call, headers) => {
  const times = []
  const server = http.createServer((request, response) => {
    times.push(performance.now())
    request.resume()
    response.writeHead(429, { "content-type": "application/json", ...headers }).end(body)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const ended = await Promise.race([
    call(server.address().port).catch(() => true),
    new Promise((resolve) => setTimeout(resolve, 4000, false))
  ])
  server.closeAllConnections()
  server.close()
  if (times.length === 1) return ended ? "1 request, ended" : "waits"
  const took = times.at(-1) - times[0]
  return `${times.length} requests within ${took < 200 ? "0.2" : took < 3000 ? "3" : "more than 3"} s`
}

for (const [name, call] of Object.entries(calls)) {
  for (const seconds of ["59", "61", "0"]) console.log(`${name} ${seconds}: ${await seen(call, { "retry-after": seconds })}`)
  const told = { "retry-after": "120", "x-should-retry": "false" }
  console.log(`${name} 120, x-should-retry false: ${await seen(call, told)}`)
}
process.exit(0)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
openai 59: waits
openai 61: 3 requests within 3 s
openai 0: 3 requests within 0.2 s
openai 120, x-should-retry false: 1 request, ended
anthropic 59: waits
anthropic 61: waits
anthropic 0: 3 requests within 3 s
anthropic 120, x-should-retry false: 1 request, ended
TXT
diff wanted.txt seen.txt
