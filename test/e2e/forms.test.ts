import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import OpenAI, { toFile } from "openai"
import { chunk, event, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"
import type { Seen } from "../kit/rawServer.ts"

const boundary = "----nexus-test"
const path = "/v1/audio/transcriptions"

const sound = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 31) % 251))

interface Part {
  readonly name: string
  readonly value: string | Uint8Array
  readonly file?: string
}

const formOf = (parts: ReadonlyArray<Part>): Buffer =>
  Buffer.concat([
    ...parts.flatMap(({ file, name, value }) => [
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file === undefined ? "" : `; filename="${file}"\r\nContent-Type: audio/wav`}\r\n\r\n`
      ),
      Buffer.from(value),
      Buffer.from("\r\n")
    ]),
    Buffer.from(`--${boundary}--\r\n`)
  ])

const type = `Content-Type: multipart/form-data; boundary=${boundary}`
const model = (value: string): Part => ({ name: "model", value })
const file = (size: number): Part => ({ name: "file", file: "a.wav", value: sound(size) })

/** What a backend got, as a form that is read by somebody else. */
const read = async (seen: Seen) => {
  const form = await new Response(seen.body as Uint8Array<ArrayBuffer>, {
    // reason: it never sits on shared memory
    headers: { "content-type": seen.header("content-type") ?? "" }
  }).formData()
  const entries = await Promise.all(
    [...form.entries()].map(async ([name, value]) => [
      name,
      typeof value === "string" ? value : new Uint8Array(await value.arrayBuffer()).length
    ])
  )
  return entries
}

let first: FakeUpstream
let second: FakeUpstream
let gateway: Gateway

const raw = (body: Uint8Array, headers: ReadonlyArray<string> = [], target = path) =>
  Buffer.concat([
    Buffer.from(
      [`POST ${target} HTTP/1.1`, "Host: 127.0.0.1", type, `Content-Length: ${body.length}`, ...headers, "", ""].join(
        "\r\n"
      )
    ),
    body
  ])

const send = async (body: Uint8Array, target = path) => {
  using client = await dial(gateway.port)
  await client.send(raw(body, [], target))
  return await client.answer()
}

beforeAll(async () => {
  ;[first, second] = await Promise.all([
    startUpstream({ models: ["whisper", "gpt-image"] }),
    startUpstream({ models: ["whisper", "gpt-image"] })
  ])
})
afterAll(async () => {
  for (const each of [first, second]) await each[Symbol.asyncDispose]()
})
beforeEach(async () => {
  for (const each of [first, second]) each.script(() => [json({ text: "hello" })])
  gateway = await startGateway({
    server: { max_body_mb: 4, max_streamed_mb: 20 },
    routing: { strategy: "priority_only", aliases: { "whisper-1": "whisper" } },
    backends: [backendFor("first", first, { priority: 1 }), backendFor("second", second, { priority: 2 })]
  })
})
afterEach(() => gateway[Symbol.asyncDispose]())

describe("a form reaches a backend of its model, as it came but for the name of that,", () => {
  const rows: ReadonlyArray<readonly [what: string, parts: ReadonlyArray<Part>]> = [
    ["model first", [model("whisper-1"), { name: "language", value: "en" }, file(1000)]],
    ["model last", [file(1000), { name: "language", value: "en" }, model("whisper-1")]],
    ["large, model first", [model("whisper-1"), file(3_500_000)]],
    ["large, model last", [file(2_500_000), model("whisper-1")]],
    ["large, model in the middle", [file(1_500_000), model("whisper-1"), { ...file(2_000_000), name: "other" }]]
  ]
  const named = (parts: ReadonlyArray<Part>, name: string) =>
    parts.map((part) => (part.name === "model" ? model(name) : part))

  for (const [what, parts] of rows) {
    test(`${what}, with a length`, async () => {
      expect(await send(formOf(parts))).toMatchObject({ status: 200, text: '{"text":"hello"}' })
      const seen = first.lastCall()
      expect(Buffer.compare(seen.body, formOf(named(parts, "whisper")))).toBe(0)
      expect(seen.header("content-length")).toBe(String(seen.body.length))
      expect(seen.header("transfer-encoding")).toBeUndefined()
      expect(seen.header("content-type")).toBe(type.slice("Content-Type: ".length))
    })

    test(`${what}, in chunks of odd sizes`, async () => {
      using client = await dial(gateway.port)
      await client.send(
        [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, "Transfer-Encoding: chunked", "", ""].join("\r\n")
      )
      const body = formOf(parts)
      for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 99_991 || 1) {
        await client.send(chunk(body.subarray(at, at + size)))
      }
      await client.send(lastChunk)
      expect(await client.answer()).toMatchObject({ status: 200, text: '{"text":"hello"}' })
      expect(Buffer.compare(first.lastCall().body, formOf(named(parts, "whisper")))).toBe(0)
    })

    test(`${what}, by its own name`, async () => {
      const body = formOf(named(parts, "whisper"))
      expect((await send(body)).status).toBe(200)
      expect(Buffer.compare(first.lastCall().body, body)).toBe(0)
    })
  }

  test("cut anywhere around its fields", async () => {
    const body = formOf([file(50), model("whisper-1")])
    for (let at = 1; at < body.length; at += 13) {
      using client = await dial(gateway.port)
      const bytes = raw(body)
      const head = bytes.length - body.length
      await client.send(bytes.subarray(0, head + at))
      await client.send(bytes.subarray(head + at))
      expect((await client.answer()).status).toBe(200)
      expect(Buffer.compare(first.lastCall().body, formOf([file(50), model("whisper")]))).toBe(0)
    }
  })
})

describe("an answer passes in its own form:", () => {
  const rows = [
    ["text/plain; charset=utf-8", "hello\n"],
    ["text/plain", ""],
    ["text/vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n"],
    ["application/x-subrip", "1\n00:00:00,000 --> 00:00:01,000\n{hello}\n"],
    ["text/plain", "{hello} is no JSON"],
    ["application/json", '{"text":"","segments":[]}']
  ] as const
  test.each(rows)("%s %j", async (kind, text) => {
    first.script(() => [whole(200, text, kind)])
    const got = await send(formOf([file(100), model("whisper")]))
    expect({ status: got.status, text: got.text, by: got.header("x-nexus-backend") }).toEqual({
      status: 200,
      text,
      by: "first"
    })
    expect(got.header("content-type")).toStartWith(kind)
  })

  const bad = [
    ["an error under a good status", whole(200, '{"error":{"message":"no"}}')],
    ["an error that calls itself a text", whole(200, '{"error":{"message":"no"}}', "text/plain")],
    ["a page", whole(200, "<!doctype html><p>hi", "text/html")],
    ["JSON that is cut short", whole(200, '{"text":"hel')],
    ["nothing that calls itself JSON", whole(200, "")]
  ] as const
  test.each(bad)("%s is none", async (_what, bytes) => {
    first.script(() => [bytes])
    expect((await send(formOf([file(100), model("whisper")]))).header("x-nexus-backend")).toBe("second")
  })

  test("events, whether the wish for them stands before or behind", async () => {
    const events = [
      event({ type: "transcript.text.delta", delta: "hel" }),
      event({ type: "transcript.text.done", text: "hello" })
    ]
    first.script(() => [streamHead(), ...events.map(chunk), lastChunk])
    const wish = { name: "stream", value: "true" }
    for (const parts of [
      [wish, model("whisper"), file(100)],
      [model("whisper"), file(100), wish],
      [model("whisper"), file(3_000_000), wish]
    ]) {
      expect(await send(formOf(parts))).toMatchObject({ status: 200, text: events.join(""), end: "complete" })
    }
  })
})

describe("another backend takes over", () => {
  const failures = [
    ["that is overloaded", () => [json({ error: { message: "busy" } }, 503)]],
    ["that closes the connection", () => ["fin" as const]],
    ["that has no such place", () => [whole(404, "Not Found", "text/plain")]]
  ] as const
  for (const [what, script] of failures) {
    for (const parts of [
      [model("whisper-1"), file(1000)],
      [file(3_000_000), model("whisper-1")]
    ]) {
      test(`from one ${what}, with all of ${formOf(parts).length} bytes`, async () => {
        first.script(script)
        const got = await send(formOf(parts))
        expect({ status: got.status, by: got.header("x-nexus-backend") }).toEqual({ status: 200, by: "second" })
        const sent = parts.map((part) => (part.name === "model" ? model("whisper") : part))
        expect(Buffer.compare(second.lastCall().body, formOf(sent))).toBe(0)
      })
    }
  }

  test("from one that is gone, of a form of any size", async () => {
    await using gone = await startUpstream({ models: ["whisper"] })
    await using other = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("gone", gone, { priority: 1 }), backendFor("second", second, { priority: 2 })]
    })
    await gone[Symbol.asyncDispose]()
    const body = formOf([model("whisper"), file(5_000_000)])
    using client = await dial(other.port)
    await client.send(raw(body))
    expect((await client.answer()).header("x-nexus-backend")).toBe("second")
    expect(Buffer.compare(second.lastCall().body, body)).toBe(0)
  })

  test("from none that has had more than is held: its failure is the answer", async () => {
    first.script(() => [json({ error: { message: "busy" } }, 500)])
    const before = second.calls().length
    const got = await send(formOf([model("whisper"), file(5_000_000)]))
    expect(got.status).toBe(502)
    expect(second.calls().length).toBe(before)
  })
})

describe("a form is refused", () => {
  const rows: ReadonlyArray<readonly [what: string, body: Buffer, status: number, words: string]> = [
    ["without a model", formOf([file(100)]), 400, "'model' is missing"],
    ["with an empty model", formOf([model(""), file(100)]), 400, "'model' is empty"],
    ["with two models", formOf([model("whisper"), file(100), model("other")]), 400, "more than once"],
    ["with a model that nobody has", formOf([model("nobody"), file(100)]), 404, "not found"],
    ["without its end", formOf([model("whisper"), file(100)]).subarray(0, -20), 400, "last boundary"],
    ["that is none", Buffer.from("hello"), 400, "last boundary"],
    [
      "too large to be held, with its model at the end",
      formOf([file(5_000_000), model("whisper")]),
      413,
      "before the files"
    ]
  ]
  test.each(rows)("%s", async (_what, body, status, words) => {
    const before = first.calls().length
    const got = await send(body)
    expect(got.status).toBe(status)
    expect(got.text).toContain(words)
    expect(first.calls().length).toBe(before)
    await gateway.quiet()
  })

  test("that is too large at all", async () => {
    using told = await dial(gateway.port)
    await told.send(
      [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, `Content-Length: ${21 * 1_048_576}`, "", ""].join("\r\n")
    )
    expect((await told.answer()).status).toBe(413)
    using untold = await dial(gateway.port)
    await untold.send(
      [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, "Transfer-Encoding: chunked", "", ""].join("\r\n")
    )
    await untold.send(chunk(formOf([model("whisper"), file(100)]).subarray(0, -10)))
    // Little more than is taken: what is on its way when the connection ends may cost the client the answer.
    for (let sent = 0; sent < 20; sent += 1) void untold.send(chunk(new Uint8Array(1_048_576)))
    expect((await untold.answer()).status).toBe(413)
    await gateway.quiet()
  })

  test("with a second model behind a file that is on its way", async () => {
    const got = await send(formOf([model("whisper"), file(5_000_000), model("other")]))
    expect({ status: got.status, text: got.text.includes("more than once") }).toEqual({ status: 400, text: true })
    await gateway.quiet()
  })

  test("without its boundary, and a body that is no form, in words", async () => {
    for (const header of ["Content-Type: multipart/form-data", "Content-Type: text/plain"]) {
      const got = await ask(gateway.port, "POST", path, "hello", [header])
      expect(got.status).toBe(400)
      expect(got.text).toContain("multipart/form-data")
    }
  })
})

describe("who sends a form", () => {
  const opened = async (length: number) => {
    const client = await dial(gateway.port)
    await client.send(
      [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, `Content-Length: ${length}`, "", ""].join("\r\n")
    )
    return client
  }

  test("and leaves in the middle leaves nothing behind, neither before its model nor behind it", async () => {
    for (const [start, mode] of [
      [formOf([model("whisper"), file(3_000_000)]).subarray(0, 2_500_000), "sent on"],
      [formOf([file(3_000_000)]).subarray(0, 2_500_000), "held"]
    ] as const) {
      const before = first.server.open()
      using client = await opened(10_000_000)
      await client.send(start)
      if (mode === "sent on") await until(() => first.server.open() > before, "the backend is called")
      client.hangUp()
      await gateway.quiet()
      await until(() => first.server.open() <= before, "the call has been given up")
      expect(gateway.backend("first")).toMatchObject({ status: "healthy", circuits: [], in_flight: 0 })
    }
  })

  test("is held back by a backend that takes nothing, and goes on when it does", async () => {
    const go = Promise.withResolvers<void>()
    let got = 0
    const slow = createServer((request, response) => {
      if (request.method === "GET") return void response.end(JSON.stringify({ data: [{ id: "whisper" }] }))
      void go.promise.then(async () => {
        for await (const piece of request) got += piece.length
        response.setHeader("content-type", "application/json").end('{"text":"heard"}')
      })
    })
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve))
    const { port } = slow.address() as AddressInfo // reason: a TCP server that listens has an address
    await using other = await startGateway({
      server: { max_streamed_mb: 100 },
      backends: [backendFor("slow", { url: `http://127.0.0.1:${port}` })]
    })
    using client = await dial(other.port)
    const body = formOf([model("whisper"), file(60_000_000)])
    const sent = client.send(raw(body)).then(() => "all of it is gone")
    // Were it not held back, it would be gone in a fraction of that.
    expect(await Promise.race([sent, Bun.sleep(500).then(() => "held back")])).toBe("held back")
    go.resolve()
    expect(await client.answer()).toMatchObject({ status: 200, text: '{"text":"heard"}' })
    expect(got).toBe(body.length)
    slow.close()
  })

  test("and says nothing more is told so in time, and nobody is blamed", async () => {
    await using quick = await startGateway({
      server: { upload_timeout_seconds: 0.3 },
      backends: [backendFor("first", first)]
    })
    for (const [start, mode] of [
      [formOf([model("whisper"), file(3_000_000)]).subarray(0, 2_500_000), "sent on"],
      [formOf([file(3_000_000)]).subarray(0, 2_500_000), "held"],
      [formOf([model("whisper"), file(3000)]).subarray(0, 1000), "small"]
    ] as const) {
      using client = await dial(quick.port)
      await client.send(
        [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, "Content-Length: 10000000", "", ""].join("\r\n")
      )
      await client.send(start)
      expect({ mode, status: (await client.answer()).status }).toEqual({ mode, status: 408 })
      expect(quick.backend("first")).toMatchObject({ status: "healthy", circuits: [], in_flight: 0 })
    }
  })

  test("and drips is told so as well", async () => {
    await using quick = await startGateway({
      server: { upload_timeout_seconds: 0.5 },
      backends: [backendFor("first", first)]
    })
    using client = await dial(quick.port)
    await client.send(
      [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", type, "Content-Length: 10000000", "", ""].join("\r\n")
    )
    await client.send(formOf([model("whisper"), file(3_000_000)]).subarray(0, 2_500_000))
    const drip = setInterval(() => void client.send("x"), 20)
    const got = await client.answer()
    clearInterval(drip)
    expect(got.status).toBe(408)
  })
})

