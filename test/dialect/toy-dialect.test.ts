import { createHash } from "node:crypto"
import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { type DialectList, Dialects } from "../../src/dialect/all.ts"
import { pathsOf } from "../../src/dialect/routes.ts"
import { chunk, head, lastChunk, whole } from "../kit/answers.ts"
import { holdsUnderAnyCutting, watchCodec } from "../kit/cutting.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { ToyWatch } from "../kit/toy-dialect/toy-watch.ts"
import { toy } from "../kit/toy-dialect/toy.ts"

// The one line that a dialect takes.
const dialects: DialectList = [...Dialects.defaultValue(), toy]

const told = (words: string, model = "m") => whole(200, `by ${model}\n${words}\ntook 3+4\n`, "text/x-toy")

const lines = head(200, ["Content-Type: text/x-toy-lines", "Transfer-Encoding: chunked"])

/** A server that speaks it, and what it was asked. */
const startToy = async (
  answer: (request: Seen) => Iterable<Step> | AsyncIterable<Step>,
  model = "m"
): Promise<{ readonly upstream: FakeUpstream; readonly asked: ReadonlyArray<Seen> } & AsyncDisposable> => {
  const asked: Array<Seen> = []
  const upstream = await startUpstream({
    models: [model],
    probe: (request) => {
      if (request.target !== "/toy/say") return undefined
      asked.push(request)
      return answer(request) as Iterable<Step> // reason: the server takes both
    }
  })
  return { upstream, asked, [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]() }
}

const gatewayOver = (toys: ReadonlyArray<{ readonly upstream: FakeUpstream }>, more: SettingsTree = {}) =>
  startGateway(
    {
      backends: toys.map(({ upstream }, at) => backendFor(`toy-${at}`, upstream, { priority: at + 1 })),
      routing: { strategy: "priority_only" },
      ...more
    },
    undefined,
    dialects
  )

const request = (fields: string, words = "hello") => `${fields}\n\n${words}`

