#!/usr/bin/env bash
# What "60 a minute" means to Effect's rate limiter with its default algorithm, "fixed-window".
#
# effect 4.1.0: the window is as long as the calls in it are worth, not a minute: with a limit of 60 each call adds a second. One
# call and, a second later, sixty more all pass; after thirty calls it takes half a minute until sixty more pass: 90 within
# 30 seconds. Whoever calls once a second never fills a window. A window that is fixed lets 60 pass within the minute that
# begins with the first call, whatever their order. The clock here is a test's own.
#
# Seen (limit 60, window one minute; calls at once, then 100 more that many seconds later):
#   60 calls, 1 s later: 60 passed
#   1 call, 1 s later: 61 passed
#   30 calls, 29 s later: 60 passed
#   30 calls, 30 s later: 90 passed
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact effect@4.1.0
cat > run.mjs <<'JS'
import { Effect, Exit, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"

const passed = (first, seconds) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.RateLimiter
    const call = limiter.consume({ key: "client", limit: 60, window: "1 minute" })
    const calls = (count) =>
      Effect.map(Effect.all(Array.from({ length: count }, () => Effect.exit(call))), (exits) => exits.filter(Exit.isSuccess).length)
    const before = yield* calls(first)
    yield* TestClock.adjust(`${seconds} seconds`)
    return before + (yield* calls(100))
  }).pipe(
    Effect.provide(RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))),
    Effect.provide(TestClock.layer())
  )

for (const [first, seconds] of [
  [60, 1],
  [1, 1],
  [30, 29],
  [30, 30]
]) {
  const count = await Effect.runPromise(passed(first, seconds))
  console.log(`${first} ${first === 1 ? "call" : "calls"}, ${seconds} s later: ${count} passed`)
}
JS
node run.mjs | tee seen.txt
cat > wanted.txt <<'TXT'
60 calls, 1 s later: 60 passed
1 call, 1 s later: 61 passed
30 calls, 29 s later: 60 passed
30 calls, 30 s later: 90 passed
TXT
diff wanted.txt seen.txt