test("the path of a deployment of Azure's names the model of a form", async () => {
  for (const parts of [[file(100)], [file(100), model("nobody")]]) {
    const got = await send(formOf(parts), "/openai/deployments/whisper-1/audio/transcriptions?api-version=1")
    expect(got.status).toBe(200)
    expect(await read(first.lastCall())).toEqual(
      expect.arrayContaining([
        ["model", "whisper"],
        ["file", 100]
      ])
    )
    expect((await read(first.lastCall())).length).toBe(2)
  }
})

describe("the openai package", () => {
  const openai = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "k", maxRetries: 0 })

  test("transcribes, in any order of its fields", async () => {
    const wav = await toFile(sound(2000), "a.wav")
    expect((await openai().audio.transcriptions.create({ file: wav, model: "whisper-1" })).text).toBe("hello")
    expect(await read(first.lastCall())).toEqual([
      ["file", 2000],
      ["model", "whisper"]
    ])
    first.script(() => [whole(200, "WEBVTT", "text/vtt")])
    const request = { model: "whisper-1", response_format: "vtt" as const, file: new File([sound(2000)], "b.wav") }
    expect((await openai().audio.transcriptions.create(request)) as unknown).toBe("WEBVTT")
  })

  test("transcribes as a stream", async () => {
    const events = [
      { type: "transcript.text.delta", delta: "hel" },
      { type: "transcript.text.done", text: "hello" }
    ]
    first.script(() => [streamHead(), ...events.map((each) => chunk(event(each))), lastChunk])
    const seen: Array<string> = []
    const stream = await openai().audio.transcriptions.create({
      file: await toFile(sound(2000), "a.wav"),
      model: "whisper-1",
      stream: true
    })
    for await (const each of stream) seen.push(each.type)
    expect(seen).toEqual(events.map((each) => each.type))
  })

  test("translates, edits images and makes variations of them", async () => {
    const png = await toFile(sound(500), "a.png", { type: "image/png" })
    expect((await openai().audio.translations.create({ file: png, model: "whisper-1" })).text).toBe("hello")
    first.script(() => [json({ created: 1, data: [{ b64_json: "AAAA" }] })])
    const edited = await openai().images.edit({ image: [png, png], prompt: "a harbour", model: "gpt-image" })
    expect(edited.data).toEqual([{ b64_json: "AAAA" }])
    const varied = await openai().images.createVariation({ image: png, model: "gpt-image" })
    expect(varied.data).toEqual([{ b64_json: "AAAA" }])
  })
})
