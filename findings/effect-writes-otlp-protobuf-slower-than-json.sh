#!/usr/bin/env bash
# What the two encodings of effect's OTLP exporter cost.
#
# effect 4.1.0: protobuf, the default of the standard and meant to be the cheap one, takes more than five times the time of
# JSON for the same spans (about twenty times where it was measured alone), since each field becomes an array of bytes of its
# own that is copied into the next. Its bodies are smaller by half. Who exports a span for each request wants JSON.
#
# Seen:
#   protobuf is smaller than JSON: true
#   protobuf takes more than five times as long: true
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact effect@4.1.0
cat > run.mjs <<'JS'
import { Effect } from "effect"
import { OtlpSerialization } from "effect/observability"

const text = (key, stringValue) => ({ key, value: { stringValue } })
const span = (nth) => ({
  traceId: "5b8efff798038103d269b633813fc60c",
  spanId: `eee19b7ec3c1b17${nth}`,
  parentSpanId: undefined,
  name: `chat model-${nth}`,
  kind: 3,
  startTimeUnixNano: "1544712660000000000",
  endTimeUnixNano: "1544712661000000000",
  attributes: Array.from({ length: 12 }, (_, at) => text(`gen_ai.request.attribute_${at}`, `value ${at}`)),
  droppedAttributesCount: 0,
  events: [],
  droppedEventsCount: 0,
  links: [],
  droppedLinksCount: 0,
  status: { code: 1 }
})
const data = {
  resourceSpans: [
    {
      resource: { attributes: [text("service.name", "gateway")], droppedAttributesCount: 0 },
      scopeSpans: [{ scope: { name: "gateway" }, spans: [span(1), span(2)] }]
    }
  ]
}

const rounds = 3000
const measure = (layer) =>
  Effect.runSync(
    Effect.gen(function* () {
      const { traces } = yield* OtlpSerialization.OtlpSerialization
      for (let round = 0; round < rounds; round += 1) traces(data)
      const began = performance.now()
      for (let round = 0; round < rounds; round += 1) traces(data)
      return { ms: performance.now() - began, bytes: traces(data).contentLength }
    }).pipe(Effect.provide(layer))
  )

const json = measure(OtlpSerialization.layerJson)
const protobuf = measure(OtlpSerialization.layerProtobuf)
console.log(`protobuf is smaller than JSON: ${protobuf.bytes < json.bytes}`)
console.log(`protobuf takes more than five times as long: ${protobuf.ms > 5 * json.ms}`)
if (process.env.SHOW !== undefined) console.log(json, protobuf)
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
protobuf is smaller than JSON: true
protobuf takes more than five times as long: true
TXT
diff wanted.txt seen.txt
