import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { ask, dial } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"

const body = JSON.stringify({ model: "m", messages: [] })

let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m"] })
  gateway = await startGateway({
    server: { allowed_hosts: ["nexus.lan"], cors: { origins: ["https://chat.example"] } },
    backends: [backendFor("one", upstream)]
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

/** Sends a head as it stands, with a body that fits. */
const raw = async (lines: ReadonlyArray<string>) => {
  using client = await dial(gateway.port)
  await client.send(`${[...lines, `Content-Length: ${body.length}`].join("\r\n")}\r\n\r\n${body}`)
  return await client.answer()
}

const post = `POST ${path} HTTP/1.1`

const untouched = async (run: () => Promise<void>) => {
  const before = upstream.server.requests.length
  await run()
  expect(upstream.server.requests).toHaveLength(before)
}

describe("a Host", () => {
  for (const host of ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:80", "nexus.lan:8000"]) {
    test(`${host} is let in`, async () => expect((await raw([post, `Host: ${host}`])).status).toBe(200))
  }

  for (const host of [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "0.0.0.0"
  ]) {
    test(`${host} is refused with 403`, () =>
      untouched(async () => {
        const answer = await raw([post, `Host: ${host}`])
        expect(answer.status).toBe(403)
        expect(answer.json()).toMatchObject({ error: { code: "forbidden", type: "invalid_request_error" } })
      }))
  }

  for (const host of ["a/x?", "u:p@h", "", "a b", "localhost/..", "localhost?x=", "localhost#", "[::1", "\\\\evil"]) {
    test(`${JSON.stringify(host)} that breaks a URL is refused`, () =>
      untouched(async () => {
        const { status } = await raw([post, `Host: ${host}`])
        expect([400, 403]).toContain(status)
      }))
  }

  test("given twice is refused", () =>
    untouched(async () => {
      for (const second of ["evil.example", "localhost"]) {
        expect((await raw([post, "Host: localhost", `Host: ${second}`])).status).toBe(400)
      }
    }))
})

describe("a browser", () => {
  test("of a listed origin is let in and told so", async () => {
    const answer = await raw([post, "Host: localhost", "Origin: https://chat.example"])
    expect(answer.status).toBe(200)
    expect(answer.header("access-control-allow-origin")).toBe("https://chat.example")
  })

  test("of any other origin, or across sites, is refused before anything is sent", () =>
    untouched(async () => {
      for (const header of ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"]) {
        const answer = await raw([post, "Host: localhost", header])
        expect(answer.status).toBe(403)
        expect(answer.header("access-control-allow-origin")).toBeUndefined()
      }
    }))

  test("gets a preflight answer for a listed origin only", async () => {
    const preflight = (origin: string) =>
      ask(gateway.port, "OPTIONS", path, "", [`Origin: ${origin}`, "Access-Control-Request-Method: POST"])
    const listed = await preflight("https://chat.example")
    expect([listed.status, listed.header("access-control-allow-origin")]).toEqual([204, "https://chat.example"])
    expect(listed.header("access-control-allow-methods")).toBe("GET, POST")
    const other = await preflight("https://evil.example")
    expect([other.status, other.header("access-control-allow-origin")]).toEqual([403, undefined])
  })
})

describe("a request line", () => {
  test("CONNECT and TRACE lead nowhere", () =>
    untouched(async () => {
      for (const line of [`CONNECT 127.0.0.1:${upstream.port} HTTP/1.1`, "TRACE / HTTP/1.1", "CONNECT / HTTP/1.1"]) {
        const { status } = await raw([line, "Host: localhost"])
        expect([400, 404, 405, 501]).toContain(status)
      }
    }))

  test("with a target of another server leads to none", () =>
    untouched(async () => {
      for (const target of [`http://127.0.0.1:${upstream.port}/v1/models`, "//evil.example/v1/models"]) {
        await raw([`GET ${target} HTTP/1.1`, "Host: localhost"])
      }
    }))

  test("is taken up to 8,192 characters of URL, and refused with 414 beyond", async () => {
    const ofLength = async (length: number) => {
      const start = "http://localhost/v1/models?"
      const target = `${start}${"a".repeat(length - start.length)}`.slice("http://localhost".length)
      return (await raw([`GET ${target} HTTP/1.1`, "Host: localhost"])).status
    }
    expect([await ofLength(8192), await ofLength(8193)]).toEqual([200, 414])
  })

  test("never names an endpoint by which a backend is managed", () =>
    untouched(async () => {
      const paths = ["/api/delete", "/models/load", "/v1/models/load", "/slots", "/props"]
      for (const each of paths) {
        const answer = await ask(gateway.port, "POST", each, '{"model":"m"}')
        expect([404, 405]).toContain(answer.status)
      }
    }))

  test("never has a backend get, make or lose a model, whatever its client is told", () =>
    untouched(async () => {
      // A model that is there need not be got.
      expect((await ask(gateway.port, "POST", "/api/pull", '{"model":"m"}')).status).toBe(200)
      for (const each of ["/api/create", "/api/push", "/api/copy"]) {
        const names = '{"model":"m","source":"m"}'
        // A server that is no Ollama is never asked; an Ollama is not for a stranger, such as one whom a proxy speaks for.
        expect((await ask(gateway.port, "POST", each, names)).status).toBe(501)
        expect((await ask(gateway.port, "POST", each, names, ["X-Forwarded-For: 10.0.0.9"])).status).toBe(403)
      }
      expect((await ask(gateway.port, "DELETE", "/api/delete", '{"model":"m"}')).status).toBe(501)
    }))
})

test("headers are taken up to what a client needs, and refused beyond 16 KB or in hundreds", async () => {
  const withHeaders = async (lines: ReadonlyArray<string>) => (await raw([post, "Host: localhost", ...lines])).status
  const many = (count: number) => Array.from({ length: count }, (_, i) => `X-${i}: a`)
  expect(await withHeaders([`X-A: ${"a".repeat(8000)}`])).toBe(200)
  expect(await withHeaders([`X-A: ${"a".repeat(20_000)}`])).toBe(431)
  expect(await withHeaders(many(90))).toBe(200)
  expect(await withHeaders(many(300))).toBe(431)
})

describe("a header of a client", () => {
  test("that no request may hold never reaches a backend, and no backend is blamed for it", async () => {
    for (const value of ["a\x7fb", "a\tb", "\xe9"]) {
      using client = await dial(gateway.port)
      const lines = [post, "Host: localhost", `Accept: ${value}`, `Content-Length: ${body.length}`]
      await client.send(Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`, "latin1"))
      expect((await client.answer()).status).toBe(200)
      expect(upstream.lastCall().head).not.toContain("\x7f")
    }
    expect(gateway.backend("one").circuits).toEqual([])
  })

  test("cannot hold a line of its own", () =>
    untouched(async () => {
      for (const value of ["a\rX-B: b", "a\0b", "a\x01b"]) {
        expect((await raw([post, "Host: localhost", `Traceparent: ${value}`])).status).toBe(400)
      }
    }))

  test("that asks for another protocol is not heard, nor passed on", async () => {
    const upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
    expect((await raw([post, "Host: localhost", ...upgrade])).status).toBe(200)
    expect(upstream.lastCall().head).not.toMatch(/upgrade|settings/i)
  })
})

describe("framing that two servers could read in two ways is refused:", () => {
  const chunked = "Transfer-Encoding: chunked"
  const small = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  // Name, headers, and the body when it is not the usual one.
  const wrong: ReadonlyArray<readonly [name: string, headers: ReadonlyArray<string>, body?: string]> = [
    ["two lengths", ["Content-Length: 3", `Content-Length: ${body.length}`]],
    ["a list of lengths", [`Content-Length: ${body.length}, ${body.length}`]],
    ["a length with a sign", [`Content-Length: +${body.length}`]],
    ["a length below zero", ["Content-Length: -1"]],
    ["a length beyond all numbers", [`Content-Length: ${"9".repeat(30)}`]],
    ["a length and chunks", [`Content-Length: ${body.length}`, chunked], small],
    ["chunks and a length of zero", ["Content-Length: 0", chunked], small],
    ["a coding nobody knows", ["Transfer-Encoding: xchunked"], small],
    ["two codings", ["Transfer-Encoding: gzip, chunked"], small],
    ["chunks after another word", [chunked, "Transfer-Encoding: identity"], small],
    ["a blank before the colon", ["Transfer-Encoding : chunked"], small],
    ["a folded header", [`Content-Length: ${body.length}`, "X-A: b\r\n c"]],
    ["a chunk size with a prefix", [chunked], `0x${small}`],
    ["a chunk with a wrong end", [chunked], small.replace("}\r\n", "}XX")]
  ]
  for (const [name, headers, sent = body] of wrong) {
    test(name, () =>
      untouched(async () => {
        using client = await dial(gateway.port)
        await client.send(`${[post, "Host: localhost", ...headers].join("\r\n")}\r\n\r\n${sent}`)
        expect((await client.until(() => false)).status).toBe(400)
        await until(() => client.closed(), "the connection is closed")
      })
    )
  }

  test("a request without a Host, bare line feeds, chunks in HTTP/1.0", () =>
    untouched(async () => {
      for (const head of [
        `${post}\r\nContent-Length: ${body.length}`,
        `${post}\nHost: localhost\nContent-Length: ${body.length}\n`,
        `POST ${path} HTTP/1.0\r\nHost: localhost\r\n${chunked}`
      ]) {
        using client = await dial(gateway.port)
        await client.send(`${head}\r\n\r\n${body}`)
        expect((await client.answer()).status).toBeGreaterThanOrEqual(400)
      }
    }))
})

describe("a key", () => {
  const digest = (key: string) => createHash("sha256").update(key).digest()

  test("is asked for before anything of the body is read, and each known one is good", async () => {
    await using locked = await startGateway(
      { backends: [backendFor("one", upstream)] },
      {
        backendKeys: new Map(),
        authKeys: [
          { name: "a", digest: digest("key-a") },
          { name: "b", digest: digest("key-b") }
        ]
      }
    )
    for (const header of ["Authorization: Bearer key-a", "authorization: bearer key-b", "X-Api-Key: key-b"]) {
      expect((await ask(locked.port, "POST", path, body, [header])).status).toBe(200)
      expect(upstream.lastCall().head).not.toMatch(/key-[ab]/)
    }
    const before = upstream.calls().length
    for (const header of [
      "Authorization: Bearer key-c",
      "Authorization: Basic key-a",
      "X-Other: key-a",
      "X-Api-Key: "
    ]) {
      const answer = await ask(locked.port, "POST", path, body, [header])
      expect(answer.status).toBe(401)
      expect(answer.json()).toMatchObject({ error: { code: "invalid_api_key", param: null } })
    }
    // The connection ends with the refusal, so that the rest of a body is not even taken in.
    for (const framing of ["Content-Length: 10000000", "Transfer-Encoding: chunked"]) {
      using client = await dial(locked.port)
      await client.send(`${post}\r\nHost: localhost\r\n${framing}\r\n\r\n`)
      expect((await client.answer()).status).toBe(401)
      await until(() => client.closed(), "the connection is closed")
    }
    expect(upstream.calls()).toHaveLength(before)
    for (const open of ["/livez", "/readyz"]) expect((await ask(locked.port, "GET", open)).status).toBe(200)
    for (const shut of ["/health", "/v1/models", "/nexus/backends", "/openapi.json"]) {
      expect((await ask(locked.port, "GET", shut)).status).toBe(401)
    }
  })

  test("is not asked of a browser that asks beforehand, since it cannot send one then", async () => {
    await using locked = await startGateway(
      { server: { cors: { origins: ["https://chat.example"] } }, backends: [backendFor("one", upstream)] },
      { backendKeys: new Map(), authKeys: [{ name: "a", digest: digest("key-a") }] }
    )
    const asked = (origin: string, more: ReadonlyArray<string>) =>
      ask(locked.port, "OPTIONS", path, "", [`Origin: ${origin}`, ...more])
    const preflight = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"]
    const answer = await asked("https://chat.example", preflight)
    expect([answer.status, answer.header("access-control-allow-headers")]).toEqual([204, "authorization"])
    expect((await asked("https://chat.example", [])).status).toBe(401)
    expect((await asked("https://evil.example", preflight)).status).toBe(403)
    const refused = await ask(locked.port, "POST", path, body, ["Origin: https://chat.example"])
    expect([refused.status, refused.header("access-control-allow-origin")]).toEqual([401, "https://chat.example"])
  })
})