describe("a dialect of its own paths, shapes and marks", () => {
  test("is served whole, byte for byte, with the model that the name leads to", async () => {
    await using one = await startToy(
      () => [whole(200, "by real\nhi\ntook 3+4\n", "text/x-toy", ["X-Toy-Weather: rain", "OpenAI-Processing-Ms: 5"])],
      "real"
    )
    await using gateway = await gatewayOver([one], { routing: { aliases: { short: "real" } } })
    const answer = await ask(gateway.port, "POST", "/toy/say", request("model: short"), [
      "X-Toy-Mood: glad",
      "OpenAI-Beta: x"
    ])
    expect([answer.status, answer.text]).toEqual([200, "by real\nhi\ntook 3+4\n"])
    expect(answer.header("content-type")).toBe("text/x-toy")
    expect(answer.header("x-toy-weather")).toBe("rain")
    expect(answer.header("openai-processing-ms")).toBeUndefined()
    expect(answer.header("x-nexus-backend")).toBe("toy-0")
    expect(one.asked[0]?.text).toBe(request("model: real"))
    expect(one.asked[0]?.header("content-type")).toBe("text/x-toy")
    expect(one.asked[0]?.header("x-toy-mood")).toBe("glad")
    expect(one.asked[0]?.header("openai-beta")).toBeUndefined()
  })

  test("answers about models on pages of its own, and at the front for its own clients alone", async () => {
    await using one = await startToy(() => [told("hi", "a/b:c")], "a/b:c")
    await using gateway = await gatewayOver([one])
    const page = (method: string, path: string, headers: ReadonlyArray<string> = [], body = "") =>
      ask(gateway.port, method, path, body, headers)
    const list = await page("GET", "/toy/models")
    expect([list.status, list.header("content-type"), list.text]).toEqual([200, "text/x-toy", "a/b:c\n"])
    for (const name of ["a/b:c", "a%2Fb%3Ac"]) {
      const model = await page("GET", `/toy/models/${name}?as=toy`)
      expect([model.status, model.text]).toEqual([203, "a/b:c toy ready"])
    }
    expect((await page("GET", "/toy/models/nope")).text).toStartWith("oops model_not_found")
    expect((await page("POST", "/toy/ask", [], "much")).text).toBe("1 much")
    const head = await page("HEAD", "/toy/models")
    expect([head.status, head.text]).toEqual([200, ""])
    const wrong = await page("DELETE", "/toy/models")
    expect([wrong.status, wrong.header("allow")]).toEqual([405, "GET, HEAD"])
    expect((await page("GET", "/")).text).not.toBe("a toy")
    expect((await page("GET", "/", ["X-Toy-Mood: glad"])).text).toBe("a toy")
    expect((await page("GET", "/v1/models", ["X-Toy-Mood: glad"])).json()).toMatchObject({ object: "list" })
  })

  test("is streamed bit by bit, and gets its own end mark when it lacks one", async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await using one = await startToy(() => [
      lines,
      chunk("~\n+a\n"),
      { until: held },
      chunk("+b\ntook 3+4\n"),
      lastChunk
    ])
    await using gateway = await gatewayOver([one])
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/toy/say", request("model: m\nstream: yes")))
    expect((await client.until(({ text }) => text.includes("+a\n"))).header("content-type")).toBe("text/x-toy-lines")
    release()
    const answer = await client.answer()
    expect([answer.text, answer.end]).toEqual(["~\n+a\n+b\ntook 3+4\n.\n", "complete"])
    await gateway.quiet()
    const samples = await scrape(gateway.port)
    const ended = {
      endpoint: "toy/say",
      model: "m",
      backend: "toy-0",
      outcome: "completed",
      status: "2xx",
      stream: "true"
    }
    expect(total(samples, "nexus_requests_total", ended)).toBe(1)
    expect(total(samples, "nexus_tokens_total", { kind: "completion" })).toBe(4)
  })

  test("ends a broken stream with a failure in its own words, and a cut", async () => {
    await using one = await startToy(() => [lines, chunk("+a\n+b"), { pause: 20 }, "fin"])
    await using gateway = await gatewayOver([one])
    const answer = await ask(gateway.port, "POST", "/toy/say", request("model: m\nstream: yes"))
    expect(answer.text).toMatch(/^\+a\n\+b\n!oops bad_gateway: No good answer from a backend for model 'm': .+\n$/)
    expect(answer.end).not.toBe("complete")
  })

  test("keeps the secrets of its backends out of a failure inside of a stream", async () => {
    await using one = await startToy(() => [lines, chunk("+a\n"), chunk("!key sekret-123 is spent\n"), lastChunk])
    const secrets = { backendKeys: new Map([["toy-0", "sekret-123"]]), authKeys: [] }
    await using gateway = await startGateway(
      { backends: [backendFor("toy-0", one.upstream, { api_key_env: "TOY_KEY" })] },
      secrets,
      dialects
    )
    const answer = await ask(gateway.port, "POST", "/toy/say", request("model: m\nstream: yes"))
    expect(answer.text).toBe("+a\n!key [redacted] is spent\n")
    expect(answer.end).not.toBe("complete")
  })

  test("goes on to the next backend when the first begins with a failure, or with another dialect's words", async () => {
    const bad: ReadonlyArray<ReadonlyArray<Step>> = [
      [lines, chunk("~\n!503 busy\n"), lastChunk],
      [lines, chunk('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'), lastChunk],
      [whole(200, '{"choices":[{"message":{}}]}')]
    ]
    for (const steps of bad) {
      await using one = await startToy(() => steps)
      await using two = await startToy(() => [lines, chunk("+yes\n.\n"), lastChunk])
      await using gateway = await gatewayOver([one, two])
      const answer = await ask(gateway.port, "POST", "/toy/say", request("model: m\nstream: yes"))
      expect([answer.text, answer.header("x-nexus-backend")]).toEqual(["+yes\n.\n", "toy-1"])
    }
  })

  test("lets nobody wait in silence, in its own way, and tells of a failure inside of what it has opened", async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await using one = await startToy(() => [{ until: held }, whole(400, "too loud", "text/x-toy")])
    await using gateway = await gatewayOver([one], { server: { keepalive_after_seconds: 0.03 } })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/toy/say", request("model: m\nstream: yes")))
    expect((await client.until(({ text }) => text.includes("~\n"))).header("content-type")).toBe("text/x-toy-lines")
    release()
    const answer = await client.answer()
    expect(answer.text).toMatch(/^(~\n)+!oops 400: too loud\n$/)
    expect(answer.end).not.toBe("complete")
  })

  test("is left in silence, and told a failure by its status, where its clients bear nothing before an answer", async () => {
    await using one = await startToy(() => [{ pause: 150 }, whole(400, "too loud", "text/x-toy")])
    await using gateway = await startGateway(
      { server: { keepalive_after_seconds: 0.03 }, backends: [backendFor("toy-0", one.upstream)] },
      undefined,
      [...Dialects.defaultValue(), { ...toy, keepAlive: undefined }]
    )
    const answer = await ask(gateway.port, "POST", "/toy/say", request("model: m\nstream: yes"))
    expect([answer.status, answer.text]).toEqual([400, "oops 400: too loud"])
  })

  test("is refused in its own shape for want of a key, and when nobody can be reached", async () => {
    await using one = await startToy(() => [told("hi")])
    await using gateway = await startGateway(
      { backends: [backendFor("toy-0", one.upstream)] },
      { backendKeys: new Map(), authKeys: [{ name: "k", digest: createHash("sha256").update("right").digest() }] },
      dialects
    )
    const keyless = await ask(gateway.port, "POST", "/toy/say", request("model: m"))
    expect([keyless.status, keyless.header("content-type")]).toEqual([401, "text/x-toy"])
    expect(keyless.text).toStartWith("oops invalid_api_key: ")
    await one.upstream.server.kill()
    const away = await ask(gateway.port, "POST", "/toy/say", request("model: m"), ["Authorization: Bearer right"])
    expect(away.status).toBe(503)
    expect(away.text).toStartWith("oops service_unavailable: No healthy backends available for model 'm'")
  })

  test("is refused in its own shape: by the gateway, by its paths, and by a backend", async () => {
    await using one = await startToy(() => [whole(422, "too loud", "text/plain")])
    await using gateway = await gatewayOver([one])
    const say = (text: string, path = "/toy/say") => ask(gateway.port, "POST", path, text)
    const shown = async (text: string, path?: string) => {
      const { status, text: body } = await say(text, path)
      return [status, body]
    }
    expect(await shown(request("stream: yes"))).toEqual([400, "oops bad_request: Say which model"])
    expect(await shown(request("model: m"))).toEqual([422, "oops 422: too loud"])
    expect(await shown(request("model: m"), "/toy/speak")).toEqual([422, "oops 422: too loud"])
    const unknown = await say(request("model: n"))
    expect([unknown.status, unknown.header("content-type")]).toEqual([404, "text/x-toy"])
    expect(unknown.text).toStartWith("oops model_not_found: Model 'n' not found")
    const read = await ask(gateway.port, "GET", "/toy/say")
    expect([read.status, read.text]).toEqual([405, "oops method_not_allowed: GET is not allowed on /toy/say; use POST"])
    // Whoever asks for nothing of any dialect is told in the first one's.
    const lost = await say("", "/toys")
    expect(lost.json()).toMatchObject({ error: { code: "not_found" } })
    expect(lost.text).toContain("It is said at /toy/say")
  })

  test("is explained and remembered under its own name", async () => {
    await using one = await startToy(() => [told("hi")])
    await using gateway = await gatewayOver([one])
    await ask(gateway.port, "POST", "/toy/say", request("model: m"), ["x-request-id: toy-1"])
    await gateway.quiet()
    const { request: remembered, decision } = (await ask(gateway.port, "GET", "/admin/v1/decisions/toy-1")).json() as {
      request: unknown
      decision: unknown
    }
    expect(remembered).toMatchObject({ endpoint: "toy/say", outcome: "completed", backend: "toy-0" })
    expect(decision).toMatchObject({ requested: "m", order: [{ backend: "toy-0" }] })
    const route = await ask(gateway.port, "POST", "/admin/v1/route?endpoint=toy/say", request("model: m"))
    expect(route.json()).toMatchObject({ decision: { order: [{ backend: "toy-0" }] }, refusal: null })
    expect((await ask(gateway.port, "POST", "/admin/v1/route?endpoint=toy/sing", "x")).status).toBe(400)
  })

  test("leaves the others as they are", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] }, undefined, dialects)
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", '{"model":"m","messages":[]}')
    expect(answer.json()).toMatchObject({ choices: [{ message: { content: "Hello there" } }] })
    const document = (await ask(gateway.port, "GET", "/openapi.json")).text
    expect(/"enum":\["chat\/completions",[^\]]*"toy\/say"\]/.test(document)).toBe(true)
  })
})

test("what is known of its streams is the same under any cutting", () =>
  holdsUnderAnyCutting(
    watchCodec(
      () => new ToyWatch(),
      (watch) => [watch.ending(), watch.used(), new TextDecoder().decode(watch.last()), watch.silent, watch.size]
    ),
    fc
      .array(fc.constantFrom("+é\n", "~\n", "!x\n", ".\n", "took 1+2\n", "+a", "\n"), { maxLength: 8 })
      .map((all) => new TextEncoder().encode(all.join("")))
  ))

test("no two operations of the dialects that are served have one name or one path", () => {
  const operations = dialects.flatMap((dialect) => dialect.operations)
  expect(new Set(operations.map(({ name }) => name)).size).toBe(operations.length)
  expect(new Set(operations.flatMap(pathsOf)).size).toBe(operations.flatMap(pathsOf).length)
})
