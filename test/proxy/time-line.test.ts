import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { TimePart } from "../../src/api/admin-api.ts"
import { lostCall, timeLineOf } from "../../src/proxy/time-line.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { json } from "../kit/answers.ts"

const partsOf = async (url: string, path: string): Promise<ReadonlyArray<TimePart>> => {
  const { time_line: parts } = (await (await fetch(`${url}${path}`)).json()) as {
    readonly time_line: ReadonlyArray<TimePart>
  } // reason: the contract says what it is
  return parts
}

const chat = (url: string, id: string): Promise<string> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": id },
    body: JSON.stringify({ model: "m", messages: [] })
  }).then((response) => response.text())

describe("what took how long of a request", () => {
  test("is told of a call that failed and of the one that answered", async () => {
    await using bad = await startUpstream({ models: ["m"], script: () => [json({ error: { message: "no" } }, 500)] })
    await using fine = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [backendFor("bad", bad, { priority: 1 }), backendFor("fine", fine, { priority: 2 })],
      routing: { strategy: "priority_only" }
    })
    await chat(gateway.url, "failed-over")
    const [first, second, ...others] = await partsOf(gateway.url, "/admin/v1/decisions/failed-over")
    expect([first, second, others]).toMatchObject([
      { backend: "bad", outcome: "failed", first_byte_ms: null, hedge: false },
      { backend: "fine", outcome: "answered", hedge: false },
      []
    ])
    if (first?.part !== "attempt" || second?.part !== "attempt") throw new Error("no attempts")
    expect(first.reason).toContain("500")
    expect(first.connected_ms ?? -1).toBeGreaterThanOrEqual(first.from_ms)
    expect(second.from_ms).toBeGreaterThanOrEqual(first.to_ms)
    expect(second.first_byte_ms ?? -1).toBeGreaterThanOrEqual(second.connected_ms ?? Infinity)
  })

  test("is told of a wait for a slot, while it goes on and after it", async () => {
    const gate = Promise.withResolvers<void>()
    await using up = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        yield { until: gate.promise }
        yield* good()(request)
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("a", up, { max_concurrent: 1 })] })
    const first = chat(gateway.url, "first")
    await up.call(0)
    const second = chat(gateway.url, "second")
    const path = "/admin/v1/requests/second"
    let parts: ReadonlyArray<TimePart> = []
    while (parts.length === 0) parts = (await partsOf(gateway.url, path)) ?? []
    expect(parts.map(({ part }) => part)).toEqual(["queue"])
    gate.resolve()
    await Promise.all([first, second])
    await until(() => gateway.inFlight() === 0, "all have ended")
    const [queue, attempt, ...others] = await partsOf(gateway.url, "/admin/v1/decisions/second")
    expect([queue?.part, attempt?.part, others]).toEqual(["queue", "attempt", []])
    expect(attempt?.from_ms).toBe(queue?.to_ms ?? Number.NaN)
  })

  test("law: parts stand in the order of their beginnings, end after they begin, and none begins before the request", () => {
    const at = fc.double({ min: 1000, max: 9000, noNaN: true })
    const call = fc.record({ at, connectedAt: fc.oneof(fc.constant(0), at), to: at, isBeside: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(call, { maxLength: 4 }),
        fc.option(call, { nil: undefined }),
        fc.boolean(),
        (calls, last, isOver) => {
          const lost = calls.map(({ at: from, connectedAt, isBeside, to }, nth) =>
            lostCall(
              { backend: `b${nth}`, model: "m", at: from, clock: { connectedAt }, isBeside },
              Math.max(from, to),
              nth % 2 === 0 ? "why" : undefined
            )
          )
          const parts = timeLineOf({
            started: 1000,
            to: 9000,
            isOver,
            waited: [],
            lost,
            last: last && { backend: "last", model: "m", ...last },
            firstByteAt: 0
          })
          expect(parts.length).toBe(lost.length + (last === undefined ? 0 : 1))
          for (const [nth, part] of parts.entries()) {
            expect(part.from_ms).toBeGreaterThanOrEqual(Math.max(0, parts[nth - 1]?.from_ms ?? 0))
            expect(part.to_ms).toBeGreaterThanOrEqual(part.from_ms)
          }
        }
      )
    )
  })
})
