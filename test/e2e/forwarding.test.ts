import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { chunk, event, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { bytesOf, headerOf, join } from "../kit/http.ts"
import { ask, dial } from "../kit/rawClient.ts"

const chatPath = "/v1/chat/completions"

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m", "org/name:tag", "embed"] })
  gateway = await startGateway({
    backends: [backendFor("one", upstream)],
    routing: { aliases: { short: "org/name:tag" }, fallbacks: { gone: ["m"] } }
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

/** A body with everything that a decode and a re-encode would change. */
const awkward = `{ "seed":12345678901234567890123,"temperature" : 1.0, "top_p":1e-7,"big":-9007199254740993,
\t"messages":[
    {"role":"system","content":"\\u00e9\\ud83d\\ude00 \\/ \\u0000 é😀"},
    {"role":"user","content":[
      {"type":"text","text":"look"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}},
      {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
      {"type":"file","file":{"file_id":"file-1","filename":"a.pdf"}},
      {"type":"refusal","refusal":"no"},{"type":"x_vendor","x":[1.50,{}]}]},
    {"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[
      {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\\"a\\": 1.0}"}}]},
    {"role":"tool","tool_call_id":"call_1","content":"42"},
    {"role":"developer","name":"x","content":""}
  ],
  "stop":"END","model":"m","logit_bias":{"50256":-100},"x_unknown":{"n":{"e":{"s":{"t":[[[]]]}}}},
  "messages2":null,"dup":1,"dup":2,"metadata":{"model":"not-the-name"},"__proto__":{"a":1} }
`

describe("a request reaches the backend", () => {
  test("byte for byte", async () => {
    const answer = await ask(gateway.port, "POST", chatPath, awkward)
    expect(answer.status).toBe(200)
    expect(upstream.lastCall().text).toBe(awkward)
    expect(upstream.lastCall().body).toEqual(bytesOf(awkward))
    expect(upstream.lastCall().target).toBe(chatPath)
  })

  test("with an alias replaced and not another byte changed", async () => {
    const spaced = awkward.replace('"model":"m"', '"model" :\n "sh\\u006frt"')
    await ask(gateway.port, "POST", chatPath, spaced)
    expect(upstream.lastCall().text).toBe(spaced.replace('"sh\\u006frt"', '"org/name:tag"'))
  })

  test("as it came when the body is not chunked, and when it is", async () => {
    const body = `{"model":"m","messages":[],"n":1.0}`
    const halves = [body.slice(0, 11), body.slice(11)]
    const bytes = join([
      `POST ${chatPath} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`,
      ...halves.map(chunk),
      lastChunk
    ])
    using client = await dial(gateway.port)
    await client.send(bytes)
    expect((await client.answer()).status).toBe(200)
    expect(upstream.lastCall().text).toBe(body)
  })

  test("on the two other endpoints as well", async () => {
    for (const [path, body] of [
      ["/v1/completions", `{"prompt":["a",[1,2]],"model":"m","suffix":null,"echo":true}`],
      ["/v1/embeddings", `{"input":[[1,2,3]],"model":"embed","encoding_format":"base64","dimensions":2}`]
    ] as const) {
      const answer = await ask(gateway.port, "POST", path, body)
      expect(answer.status).toBe(200)
      expect(upstream.lastCall().text).toBe(body)
      expect(upstream.lastCall().target).toBe(path)
    }
  })

  test("with no credential, cookie, forwarding header or hop-by-hop header of the client", async () => {
    await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[]}`, [
      "Authorization: Bearer client-secret",
      "X-Api-Key: client-secret",
      "Api-Key: client-secret",
      "Cookie: a=client-secret",
      "Proxy-Authorization: Basic client-secret",
      "X-Forwarded-For: client-secret",
      "X-Forwarded-Host: client-secret",
      "Forwarded: for=client-secret",
      "X-Hop: client-secret",
      "Connection: X-Hop",
      "TE: client-secret",
      "X-Nexus-Backend: client-secret",
      "X-Anything: client-secret",
      "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ])
    const seen = upstream.lastCall()
    expect(seen.head).not.toContain("client-secret")
    expect(headerOf(seen.headers, "traceparent")).toStartWith("00-0af7")
    expect(seen.header("host")).toBe(`127.0.0.1:${upstream.port}`)
  })

  test("with the client's request id when it is sane, and one of our own otherwise", async () => {
    const sane = await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[]}`, ["X-Request-Id: abc-1"])
    expect(sane.header("x-request-id")).toBe("abc-1")
    expect(upstream.lastCall().header("x-request-id")).toBe("abc-1")
    const odd = await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[]}`, ["X-Request-Id: a b{}"])
    expect(odd.header("x-request-id")).toMatch(/^[0-9a-f-]{36}$/)
  })
})

describe("a request that passes several gateways", () => {
  const body = `{"model":"m","messages":[]}`

  test("carries how many it has passed, whatever odd count came", async () => {
    await ask(gateway.port, "POST", chatPath, body)
    expect(upstream.lastCall().header("x-nexus-hops")).toBe("1")
    for (const [came, sent] of [
      ["5", "6"],
      ["-3", "1"],
      ["1e3", "1"],
      ["x", "1"]
    ]) {
      await ask(gateway.port, "POST", chatPath, body, [`X-Nexus-Hops: ${came}`])
      expect(upstream.lastCall().header("x-nexus-hops")).toBe(sent)
    }
  })

  test("is refused after more than five, and asked of nobody", async () => {
    const before = upstream.calls().length
    const answer = await ask(gateway.port, "POST", chatPath, body, ["X-Nexus-Hops: 6"])
    expect(answer.status).toBe(508)
    expect(answer.header("x-should-retry")).toBe("false")
    expect(answer.json()).toMatchObject({ error: { type: "server_error", code: "loop_detected", param: null } })
    expect(upstream.calls()).toHaveLength(before)
  })

  test("and goes in a circle ends with that refusal, and no backend is blamed for it", async () => {
    // The way back leads through a server that is made after the gateway: whose address is known only then.
    let asked = 0
    const back = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        const { pathname } = new URL(request.url)
        if (pathname === "/v1/models") return Response.json({ object: "list", data: [{ id: "m", object: "model" }] })
        if (request.method !== "POST") return new Response(null, { status: 404 })
        asked += 1
        return fetch(new URL(pathname, circle.url), {
          method: "POST",
          headers: { "x-nexus-hops": request.headers.get("x-nexus-hops") ?? "" },
          body: await request.text()
        })
      }
    })
    await using circle = await startGateway({
      backends: [{ name: "itself", url: `http://127.0.0.1:${back.port}`, type: "generic" }]
    })
    try {
      const answer = await ask(circle.port, "POST", chatPath, body)
      expect(answer.status).toBe(508)
      expect(answer.json()).toMatchObject({ error: { code: "loop_detected" } })
      expect(asked).toBe(6)
      expect(circle.backend("itself")).toMatchObject({ status: "healthy", circuits: [] })
    } finally {
      await back.stop(true)
    }
  })
})

