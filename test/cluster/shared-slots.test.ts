import { describe, expect, test } from "bun:test"
import type { RequestsUnderWayList } from "../../src/api/admin-api.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startProcess, until } from "../kit/gateway.ts"
import { ask, dial, type RawClient, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const slots = 2

/** A server whose answers wait for a word of the test. */
const startHeld = async () => {
  const gates: Array<PromiseWithResolvers<void>> = []
  let most = 0
  let busy = 0
  const upstream = await startUpstream({
    models: ["m"],
    script: async function* (request) {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      busy += 1
      most = Math.max(most, busy)
      yield { until: gate.promise }
      busy -= 1
      yield* good()(request)
    }
  })
  return {
    upstream,
    /** Lets the nth call be answered, once it is there. */
    answer: async (nth: number) => {
      await until(() => gates.length > nth, `call ${nth} is there`)
      gates[nth]?.resolve()
    },
    calls: () => gates.length,
    most: () => most,
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]()
  }
}

const post = async (port: number, content: string): Promise<RawClient> => {
  const client = await dial(port)
  const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }] })
  await client.send(requestBytes("POST", path, body, [`x-request-id: ${content}`]))
  return client
}

const countOf = async (port: number, phase: string): Promise<number> => {
  const { requests } = (await ask(port, "GET", "/admin/v1/requests")).json() as RequestsUnderWayList // reason: checked by what is expected of it
  return requests.filter((each) => each.phase === phase).length
}

/** Asks until so many of all workers are in a phase. */
const untilThere = async (port: number, phase: string, count: number): Promise<void> => {
  const end = performance.now() + 60_000
  let found = -1
  while (found !== count) {
    expect(performance.now(), `${found} are ${phase}, not ${count}`).toBeLessThan(end)
    found = await countOf(port, phase)
  }
}

/** Each worker has heard of what all of them have at the server. */
const untilAllCount = async (port: number, count: number): Promise<void> => {
  const end = performance.now() + 60_000
  const told = async () => {
    const { backends } = (await ask(port, "GET", "/nexus/backends")).json() as {
      readonly backends: ReadonlyArray<{ readonly in_flight: number }>
    } // reason: checked by what is expected of it
    return backends[0]?.in_flight
  }
  for (;;) {
    const all = await Promise.all(Array.from({ length: 16 }, told))
    if (all.every((each) => each === count)) return
    expect(performance.now(), `all count ${count}`).toBeLessThan(end)
  }
}

describe.skipIf(process.platform !== "linux")("two workers before a server with two slots", () => {
  test("give it no more than these, and whoever waits at either goes when either has one free", async () => {
    await using held = await startHeld()
    await using gateway = await startProcess({
      server: { workers: 2 },
      backends: [backendFor("one", held.upstream, { slots })]
    })
    const { port } = gateway
    const clients: Array<RawClient> = []
    for (let nth = 0; nth < slots; nth += 1) {
      clients.push(await post(port, `r${nth}`))
      await untilAllCount(port, nth + 1)
    }
    // Some of them at each of the workers.
    for (let nth = 0; nth < 10; nth += 1) clients.push(await post(port, `w${nth}`))
    await untilThere(port, "queued", 10)
    expect(held.calls()).toBe(slots)
    for (const [nth] of clients.entries()) {
      await held.answer(nth)
      await untilThere(port, "queued", Math.max(0, 10 - (nth + 1)))
    }
    for (const client of clients) expect((await client.answer()).status).toBe(200)
    // While one tells the others that it has taken a place, each of these may take it too.
    expect(held.most()).toBeLessThanOrEqual(slots + 1)
    await untilAllCount(port, 0)
    expect(await countOf(port, "queued")).toBe(0)
  }, 240_000)
})
