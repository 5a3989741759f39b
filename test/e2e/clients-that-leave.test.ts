import { expect, test } from "bun:test"
import * as fc from "fast-check"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { modelOf, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

// As many as wanted: LEAVING=10000 bun test test/e2e/clients-that-leave.test.ts
const requests = Number(process.env["LEAVING"] ?? 600)

const together = 60

const slowly: Script = function* (request): Generator<Step> {
  yield { pause: 5 }
  if (!wantsStream(request)) return yield json(completion(modelOf(request), "a"))
  yield streamHead()
  for (const each of chatEvents("m", ["a", "b", "c", "d"])) {
    yield chunk(each)
    yield { pause: 3 }
  }
  yield lastChunk
}

/** When a client leaves: after how much of its request, whether with its answer's first byte, how many milliseconds later. */
interface Leaving {
  readonly stream: boolean
  readonly size: number
  readonly part: number
  readonly begun: boolean
  readonly afterMs: number
}

const leaving = fc.record({
  stream: fc.boolean(),
  size: fc.constantFrom(10, 10, 10, 200_000),
  // Most send the whole of it.
  part: fc.oneof(fc.constant(1), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  begun: fc.boolean(),
  afterMs: fc.integer({ min: 0, max: 20 })
})

const leave = async (port: number, { stream, size, part, begun, afterMs }: Leaving): Promise<void> => {
  using client = await dial(port)
  const messages = [{ role: "user", content: "x".repeat(size) }]
  const bytes = requestBytes("POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages, stream }))
  void client.send(bytes.subarray(0, Math.ceil(bytes.byteLength * part)))
  if (begun && part === 1) await client.until(() => true)
  await Bun.sleep(afterMs)
}

test("after clients that left at random moments no socket, fiber or count is left", async () => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))
  await using upstream = await startUpstream({ models: ["m"], script: slowly })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  await leave(gateway.port, { stream: true, size: 10, part: 1, begun: true, afterMs: 0 })
  await gateway.quiet()
  const fibers = gateway.fibers()
  const all = fc.sample(leaving, { numRuns: requests, seed })
  let next = 0
  const clients = Array.from({ length: together }, async () => {
    for (let each = all[next]; each !== undefined; each = all[next]) {
      next += 1
      await leave(gateway.port, each)
    }
  })
  await Promise.all(clients)
  const left = () => ({
    seed,
    fibers: gateway.fibers() - fibers,
    inFlight: gateway.inFlight(),
    atBackend: upstream.busy()
  })
  const none = { seed, fibers: 0, inFlight: 0, atBackend: 0 }
  await until(() => Bun.deepEquals(left(), none), `nothing is left with seed ${seed}`).catch(() => undefined)
  expect(left()).toEqual(none)
  expect(upstream.calls().length).toBeGreaterThan(requests / 4)
  // What stays open to the backend is its pool.
  expect(upstream.server.open()).toBeLessThanOrEqual(together + 1)
  expect(gateway.backend("one").circuits).toEqual([])
}, 120_000)
