import { describe, expect, test } from "bun:test"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { chunk, head, json, whole } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"

const post = (gateway: Gateway, stream = false) =>
  ask(gateway.port, "POST", path, JSON.stringify({ model: "m", messages: [], stream }))

const key = "sk/inner+key=1"

const keyed = { backendKeys: new Map([["one", key]]), authKeys: [] }

/** What a client hears of a backend that answers so. */
const heard = async (steps: Iterable<Step>, stream = false) => {
  const script: Script = () => steps
  await using upstream = await startUpstream({ models: ["m"], script })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] }, keyed)
  const answer = await post(gateway, stream)
  const { error } = answer.json() as { readonly error: Record<string, unknown> } // reason: every failure has it
  return { status: answer.status, message: String(error["message"]), error, answer }
}

const words = '{"detail":"the adapter is not loaded"}'

describe("the words of a refusal reach the client when they come", () => {
  const packed: ReadonlyArray<readonly [encoding: string, body: Uint8Array]> = [
    ["gzip", gzipSync(words)],
    ["deflate", deflateSync(words)],
    ["deflate", deflateRawSync(words)],
    ["br", brotliCompressSync(words)],
    ["zstd", zstdCompressSync(words)]
  ]
  for (const [at, [encoding, body]] of packed.entries()) {
    test(`compressed (${encoding}, ${at})`, async () => {
      const answer = whole(400, new Uint8Array(body), "application/json", [`Content-Encoding: ${encoding}`])
      expect(await heard([answer])).toMatchObject({ status: 400, message: "the adapter is not loaded" })
    })
  }

  test("under an encoding that they do not have", async () => {
    const answer = whole(400, words, "application/json", ["Content-Encoding: gzip"])
    expect(await heard([answer])).toMatchObject({ status: 400, message: "the adapter is not loaded" })
  })

  test("with more than 64 KB, cut and marked, whether the body ends or not", async () => {
    const text = `too long: ${"x".repeat(400_000)}`
    for (const steps of [
      [whole(413, text.slice(0, 100_000), "text/plain")],
      [json({ error: { message: text } }, 413)],
      [head(413, ["Content-Type: text/plain", "Transfer-Encoding: chunked"]), chunk(text), "hang" as const],
      [
        whole(413, new Uint8Array(gzipSync(JSON.stringify({ detail: text.slice(0, 100_000) }))), "application/json", [
          "Content-Encoding: gzip"
        ])
      ]
    ]) {
      const { status, message } = await heard(steps)
      expect([status, message.slice(0, 20)]).toEqual([413, "too long: xxxxxxxxxx"])
      expect(message).toEndWith(" … (cut)")
      expect(message.length).toBeLessThan(5000)
    }
  })

  test("as far as they came, when the body breaks off", async () => {
    const steps = [
      head(400, ["Content-Type: application/json", "Content-Length: 900"]),
      '{"error":{"message":"bad n", ',
      "fin" as const
    ]
    expect(await heard(steps)).toMatchObject({ status: 400, message: "bad n" })
  })

  test("not at all, and no memory with them, when they are a bomb", async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(32 * 1_048_576)))
    const { status, message } = await heard([whole(400, bomb, "application/json", ["Content-Encoding: gzip"])])
    expect([status, message]).toEqual([400, "The backend answered with status 400"])
  })
})

describe("the reason of a 502 or 503 is told:", () => {
  test("the words of a 500 and of a 503", async () => {
    expect((await heard([json({ error: { message: "CUDA out of memory" } }, 500)])).message).toBe(
      "No good answer from a backend for model 'm': backend 'one': answered with status 500: CUDA out of memory (3 times)"
    )
    const loading = json({ error: { message: "Loading model", code: 503 } }, 503, ["Retry-After: 9"])
    expect(await heard([loading])).toMatchObject({
      status: 503,
      message: "No healthy backends available for model 'm': backend 'one': answered with status 503: Loading model"
    })
  })

  test("backend by backend, when each has failed in its own way", async () => {
    await using sick = await startUpstream({
      models: ["m"],
      script: () => [json({ detail: "worker 10.2.3.4:9000 died" }, 500)]
    })
    await using dead = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only", max_retries: 1 },
      backends: [backendFor("dead", dead, { priority: 1 }), backendFor("sick", sick, { priority: 2 })]
    })
    await dead.server.kill()
    const { error } = (await post(gateway)).json() as { readonly error: { readonly message: string } } // reason: every failure has it
    expect(error.message).toBe(
      "No good answer from a backend for model 'm': backend 'dead': connection refused; " +
        "backend 'sick': answered with status 500: worker [address] died"
    )
  })

  test("a page of a proxy by its title, and never the page", async () => {
    const page = "<html><head><title>503 Service Temporarily Unavailable</title></head><body>nginx</body></html>"
    const { message, answer } = await heard([whole(503, page, "text/html")])
    expect(message).toContain('answered with status 503: an HTML page, "503 Service Temporarily Unavailable"')
    expect(answer.text).not.toContain("<html")
  })
})

