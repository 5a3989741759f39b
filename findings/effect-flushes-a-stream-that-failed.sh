#!/usr/bin/env bash
# What Effect does at the end of a stream that fails: `onHalt` of `Stream.mapAccum` runs then as well, and what it gives comes
# out before the failure.
#
# effect 4.1.0: a decoder that holds back a line until it is whole, and flushes the rest in `onHalt`, gives out half a line as
# if it were one when its source breaks off. A stream that is put behind it with `Stream.concat` comes at an orderly end alone,
# and Effect's own `Stream.splitLines` gives nothing of the line that broke.
#
# Seen:
#   ends | mapAccum with onHalt | one,tw | ended
#   ends | concat behind it | one,+ | ended
#   ends | splitLines | one,tw | ended
#   fails | mapAccum with onHalt | one,tw | failed
#   fails | concat behind it | one | failed
#   fails | splitLines | one | failed
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact effect@4.1.0
cat > run.mjs <<'JS'
import { Effect, Exit, Stream } from "effect"

const pieces = Stream.make("one\ntw")
const sources = { ends: pieces, fails: Stream.concat(pieces, Stream.fail("connection lost")) }

const lines = (rest, piece) => {
  const parts = (rest + piece).split("\n")
  return [parts.at(-1), parts.slice(0, -1)]
}

const decoders = {
  "mapAccum with onHalt": Stream.mapAccum(() => "", lines, { onHalt: (rest) => [rest] }),
  "concat behind it": (source) => Stream.concat(Stream.mapAccum(source, () => "", lines), Stream.make("+")),
  splitLines: Stream.splitLines
}

for (const [how, source] of Object.entries(sources)) {
  for (const [name, decode] of Object.entries(decoders)) {
    const seen = []
    const exit = await Effect.runPromiseExit(
      Stream.runForEach(decode(source), (line) => Effect.sync(() => seen.push(line)))
    )
    console.log(`${how} | ${name} | ${seen.join()} | ${Exit.isSuccess(exit) ? "ended" : "failed"}`)
  }
}
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
ends | mapAccum with onHalt | one,tw | ended
ends | concat behind it | one,+ | ended
ends | splitLines | one,tw | ended
fails | mapAccum with onHalt | one,tw | failed
fails | concat behind it | one | failed
fails | splitLines | one | failed
TXT
diff wanted.txt seen.txt
