import { describe, expect, test } from "bun:test"
import type { ExplainedUnderWay, RequestUnderWay, RequestsUnderWayList } from "../../src/api/admin-api.ts"
import { chatEvents, chunk, event, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, modelOf, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { takeLog } from "../kit/log.ts"
import { ask, dial, type RawClient, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const place = "/admin/v1/requests"
const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })
const [first = ""] = chatEvents("m", ["a"])

/** A server that begins each stream and never ends it, and never answers what is no stream. */
const slow = (): Promise<FakeUpstream> =>
  startUpstream({
    models: ["m"],
    script: (request) => (wantsStream(request) ? [streamHead(), chunk(first), "hang"] : ["hang"])
  })

const post = async (port: number, id: string, stream: boolean): Promise<RawClient> => {
  const client = await dial(port)
  await client.send(requestBytes("POST", path, body(stream), [`x-request-id: ${id}`]))
  if (stream) await client.until(({ text }) => text === first)
  return client
}

const listed = async (port: number): Promise<ReadonlyArray<RequestUnderWay>> =>
  ((await ask(port, "GET", place)).json() as RequestsUnderWayList).requests // reason: checked by what is expected of it

/** Asks again until the list holds that many; workers are asked within a bound of time. */
const untilListed = async (port: number, count: number) => {
  const end = performance.now() + 60_000
  let found = await listed(port)
  while (found.length !== count) {
    if (performance.now() > end) throw new Error(`${found.length} requests are listed, not ${count}`)
    found = await listed(port)
  }
  return found
}

const errorOf = (text: string) => JSON.parse(text).error

const cancelled = { type: "server_error", param: null, code: "request_cancelled" }

