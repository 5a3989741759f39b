#!/usr/bin/env bash
# What Effect's decoder of event streams makes of a `retry:` line, which tells a browser how long to wait before it connects again.
#
# effect 4.1.0: `Sse.decode` fails with a `Retry` as soon as it has given out the events read so far, though the answer goes on
# behind the line. How much of it is heard depends on how the network cut it: all three events when it came in one read, one when
# it came line by line. `Sse.makeParser` gives the same line to its callback and reads on. A gateway that decodes a backend's
# stream takes the parser.
#
# Seen:
#   decode, one read: one,two,three | fails with Retry
#   decode, read by read: one | fails with Retry
#   makeParser, one read: one,two,three | ends
#   makeParser, read by read: one,two,three | ends
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact effect@4.1.0
cat > run.mjs <<'JS'
import { Cause, Effect, Exit, Stream } from "effect"
import { Sse } from "effect/encoding"

const text = "data: one\n\nretry: 1000\n\ndata: two\n\ndata: three\n\n"
const reads = { "one read": [text], "read by read": text.split(/(?<=\n)/) }

for (const [how, pieces] of Object.entries(reads)) {
  const seen = []
  const source = Stream.rechunk(Stream.fromIterable(pieces), 1)
  const exit = await Effect.runPromiseExit(
    Stream.runForEach(Stream.pipeThroughChannel(source, Sse.decode()), ({ data }) => Effect.sync(() => seen.push(data)))
  )
  const end = Exit.isSuccess(exit) ? "ends" : `fails with ${Cause.squash(exit.cause)._tag}`
  console.log(`decode, ${how}: ${seen.join()} | ${end}`)
}
for (const [how, pieces] of Object.entries(reads)) {
  const seen = []
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") seen.push(event.data)
  })
  for (const piece of pieces) parser.feed(piece)
  console.log(`makeParser, ${how}: ${seen.join()} | ends`)
}
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
decode, one read: one,two,three | fails with Retry
decode, read by read: one | fails with Retry
makeParser, one read: one,two,three | ends
makeParser, read by read: one,two,three | ends
TXT
diff wanted.txt seen.txt
