import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { chunk, event, head, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { type FakeUpstream, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

/** What is asked around a model, with a good answer to each. */
const rows: ReadonlyArray<readonly [path: string, body: Readonly<Record<string, unknown>>, answer: unknown]> = [
  ["/v1/images/generations", { prompt: "a harbour" }, { created: 1, data: [{ b64_json: "AAAA" }] }],
  ["/v1/moderations", { input: "hi" }, { id: "modr-1", model: "m", results: [{ flagged: false }] }],
  ["/rerank", { query: "q", texts: ["a", "b"] }, [{ index: 1, score: 0.5 }]],
  ["/v1/rerank", { query: "q", documents: ["a"] }, { model: "m", results: [{ index: 0, relevance_score: 0.5 }] }],
  ["/v2/rerank", { query: "q", documents: ["a"], top_n: 1 }, { id: "r", results: [{ index: 0, relevance_score: 1 }] }],
  ["/v1/score", { text_1: "a", text_2: ["b"] }, { object: "list", data: [{ index: 0, score: 0.25 }] }],
  ["/tokenize", { prompt: "hi", add_special_tokens: false }, { count: 1, max_model_len: 4096, tokens: [15043] }],
  ["/tokenize", { content: "hi" }, { tokens: [15043] }],
  ["/tokenize", { inputs: "hi" }, [[{ id: 15043, text: "hi", special: false }]]],
  ["/detokenize", { tokens: [15043] }, { prompt: "hi" }],
  ["/detokenize", { tokens: [] }, { content: "" }],
  ["/v1/fim/completions", { prompt: "def f(", suffix: "return" }, { choices: [{ message: { content: "x):" } }] }]
]

const wav = Uint8Array.from({ length: 300 }, (_, at) => (at * 7) % 256)

let first: FakeUpstream
let second: FakeUpstream
let gateway: Gateway

const post = (path: string, body: unknown) => ask(gateway.port, "POST", path, JSON.stringify(body))
const both = (script: Script) => [first, second].forEach((each) => each.script(script))
const asked = () => [first, second].map((each) => each.calls().length)

beforeAll(async () => {
  const models = ["m", "voice", "omni-moderation-latest"]
  ;[first, second] = await Promise.all([startUpstream({ models }), startUpstream({ models })])
})
afterAll(async () => {
  for (const each of [first, second]) await each[Symbol.asyncDispose]()
})

// What one test makes fail is not held against a backend in the next.
beforeEach(async () => {
  gateway = await startGateway({
    routing: { strategy: "priority_only", aliases: { other: "m" } },
    backends: [backendFor("first", first, { priority: 1 }), backendFor("second", second, { priority: 2 })]
  })
})
afterEach(() => gateway[Symbol.asyncDispose]())

describe("what is asked around a model goes to a backend of it, and its answer comes back as it is:", () => {
  test.each(rows)("%s %j", async (path, body, answer) => {
    both(() => [json(answer, 200, ["X-Secret: of-the-backend"])])
    const sent = { ...body, model: "m", more: [1.0, 1e2, 12345678901234567890n.toString()] }
    const got = await post(path, sent)
    expect({ status: got.status, text: got.text }).toEqual({ status: 200, text: JSON.stringify(answer) })
    expect(got.header("x-nexus-backend")).toBe("first")
    expect(got.header("x-secret")).toBeUndefined()
    expect(first.lastCall()).toMatchObject({ method: "POST", target: path, text: JSON.stringify(sent) })
  })

  test.each(rows)("%s %j by an alias", async (path, body, answer) => {
    both(() => [json(answer)])
    expect((await post(path, { ...body, model: "other" })).status).toBe(200)
    expect(first.lastCall().text).toBe(JSON.stringify({ ...body, model: "m" }))
  })
})

describe("another backend takes over where the first", () => {
  const bad: ReadonlyArray<readonly [what: string, script: Script]> = [
    ["fails", () => [json({ error: { message: "broken" } }, 500)]],
    ["answers with an error under a good status", () => [json({ error: { message: "no", code: 500 } })]],
    ["answers with words of an error alone", () => [json({ detail: "something went wrong" })]],
    ["answers with nothing", () => [whole(200, "")]],
    ["answers with a page", () => [whole(200, "<html>hello</html>", "text/html")]],
    ["answers with JSON that is cut short", () => [whole(200, '{"data":[{"a":')]],
    ["has no such place", () => [whole(404, "404 page not found", "text/plain")]],
    ["closes the connection", () => ["reset"]]
  ]
  for (const [path, body, answer] of rows) {
    test(path + Object.keys(body), async () => {
      for (const [what, script] of bad) {
        first.script(script)
        second.script(() => [json(answer)])
        const got = await post(path, { ...body, model: "m" })
        expect({ what, status: got.status, by: got.header("x-nexus-backend") }).toEqual({
          what,
          status: 200,
          by: "second"
        })
        // Failures in a row would be held against it.
        first.script(() => [json(answer)])
        expect((await post(path, { ...body, model: "m" })).header("x-nexus-backend")).toBe("first")
      }
    })
  }

  test("cannot say a word, of speech too", async () => {
    for (const [what, script] of bad) {
      first.script(script)
      second.script(() => [whole(200, wav, "audio/wav")])
      const got = await post("/v1/audio/speech", { model: "voice", input: "hi", voice: "alloy" })
      expect({ what, status: got.status, by: got.header("x-nexus-backend") }).toEqual({
        what,
        status: 200,
        by: "second"
      })
      first.script(() => [whole(200, wav, "audio/wav")])
      const again = await post("/v1/audio/speech", { model: "voice", input: "hi" })
      expect(again.header("x-nexus-backend")).toBe("first")
    }
  })
})

describe("speech", () => {
  test("comes as it is made, under the type of its format", async () => {
    const rest = Promise.withResolvers<void>()
    first.script(function* () {
      yield head(200, ["Content-Type: audio/ogg; codecs=opus", "Transfer-Encoding: chunked"])
      yield chunk(wav.subarray(0, 100))
      yield { until: rest.promise }
      yield chunk(wav.subarray(100))
      yield lastChunk
    })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/audio/speech", JSON.stringify({ model: "voice", input: "hi" })))
    const begun = await client.until(({ body }) => body.length >= 100)
    expect(begun.end).toBe("open")
    rest.resolve()
    const got = await client.answer()
    expect(got.header("content-type")).toBe("audio/ogg; codecs=opus")
    expect([...got.body]).toEqual([...wav])
  })

  test("in samples that begin like JSON or a page is speech", async () => {
    for (const start of ["{", "<", "  {"]) {
      const pcm = Buffer.concat([Buffer.from(start), wav])
      first.script(() => [whole(200, pcm, "audio/pcm")])
      expect([...(await post("/v1/audio/speech", { model: "voice", input: "hi" })).body]).toEqual([...pcm])
      first.script(() => [whole(200, pcm, "application/octet-stream")])
      expect([...(await post("/v1/audio/speech", { model: "voice", input: "hi" })).body]).toEqual([...pcm])
    }
  })

  test("that breaks off is cut, and never ends well", async () => {
    const end = Promise.withResolvers<void>()
    first.script(() => [
      head(200, ["Content-Type: audio/wav", "Transfer-Encoding: chunked"]),
      chunk(wav.subarray(0, 50)),
      { until: end.promise },
      "fin"
    ])
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/audio/speech", JSON.stringify({ model: "voice", input: "hi" })))
    await client.until(({ body }) => body.length === 50)
    end.resolve()
    const got = await client.answer()
    expect({ size: got.body.length, whole: got.end === "complete" }).toEqual({ size: 50, whole: false })
  })

  test("may be asked for as events", async () => {
    const events = [event({ type: "speech.audio.delta", audio: "AAAA" }), event({ type: "speech.audio.done" })]
    first.script(() => [streamHead(), ...events.map(chunk), lastChunk])
    const got = await post("/v1/audio/speech", { model: "voice", input: "hi", stream_format: "sse" })
    expect(got).toMatchObject({ status: 200, text: events.join(""), end: "complete" })
  })
})

describe("a stream of images", () => {
  const events = [
    event({ type: "image_generation.partial_image", b64_json: "AA" }),
    event({ type: "image_generation.completed", b64_json: "AAAA" })
  ]
  const streaming = { model: "m", prompt: "a harbour", stream: true, partial_images: 1 }

  test("passes as it comes", async () => {
    first.script(() => [streamHead(), ...events.map(chunk), lastChunk])
    expect(await post("/v1/images/generations", streaming)).toMatchObject({ status: 200, text: events.join("") })
  })

  test("whose first event is an error is another backend's to answer, however it is cut", async () => {
    const error = event({ type: "error", error: { message: "no room", code: "500" } })
    for (const at of [1, 10, error.length - 2]) {
      first.script(() => [streamHead(), chunk(error.slice(0, at)), chunk(error.slice(at)), lastChunk])
      second.script(() => [streamHead(), ...events.map(chunk), lastChunk])
      const got = await post("/v1/images/generations", streaming)
      expect({ text: got.text, by: got.header("x-nexus-backend") }).toEqual({ text: events.join(""), by: "second" })
    }
  })

  test("that breaks off ends with an error, and is cut", async () => {
    first.script(() => [streamHead(), chunk(events[0] ?? ""), "fin"])
    const got = await post("/v1/images/generations", streaming)
    expect(got.text).toStartWith(events[0] ?? "")
    expect(got.text).toContain('"error"')
    expect(got.end).not.toBe("complete")
  })
})

describe("a request that names no model", () => {
  beforeEach(() => both((request) => [json({ results: [], model: modelOf(request) })]))

  test("means the usual one where there is such a one", async () => {
    expect((await post("/v1/moderations", { input: "hi" })).status).toBe(200)
    expect(first.lastCall().text).toBe('{"input":"hi"}')
  })

  test("is told what is missing where there are several", async () => {
    const before = asked()
    const got = await post("/v1/rerank", { query: "q", documents: [] })
    expect({ status: got.status, text: got.text }).toMatchObject({ status: 400 })
    expect(got.text).toContain("'model' is missing")
    expect(asked()).toEqual(before)
  })

  test("means the only one there is", async () => {
    await using only = await startUpstream({ models: ["bge"], script: () => [json([{ index: 0, score: 1 }])] })
    await using small = await startGateway({ backends: [backendFor("tei", only)] })
    const body = JSON.stringify({ query: "q", texts: ["a"] })
    expect((await ask(small.port, "POST", "/rerank", body)).status).toBe(200)
    expect(only.lastCall()).toMatchObject({ target: "/rerank", text: body })
  })
})

test("places written amiss lead where they can only mean", async () => {
  both(() => [json({ data: [], results: [], tokens: [] })])
  for (const [path, meant] of [
    ["/v1/v2/rerank", "/v2/rerank"],
    ["/v1/reranking", "/v1/rerank"],
    ["/reranking", "/rerank"],
    ["/rerank/", "/rerank"],
    ["/score", "/v1/score"],
    ["/v1/tokenize", "/tokenize"],
    ["/audio/speech", "/v1/audio/speech"],
    ["/v1/v1/images/generations", "/v1/images/generations"],
    ["/v1/chat/completions/moderations", "/v1/moderations"]
  ] as const) {
    first.script(
      path.includes("speech") ? () => [whole(200, wav, "audio/wav")] : () => [json({ data: [], results: [] })]
    )
    const got = await post(path, { model: "m" })
    expect({ path, status: got.status, target: first.lastCall().target }).toEqual({ path, status: 200, target: meant })
  }
})

test("a body above 64 KB is gone through, not built", async () => {
  both(() => [json({ results: [{ index: 0, relevance_score: 1 }] })])
  const body = {
    documents: Array.from({ length: 3000 }, (_, at) => `document ${at} ${"x".repeat(50)}`),
    model: "other"
  }
  expect((await post("/v1/rerank", body)).status).toBe(200)
  expect(first.lastCall().text).toBe(JSON.stringify({ ...body, model: "m" }))
})

test("the figures and the reasons know each by its name", async () => {
  both(() => [json({ results: [] })])
  await post("/v2/rerank", { model: "m", query: "q", documents: [] })
  const metrics = (await ask(gateway.port, "GET", "/metrics")).text
  expect(metrics).toContain('endpoint="v2/rerank"')
  const route = await ask(gateway.port, "POST", "/admin/v1/route?endpoint=v2/rerank", '{"model":"other"}')
  expect(route.json()).toMatchObject({ refusal: null })
})

describe("the openai package", () => {
  const openai = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "k", maxRetries: 0 })

  test("speaks", async () => {
    first.script(() => [whole(200, wav, "audio/mpeg")])
    const answer = await openai().audio.speech.create({ model: "voice", input: "hi", voice: "alloy" })
    expect(answer.headers.get("content-type")).toBe("audio/mpeg")
    expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual([...wav])
  })

  test("draws, whole and in pieces", async () => {
    first.script(() => [json({ created: 1, data: [{ b64_json: "AAAA" }] })])
    const drawn = await openai().images.generate({ model: "m", prompt: "a harbour" })
    expect(drawn.data).toEqual([{ b64_json: "AAAA" }])
    const events = [
      { type: "image_generation.partial_image", b64_json: "AA", partial_image_index: 0 },
      { type: "image_generation.completed", b64_json: "AAAA" }
    ]
    first.script(() => [streamHead(), ...events.map((each) => chunk(event(each))), lastChunk])
    const seen: Array<string> = []
    for await (const { type } of await openai().images.generate({ model: "m", prompt: "x", stream: true }))
      seen.push(type)
    expect(seen).toEqual(events.map(({ type }) => type))
  })

  test("moderates without naming a model", async () => {
    first.script(() => [json({ id: "modr-1", model: "omni-moderation-latest", results: [{ flagged: true }] })])
    expect((await openai().moderations.create({ input: "hi" })).results).toMatchObject([{ flagged: true }])
  })
})