describe("the requests under way", () => {
  test("are listed with their phase, their backend and how much of an answer has passed, oldest first", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    expect(await listed(gateway.port)).toEqual([])
    using reading = await dial(gateway.port)
    await reading.send(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-request-id: reads\r\nContent-Length: 100\r\n\r\n{`
    )
    await untilListed(gateway.port, 1)
    using attempting = await post(gateway.port, "asks", false)
    await upstream.call(0)
    using committed = await post(gateway.port, "flows", true)
    const [reads, asks, flows] = await listed(gateway.port)
    expect(reads).toMatchObject({ id: "reads", phase: "reading", model: "", backend: "", attempts: 0, bytes: 0 })
    expect(asks).toMatchObject({
      id: "asks",
      phase: "attempting",
      endpoint: "chat/completions",
      model: "m",
      stream: false,
      backend: "one",
      upstream_model: "m",
      attempts: 1,
      failures: [],
      first_byte_ms: null
    })
    expect(flows).toMatchObject({ id: "flows", phase: "committed", stream: true, bytes: first.length, pieces: 1 })
    expect(flows?.first_byte_ms).toBeNumber()
    for (const each of [reading, attempting, committed]) each.hangUp()
    await gateway.quiet()
    expect(await listed(gateway.port)).toEqual([])
  })

  test("are explained while they are under way, with the attempts that have failed", async () => {
    await using gone = await startUpstream({ models: ["m"], script: () => ["reset"] })
    await using upstream = await slow()
    await using gateway = await startGateway({
      backends: [backendFor("first", gone, { priority: 1 }), backendFor("second", upstream, { priority: 2 })],
      routing: { strategy: "priority_only" }
    })
    using client = await post(gateway.port, "why", false)
    await upstream.call(0)
    const found = (await ask(gateway.port, "GET", `${place}/why`)).json() as ExplainedUnderWay // reason: checked by what is expected of it
    expect(found.request).toMatchObject({ phase: "attempting", backend: "second", attempts: 2 })
    expect(found.request.failures).toMatchObject([{ backend: "first", model: "m" }])
    expect(found.decision?.order.map(({ backend }) => backend)).toEqual(["first", "second"])
    const missing = await ask(gateway.port, "GET", `${place}/nobody`)
    expect([missing.status, errorOf(missing.text).message]).toEqual([404, "No request 'nobody' is under way"])
    client.hangUp()
    await gateway.quiet()
  })

  test("can be cancelled before an answer: the client is told and not to try again, and no backend is held to blame", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    using client = await post(gateway.port, "early", false)
    const seen = await upstream.call(0)
    const told = await ask(gateway.port, "DELETE", `${place}/early`)
    expect(told.status).toBe(200)
    expect(told.json()).toMatchObject({ requests: [{ id: "early", phase: "attempting", backend: "one" }] })
    const answer = await client.answer()
    expect([answer.status, answer.header("x-should-retry")]).toEqual([499, "false"])
    expect(errorOf(answer.text)).toMatchObject(cancelled)
    await seen.gone
    await gateway.quiet()
    expect(gateway.backend("one")).toMatchObject({ status: "healthy", in_flight: 0, circuits: [] })
    const samples = await scrape(gateway.port)
    expect(total(samples, "nexus_requests_total", { outcome: "cancelled", backend: "one", status: "4xx" })).toBe(1)
    expect(total(samples, "nexus_attempts_total", { outcome: "abandoned" })).toBe(1)
    expect((await ask(gateway.port, "DELETE", `${place}/early`)).status).toBe(404)
    const explained = await ask(gateway.port, "GET", "/admin/v1/decisions/early")
    expect(explained.json()).toMatchObject({ request: { outcome: "cancelled", status: 499, backend: "one" } })
  })

  test("can be cancelled in the middle of a stream, which ends in an error event and is cut", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    using client = await post(gateway.port, "late", true)
    expect((await ask(gateway.port, "DELETE", `${place}/late`)).status).toBe(200)
    const answer = await client.answer()
    expect([answer.status, answer.end]).not.toContain("complete")
    expect(answer.text.startsWith(first)).toBe(true)
    expect(errorOf(answer.text.slice(first.length + "data: ".length))).toMatchObject(cancelled)
    expect(answer.text).not.toContain("[DONE]")
    await gateway.quiet()
    expect(gateway.backend("one").circuits).toEqual([])
    const samples = await scrape(gateway.port)
    expect(total(samples, "nexus_requests_total", { outcome: "cancelled", stream: "true", status: "2xx" })).toBe(1)
    expect(total(samples, "nexus_open_streams")).toBe(0)
  })

  test("can be cancelled while their body comes, and inside of a stream that was opened to keep its client waiting", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => ["hang"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      server: { keepalive_after_seconds: 0.05 }
    })
    using reading = await dial(gateway.port)
    await reading.send(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-request-id: reads\r\nContent-Length: 100\r\n\r\n{`
    )
    await untilListed(gateway.port, 1)
    expect((await ask(gateway.port, "DELETE", `${place}/reads`)).status).toBe(200)
    expect((await reading.answer()).status).toBe(499)
    using waiting = await dial(gateway.port)
    await waiting.send(requestBytes("POST", path, body(true), ["x-request-id: waits"]))
    await waiting.until(({ text }) => text.includes(": keep-alive"))
    expect((await ask(gateway.port, "DELETE", `${place}/waits`)).status).toBe(200)
    const answer = await waiting.answer()
    expect(answer.text).toContain('"code":"request_cancelled"')
    expect(answer.end).not.toBe("complete")
    await gateway.quiet()
  })

  test("that are cancelled while their body comes leave no connection on which the rest would be waited for", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    using reading = await dial(gateway.port)
    await reading.send(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-request-id: reads\r\nContent-Length: 100\r\n\r\n{`
    )
    await untilListed(gateway.port, 1)
    await ask(gateway.port, "DELETE", `${place}/reads`)
    const answer = await reading.answer()
    expect([answer.status, answer.header("connection")]).toEqual([499, "close"])
  })

  test("are told in the log when somebody cancels them", async () => {
    using log = takeLog()
    await using upstream = await slow()
    await using gateway = await startGateway({ logging: { level: "info" }, backends: [backendFor("one", upstream)] })
    using _ = await post(gateway.port, "told", true)
    await ask(gateway.port, "DELETE", `${place}/told`)
    await ask(gateway.port, "DELETE", `${place}/nobody`)
    await gateway.quiet()
    const told = log.lines().filter(({ message }) => message === "request cancelled")
    expect(told).toMatchObject([{ level: "info", request_id: "told", model: "m", backend: "one", phase: "committed" }])
  })

  test("are found and cancelled by every id that a client may give, however long; one that is no name is none", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const long = "x".repeat(128)
    for (const id of ["x", "...", "x".repeat(100), "x".repeat(101), long]) {
      using client = await post(gateway.port, id, true)
      expect((await ask(gateway.port, "GET", `${place}/${id}`)).json()).toMatchObject({ request: { id } })
      expect((await ask(gateway.port, "DELETE", `${place}/${id}`)).status).toBe(200)
      expect((await client.answer()).text).toContain("request_cancelled")
      await gateway.quiet()
      expect((await ask(gateway.port, "GET", `/admin/v1/decisions/${id}`)).json()).toMatchObject({ request: { id } })
    }
    for (const given of [".", ".."]) {
      using client = await post(gateway.port, given, true)
      const [found] = await listed(gateway.port)
      expect(found?.id).toMatch(/^[0-9a-f-]{36}$/)
      client.hangUp()
      await gateway.quiet()
    }
    for (const kept of ["requests", "decisions"]) {
      const missing = await ask(gateway.port, "GET", `/admin/v1/${kept}/${"y".repeat(5000)}`)
      expect([missing.status, errorOf(missing.text).code]).toEqual([404, "not_found"])
    }
  })

  test("with one id are listed and cancelled together, whatever is in the id", async () => {
    await using upstream = await slow()
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const clients = await Promise.all([post(gateway.port, "same:1.x_y", true), post(gateway.port, "same:1.x_y", true)])
    using other = await post(gateway.port, "other", true)
    const told = await ask(gateway.port, "DELETE", `${place}/same%3A1.x_y`)
    expect((told.json() as RequestsUnderWayList).requests).toHaveLength(2) // reason: checked by what is expected of it
    for (const client of clients) expect((await client.answer()).text).toContain("request_cancelled")
    expect((await listed(gateway.port)).map(({ id }) => id)).toEqual(["other"])
    for (const method of ["POST", "PUT"]) expect((await ask(gateway.port, method, `${place}/x`)).status).toBe(405)
    expect((await ask(gateway.port, "DELETE", place)).status).toBe(405)
    other.hangUp()
    await gateway.quiet()
  })

  test("that have ended by themselves are gone from the list, whatever the way", async () => {
    const ways: ReadonlyArray<string> = ["good", "refuses", "breaks", "resets"]
    await using upstream = await startUpstream({
      models: [...ways],
      script: (request) => {
        const model = modelOf(request)
        if (model === "resets") return ["reset"]
        if (model === "breaks") return [streamHead(), chunk(first), "reset"]
        if (model === "refuses") return [streamHead(), chunk(event({ error: { message: "no" } }))]
        return [streamHead(), chunk(first), "fin"]
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    await Promise.all(
      ways.map((model) => ask(gateway.port, "POST", path, JSON.stringify({ model, messages: [], stream: true })))
    )
    await gateway.quiet()
    expect(await listed(gateway.port)).toEqual([])
  })
})

describe.skipIf(process.platform !== "linux")("two workers", () => {
  test("list the requests of both, and cancel one wherever it is", async () => {
    await using upstream = await slow()
    await using gateway = await startProcess({ server: { workers: 2 }, backends: [backendFor("one", upstream)] })
    const ids = Array.from({ length: 6 }, (_, nth) => `r-${nth}`)
    const clients = await Promise.all(ids.map((id) => post(gateway.port, id, true)))
    const found = await untilListed(gateway.port, ids.length)
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    // Each question comes to either of them.
    for (const [at, id] of ids.entries()) {
      expect((await ask(gateway.port, "GET", `${place}/${id}`)).json()).toMatchObject({ request: { id } })
      expect((await ask(gateway.port, "DELETE", `${place}/${id}`)).status).toBe(200)
      expect((await clients[at]?.answer())?.text).toContain("request_cancelled")
    }
    expect((await ask(gateway.port, "DELETE", `${place}/r-0`)).status).toBe(404)
    await untilListed(gateway.port, 0)
  })
})