describe("an answer reaches the client", () => {
  const body = `{ "id":"x","object":"chat.completion","created":1.0,"big":12345678901234567890,
  "choices":[{"index":0,"message":{"role":"assistant","content":"\\ud83d\\ude00 é","reasoning_content":"hm","refusal":null},
  "finish_reason":"stop","logprobs":null,"stop_reason":null}],
  "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1},
  "completion_tokens_details":{"reasoning_tokens":1}},"timings":{"predicted_ms":1.50},"x_vendor":{} }\n`

  test("byte for byte", async () => {
    upstream.script(() => [whole(200, body, "application/json; charset=utf-8")])
    const answer = await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[]}`)
    upstream.script(good())
    expect(answer.text).toBe(body)
    expect(answer.header("content-type")).toBe("application/json; charset=utf-8")
  })

  test("byte for byte as a stream, vendor fields, usage and comments included", async () => {
    const pieces = [
      ": keep-alive\n\n",
      `data:{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}],"x":1.0}\r\n\r\n`,
      `event: message\nid: 7\nretry: 10\ndata: {"choices":[{"delta":{"reasoning":"a","reasoning_content":"a"}}]}\n\n`,
      event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
      event({ choices: [], usage: { prompt_tokens: 1, prompt_tokens_details: { cached_tokens: 0 } }, timings: {} }),
      "data: [DONE]\n\n",
      ": after\n\n"
    ]
    upstream.script(() => [streamHead(), ...pieces.map(chunk), lastChunk])
    const answer = await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[],"stream":true}`)
    upstream.script(good())
    expect(answer.text).toBe(pieces.join(""))
    expect(answer.end).toBe("complete")
  })

  test("without the backend's cookies, server name, quotas or internal headers", async () => {
    const headers = [
      "Set-Cookie: a=b",
      "Server: llama.cpp",
      "Via: 1.1 x",
      "X-Ratelimit-Limit-Requests: 1",
      "X-Inner: 1"
    ]
    upstream.script(() => [json({ choices: [], ok: true }, 200, headers)])
    const answer = await ask(gateway.port, "POST", chatPath, `{"model":"m","messages":[]}`)
    upstream.script(good())
    expect(answer.status).toBe(200)
    const names = answer.headers.map(([name]) => name.toLowerCase())
    for (const name of ["set-cookie", "server", "via", "x-ratelimit-limit-requests", "x-inner"]) {
      expect(names).not.toContain(name)
    }
  })

  test("with the name of the fallback model when that is what answered", async () => {
    await using other = await startUpstream({ models: ["gone"] })
    await using two = await startGateway({
      backends: [backendFor("one", upstream), backendFor("two", other)],
      routing: { fallbacks: { gone: ["m"] } }
    })
    await other.server.kill()
    const answer = await ask(two.port, "POST", chatPath, `{"model":"gone","messages":[],"n":1.0}`)
    expect(answer.status).toBe(200)
    expect(answer.header("x-nexus-fallback-model")).toBe("m")
    expect(answer.header("x-nexus-backend")).toBe("one")
    expect(answer.header("x-nexus-attempts")).toBe("2")
    expect(upstream.lastCall().text).toBe(`{"model":"m","messages":[],"n":1.0}`)
  })

  test("without the name of a fallback model that failed too, and with it when that one refuses the request", async () => {
    await using other = await startUpstream({ models: ["gone"] })
    await using spare = await startUpstream({ models: ["m2"], script: () => [json({ error: "full" }, 503)] })
    await using two = await startGateway({
      backends: [backendFor("one", other), backendFor("two", spare)],
      routing: { max_retries: 1, fallbacks: { gone: ["m2"] } }
    })
    await other.server.kill()
    const failed = await ask(two.port, "POST", chatPath, `{"model":"gone","messages":[]}`)
    expect([failed.status, failed.header("x-nexus-backend")]).toEqual([503, "two"])
    expect(failed.header("x-nexus-fallback-model")).toBeUndefined()
    expect(failed.header("x-nexus-rejection-reasons")).toBe(
      "one: connection refused; two (m2): answered with status 503: full"
    )
    spare.script(() => [json({ error: { message: "no", type: "t", param: null, code: null } }, 400)])
    const refused = await ask(two.port, "POST", chatPath, `{"model":"gone","messages":[]}`)
    expect([refused.status, refused.header("x-nexus-fallback-model")]).toEqual([400, "m2"])
  })
})