describe("an error in the middle of a stream", () => {
  const stream = (pieces: Iterable<string>): ReadonlyArray<Step> => [
    head(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"]),
    ...Array.from(pieces, chunk),
    "fin"
  ]
  const good = 'data: {"choices":[{"index":0,"delta":{"content":"the key is sk/inner+key=1"}}]}\n\n'
  const events = [
    `data: {"error":{"message":"bad ${key}","code":401}}\n\n`,
    `data: {"error":{"message":"bad ${key.replaceAll("/", "\\/")}","code":401}}\n\n`,
    `event: error\ndata: {"message":"bad ${key}"}\n\n`,
    `data: {"id":"x","error":"bad ${key}"}\r\n\r\n`
  ]

  for (const [at, event] of events.entries()) {
    test(`tells no key, wherever it is cut (${at}), and what was good before it passes as it is`, async () => {
      const script: Script = ({ text }) => {
        const { seed: cut } = JSON.parse(text)
        return stream([good, event.slice(0, cut), event.slice(cut)].filter((piece) => piece !== ""))
      }
      await using upstream = await startUpstream({ models: ["m"], script })
      await using gateway = await startGateway({ backends: [backendFor("one", upstream)] }, keyed)
      const cuts = Array.from({ length: event.length }, (_, cut) => cut).filter((cut) => cut < 12 || cut % 7 === 5)
      // Each waits a while before its end, so all of them do so at once.
      const texts = await Promise.all(
        cuts.map(async (seed) => {
          const body = JSON.stringify({ model: "m", messages: [], stream: true, seed })
          return (await ask(gateway.port, "POST", path, body)).text
        })
      )
      for (const text of texts) {
        expect(text.slice(0, good.length)).toBe(good)
        const rest = text.slice(good.length)
        expect(rest).toContain("bad [redacted]")
        expect(rest.replaceAll("\\/", "/")).not.toContain(key)
      }
    })
  }
})

describe("the key of a backend reaches nobody when it is", () => {
  const escaped = JSON.stringify({
    error: { message: `bad ${key}`, echo: { authorization: `Bearer ${key}` } }
  }).replaceAll("/", "\\/")
  const bodies: ReadonlyArray<readonly [where: string, steps: ReadonlyArray<Step>, stream?: boolean]> = [
    [
      "in the words of a 400",
      [json({ error: { message: `Incorrect API key provided: ${key}`, type: "t", code: null } }, 400)]
    ],
    ["in the words of a 401", [json({ error: { message: `Incorrect API key provided: ${key}` } }, 401)]],
    ["beside the message", [json({ error: { message: "no", headers: { authorization: `Bearer ${key}` } } }, 422)]],
    ["in escapes of JSON", [whole(400, escaped)]],
    ["in a plain text", [whole(500, `cannot use ${key}`, "text/plain")]],
    ["in a 503 with a pause", [json({ detail: `quota of ${key}` }, 503, ["Retry-After: 5"])]],
    [
      "in compressed words",
      [whole(400, new Uint8Array(gzipSync(`no ${key}`)), "text/plain", ["Content-Encoding: gzip"])]
    ],
    ["in an error under 200", [json({ error: { message: `bad ${key}`, code: 403 } })]],
    [
      "in the first event of a stream",
      [
        head(200, ["Content-Type: text/event-stream", "Connection: close"]),
        `data: {"error":{"message":"bad ${key}"}}\n\n`,
        "fin"
      ],
      true
    ]
  ]
  for (const [where, steps, stream] of bodies) {
    test(where, async () => {
      using log = takeLog()
      await using upstream = await startUpstream({ models: ["m"], script: () => steps })
      await using gateway = await startGateway(
        { backends: [backendFor("one", upstream)], logging: { level: "debug", format: "json" } },
        keyed
      )
      for (let i = 0; i < 2; i += 1) {
        const answer = await post(gateway, stream)
        expect(answer.status).toBeGreaterThanOrEqual(400)
        const told = await Promise.all(
          ["/nexus/requests", "/health", "/nexus/backends"].map((each) => ask(gateway.port, "GET", each))
        )
        for (const text of [
          answer.text,
          JSON.stringify(answer.headers),
          ...told.map((each) => each.text),
          log.text()
        ]) {
          expect(text).not.toContain(key)
          expect(text.replaceAll("\\/", "/")).not.toContain(key)
        }
      }
      expect(upstream.lastCall().header("authorization")).toBe(`Bearer ${key}`)
    })
  }
})
