#!/usr/bin/env bash
# What a proxy on Bun hears when it has run out of file descriptors and dials a backend that is well.
#
# Bun 1.4.5: `Bun.connect` and `node:net` both say ECONNREFUSED, the code of a port where nobody listens, although it is the
# caller that may open no more files; opening a file at the same moment says EMFILE, and so does `fetch`, in the words of a
# mistyped address. Whoever counts refused connections against a backend takes all of them out of rotation at once. To tell
# the two apart, try to open a file.
#
# Seen (with `ulimit -n 80`, files held open until there are none):
#   files left: Bun.connect connected, node:net connected, fetch answered
#   none left: open EMFILE, Bun.connect ECONNREFUSED, node:net ECONNREFUSED, fetch EMFILE
#   files left again: Bun.connect connected, node:net connected, fetch answered
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
cat > run.ts <<'TS'
import { closeSync, openSync } from "node:fs"
import { connect } from "node:net"

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: { data: (socket) => void socket.end(answer) }
})

const codeOf = (error: unknown): string => String((error as { code?: unknown }).code)

const viaBun = (): Promise<string> =>
  Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data: () => undefined } }).then((socket) => {
    socket.end()
    return "connected"
  }, codeOf)

const viaNet = (): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resolve("connected")
    })
    socket.on("error", (error) => resolve(codeOf(error)))
  })

const viaFetch = (): Promise<string> => fetch(`http://127.0.0.1:${server.port}/`).then(() => "answered", codeOf)

const dialled = async (): Promise<string> =>
  `Bun.connect ${await viaBun()}, node:net ${await viaNet()}, fetch ${await viaFetch()}`

console.log(`files left: ${await dialled()}`)
const held: Array<number> = []
let said = ""
while (said === "") {
  try {
    held.push(openSync("/dev/null", "r"))
  } catch (error) {
    said = codeOf(error)
  }
}
const none = await dialled()
for (const file of held) closeSync(file)
console.log(`none left: open ${said}, ${none}`)
console.log(`files left again: ${await dialled()}`)
process.exit(0)
TS
(ulimit -n 80 && "$bun" run.ts) | tee seen.txt
cat > wanted.txt <<'TXT'
files left: Bun.connect connected, node:net connected, fetch answered
none left: open EMFILE, Bun.connect ECONNREFUSED, node:net ECONNREFUSED, fetch EMFILE
files left again: Bun.connect connected, node:net connected, fetch answered
TXT
diff wanted.txt seen.txt
