#!/usr/bin/env bash
# What a client hears of a proxy on Bun that says what went wrong, and then breaks its answer off.
#
# Bun 1.4.5: `controller.error()` on the stream behind a `Response` resets the connection, and takes with it what was enqueued
# right before, though it had been asked for. On Node 20, where the same stream is piped into an answer that is destroyed at
# the error, the client still gets it. So on Bun the last event is followed by `close()`, which a client takes for an orderly end.
#
# Seen (an event "half", then "failed" and what follows it):
#   bun, failed and error(): half | ECONNRESET
#   bun, failed and close(): half,failed | whole
#   node, failed and error(): half,failed | cut
#   node, failed and close(): half,failed | whole
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact bun@1.4.5
# Where npm runs no install scripts, the program lies in the package of the platform alone.
for bun in "$PWD"/node_modules/bun/bin/bun.exe "$PWD"/node_modules/@oven/bun-*/bin/bun; do
  if [ "$("$bun" --version 2>/dev/null)" = 1.4.5 ]; then break; fi
done
cat > run.mjs <<'JS'
import { once } from "node:events"
import http from "node:http"
import { connect } from "node:net"
import { Readable } from "node:stream"

const onBun = process.versions.bun !== undefined
const encoder = new TextEncoder()
const event = (text) => encoder.encode(`data: ${text}\n\n`)
const ends = {
  "error()": (controller) => controller.error(new Error("backend broke")),
  "close()": (controller) => controller.close()
}
// What the second event waits for: until the first has reached the client.
let heard = Promise.resolve()
const bodyOf = (end) => {
  let asked = 0
  return new ReadableStream(
    {
      async pull(controller) {
        asked += 1
        if (asked === 1) return controller.enqueue(event("half"))
        await heard
        controller.enqueue(event("failed"))
        ends[end](controller)
      }
    },
    { highWaterMark: 0 }
  )
}
const endOf = (url) => decodeURIComponent(url.split("/").at(-1))
const headers = { "content-type": "text/event-stream" }

const listen = async () => {
  if (onBun) {
    const fetch = ({ url }) => new Response(bodyOf(endOf(url)), { headers })
    return Bun.serve({ hostname: "127.0.0.1", port: 0, development: false, fetch }).port
  }
  const server = http.createServer(({ url }, response) => {
    response.writeHead(200, headers)
    Readable.fromWeb(bodyOf(endOf(url)))
      .on("error", () => response.destroy())
      .pipe(response)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return server.address().port
}

const port = await listen()
for (const end of Object.keys(ends)) {
  let text = ""
  let how
  const socket = connect(port, "127.0.0.1")
  heard = new Promise((resolve) => {
    socket.on("data", (bytes) => {
      text += bytes
      if (text.includes("data: half")) resolve()
    })
  })
  socket.on("error", ({ code }) => (how = code))
  socket.write(`GET /${encodeURIComponent(end)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  await new Promise((resolve) => socket.on("close", resolve))
  how ??= text.endsWith("\r\n0\r\n\r\n") ? "whole" : "cut"
  const told = [...text.matchAll(/data: (\w+)/g)].map(([, word]) => word)
  console.log(`${onBun ? "bun" : "node"}, failed and ${end}: ${told.join()} | ${how}`)
}
process.exit(0)
JS
"$bun" run.mjs 2> errors.txt | tee seen.txt
node run.mjs 2>> errors.txt | tee -a seen.txt
cat > wanted.txt <<'TXT'
bun, failed and error(): half | ECONNRESET
bun, failed and close(): half,failed | whole
node, failed and error(): half,failed | cut
node, failed and close(): half,failed | whole
TXT
diff wanted.txt seen.txt || { cat errors.txt; exit 1; }
